"""Control lines of the supervisor, as they arrive on the exec stream's stderr.

The build's root can forge them, which reaches its own job's result and nothing else. So they are untrusted: bounded,
integers only (a text comes as hexadecimal digits), and what is not understood is ignored.
"""

from __future__ import annotations

from executor.values import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_PREFIX = b"kd1 "
_LONGEST_LINE = 200
_ERRORS = frozenset({b"cut", b"full", b"unknown", b"lost", b"restarted", b"verb"})
_EXIT_DIGITS = (3, 15, 15, 9, 1)
"""Of each number of an exit line, at most."""
_USED_DIGITS = 15
_CACHE_DIGITS = 13
_MISSED_DIGITS = 160


@dataclass(frozen=True)
class Started:
    """The script was taken, now or by an earlier connection."""


@dataclass(frozen=True)
class Beat:
    """The follower lives; nothing else is said for as long as the script is quiet."""


@dataclass(frozen=True)
class Failed:
    """The supervisor cannot go on."""

    word: str
    """`cut` (script not whole), `full`, `unknown` (no such script), `lost`, `restarted` (its container), `verb`."""


@dataclass(frozen=True)
class Exited:
    """The script ended."""

    code: int
    size: int
    """Bytes that it had printed by then."""
    peak: int
    """Peak memory of the container so far, in bytes; 0 where unknown."""
    oom_kills: int
    """Processes that the kernel killed for memory while it ran."""
    full: bool
    """It printed more than its output limit, and the rest was dropped."""


@dataclass(frozen=True, kw_only=True)
class Used:
    """What the build container used while a script ran, as the pod itself says; None where it does not know."""

    cpu: int | None
    """Microseconds of processor time."""
    programs: int | None
    """Bytes of memory that could not be taken back, at the most of some looks: without the cache of files."""
    disk: int | None
    """Bytes that its own file system grew by since the pod started."""
    builds: int | None
    """Bytes on the volume of the clone."""
    hits: int | None
    """Layers that Kaniko found in the layer cache, as its own lines say; None when it was not called."""
    misses: int | None


@dataclass(frozen=True, kw_only=True)
class CacheStory:
    """What became of the layer cache while a script ran, as the cache registry counts; all of it may be forged."""

    hits: int
    misses: int
    lost: int
    """Layers that were named and not there."""
    corrupt: int
    """Layers and entries that were not what their digests said."""
    read: int
    """Bytes from S3, and to it."""
    written: int
    dropped: int
    """Entries that could not be stored."""
    full: int
    """Layers that the spool had no room for."""
    requests: int
    waited: int
    """Milliseconds in which at least one request to S3 was under way."""
    saved: int
    """Milliseconds that building the hits had taken, less fetching them."""
    reason: int
    """Why the cache was not used for everything; a number of executor/stages/story.py."""


@dataclass(frozen=True)
class Missed:
    """The first instruction that was not in the cache, in Kaniko's words: the author's text, at most 80 bytes of it."""

    text: str


@dataclass(frozen=True)
class Held:
    """The container has forgotten its secrets and will stay as long as it was told to."""


Control = Started | Beat | Failed | Used | CacheStory | Missed | Exited | Held


class ControlLines:
    """Cuts a byte stream into control lines."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Control]:
        """Return what the new bytes completed."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        # A line longer than any of ours is none of ours; one byte more is kept, so that it stays too long.
        self._rest = self._rest[-_LONGEST_LINE - 1 :]
        return [control for line in lines if (control := _parse(line)) is not None]


def _parse(line: bytes) -> Control | None:
    if not line.startswith(_PREFIX) or len(line) > _LONGEST_LINE:
        return None
    words = line[len(_PREFIX) :].strip()
    if words in _WORDS:
        return _WORDS[words]
    kind, *rest = words.split(b" ")
    read = _READERS.get(kind)
    return read(rest) if read else None


def _failed(words: list[bytes]) -> Failed | None:
    return Failed(words[0].decode()) if len(words) == 1 and words[0] in _ERRORS else None


def _used(words: list[bytes]) -> Used | None:
    if len(words) != len(_USED_FIELDS) or not all(_is_used(word) for word in words):
        return None
    return Used(**{name: _known(word) for name, word in zip(_USED_FIELDS, words, strict=True)})


def _cache(words: list[bytes]) -> CacheStory | None:
    if len(words) != len(_CACHE_FIELDS) or not all(_is_number(word, _CACHE_DIGITS) for word in words):
        return None
    return CacheStory(**{name: int(word) for name, word in zip(_CACHE_FIELDS, words, strict=True)})


def _missed(words: list[bytes]) -> Missed | None:
    if len(words) != 1 or not 0 < len(words[0]) <= _MISSED_DIGITS or not words[0].isalnum():
        return None
    try:
        return Missed(bytes.fromhex(words[0].decode("ascii")).decode("utf-8", "replace"))
    except ValueError:
        return None


def _exited(words: list[bytes]) -> Exited | None:
    if len(words) != len(_EXIT_DIGITS) or not all(map(_is_number, words, _EXIT_DIGITS)):
        return None
    code, size, peak, oom_kills, full = map(int, words)
    return Exited(code=code & 0xFF, size=size, peak=peak, oom_kills=oom_kills, full=bool(full)) if full <= 1 else None


def _is_number(word: bytes, digits: int) -> bool:
    # Of bytes, isdigit is true for ASCII's alone.
    return word.isdigit() and len(word) <= digits


def _is_used(word: bytes) -> bool:
    return word == b"-" or _is_number(word, _USED_DIGITS)


_WORDS: dict[bytes, Control] = {b"started": Started(), b"beat": Beat(), b"held": Held()}
_USED_FIELDS = ("cpu", "programs", "disk", "builds", "hits", "misses")
_CACHE_FIELDS = (
    *("hits", "misses", "lost", "corrupt", "read", "written", "dropped", "full", "requests", "waited", "saved"),
    "reason",
)


def _known(digits: bytes) -> int | None:
    return None if digits == b"-" else int(digits)


_READERS: dict[bytes, Callable[[list[bytes]], Control | None]] = {
    b"error": _failed,
    b"exit": _exited,
    b"used": _used,
    b"cache": _cache,
    b"missed": _missed,
}
