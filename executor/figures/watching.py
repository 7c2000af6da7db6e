"""The operator log read piece by piece, with a file that remembers how far, so that counters only ever go up.

logrotate moves the log away under the reader's hands: what had been read is known by device and inode, and the rest of
the file that was moved is read before the new one. What is gone before it was read is counted as a gap.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from executor.figures.attempts import Attempt, begun, former_name
from executor.figures.metrics import Book
from executor.figures.reading import Reading, lines, parse, with_rotated

if TYPE_CHECKING:
    from collections.abc import Iterator

_VERSION = 1
_FORGOTTEN_AFTER = 48 * 3600
"""Seconds without a line after which an attempt that is not over will never be."""
_CHUNK = 1 << 20


@dataclass(kw_only=True)
class Watch:
    """What was read so far."""

    device: int = 0
    inode: int = 0
    offset: int = 0
    running: dict[str, Attempt] = field(default_factory=dict)
    """Pod -> attempt that is not over."""
    book: Book = field(default_factory=Book)
    read_at: float = 0

    def update(self, path: str, *, now: float) -> None:
        """Read what is new in the log and in what was moved away since."""
        if self.inode:
            for line in self._new_lines(path):
                self._take_raw(line)
        else:
            self._begin(path)
        for pod, one in list(self.running.items()):
            if now - one.last_seen > _FORGOTTEN_AFTER:
                self._over(pod)
        self.read_at = now

    def _begin(self, path: str) -> None:
        """Read everything that there is, packed files too; the log itself piece by piece from now on."""
        earlier = [one for one in with_rotated(path) if one != path]
        if earlier:
            reading = Reading()
            for parsed in lines(earlier, reading):
                self._take(parsed)
            self._count_lines(reading.lines - reading.broken, reading.broken)
        for line in self._whole_lines(path, 0):
            self._take_raw(line)

    def _new_lines(self, path: str) -> Iterator[bytes]:
        same = _identity(path) == (self.device, self.inode)
        if same and os.stat(path).st_size >= self.offset:
            yield from self._whole_lines(path, self.offset)
            return
        if same:
            # Copied and cut: what was written after the last look is in the copy, which nobody can tell from others.
            self.book.add("kaniko_driver_log_gaps_total", ())
            yield from self._whole_lines(path, 0)
            return
        rotated = [one for one in with_rotated(path) if one != path]
        mine = next((one for one in rotated if _identity(one) == (self.device, self.inode)), None)
        if mine is None:
            self.book.add("kaniko_driver_log_gaps_total", ())
            younger: list[str] = []
        else:
            yield from self._whole_lines(mine, self.offset)
            younger = rotated[rotated.index(mine) + 1 :]
        for one in (*younger, path):
            yield from self._whole_lines(one, 0)

    def _whole_lines(self, path: str, offset: int) -> Iterator[bytes]:
        """Yield lines from an offset on, and remember where the last whole one ended."""
        try:
            file = open(path, "rb")  # noqa: SIM115 - closed below; what cannot be opened is none
        except FileNotFoundError:
            return
        with file:
            status = os.fstat(file.fileno())
            self.device, self.inode, self.offset = status.st_dev, status.st_ino, offset
            file.seek(offset)
            rest = b""
            while piece := file.read(_CHUNK):
                *whole, rest = (rest + piece).split(b"\n")
                for line in whole:
                    self.offset += len(line) + 1
                    yield line

    def _take_raw(self, line: bytes) -> None:
        if not line.strip(b" \t\r\0"):
            return
        parsed = parse(line)
        self._count_lines(parsed is not None, parsed is None)
        if parsed is not None:
            self._take(parsed)

    def _take(self, line: dict[str, Any]) -> None:
        self.book.take(line)
        pod = line.get("pod")
        if not isinstance(pod, str):
            if line.get("stage") != "config":
                return
            # It failed before it had a pod; a job that goes on has its pod in the next line.
            pod = f"{line['timestamp']}/{line.get('process')}"
        elif (former := former_name(line)) in self.running:
            self.running[pod] = begun(line, pod)
            self.running[pod].go_on_from(self.running.pop(former))
        elif pod not in self.running and line["event"] != "configured":
            # The rest of an attempt that was counted already, or that began before the log did.
            return
        self.running.setdefault(pod, begun(line, pod)).take(line)
        if self.running[pod].ended:
            self._over(pod)

    def _over(self, pod: str) -> None:
        self.book.count(self.running.pop(pod))

    def _count_lines(self, good: int, broken: int) -> None:
        self.book.add("kaniko_driver_log_lines_total", ("good",), good)
        self.book.add("kaniko_driver_log_lines_total", ("broken",), broken)


@contextlib.contextmanager
def kept(path: str) -> Iterator[Watch]:
    """Give what was kept in a file, and keep it again after the block; one process at a time.

    Raises:
        OSError: the file cannot be read or written.
    """
    with open(f"{path}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        watch = _read(path)
        yield watch
        draft = f"{path}.new"
        with open(draft, "w", encoding="utf-8") as file:
            json.dump(_as_json(watch), file)
        os.replace(draft, path)


def _read(path: str) -> Watch:
    try:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
        if document["version"] != _VERSION:
            return Watch()
        known = {one.name for one in fields(Attempt)}
        running = [
            Attempt(**{name: value for name, value in one.items() if name in known}) for one in document["running"]
        ]
        return Watch(
            device=document["device"],
            inode=document["inode"],
            offset=document["offset"],
            running={one.pod: one for one in running},
            book=Book.from_json(document["book"]),
            read_at=document["read_at"],
        )
    except FileNotFoundError:
        return Watch()
    except (ValueError, KeyError, TypeError):
        # Damaged: counters begin anew, which Prometheus takes for a restart.
        return Watch()


def _as_json(watch: Watch) -> dict[str, Any]:
    return {
        "version": _VERSION,
        "device": watch.device,
        "inode": watch.inode,
        "offset": watch.offset,
        "running": [asdict(one) for one in watch.running.values()],
        "book": watch.book.as_json(),
        "read_at": watch.read_at,
        "written": time.time(),
    }


def _identity(path: str) -> tuple[int, int]:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return 0, 0
    return status.st_dev, status.st_ino
