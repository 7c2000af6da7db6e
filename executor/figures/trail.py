"""The operator log read into attempts that are over, each with all its lines: what a trace is made of.

The log itself is the queue: what was not sent is read again, so a collector may be away as long as the log is kept.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from executor.figures import attempts
from executor.figures.reading import parse, with_rotated
from executor.figures.tail import Tail
from executor.figures.watching import FORGOTTEN_AFTER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from executor.figures.attempts import Attempt

Lines = list[dict[str, Any]]

_VERSION = 1
_MOST_LINES = 500
"""Of one attempt; a job writes some ten, and more only where the same trouble is told again and again."""


@dataclass(kw_only=True)
class Trail:
    """How far the log was read, and the lines of what is not over."""

    begun: bool = False
    tail: Tail = field(default_factory=Tail)
    running: dict[str, Lines] = field(default_factory=dict)
    _known: dict[str, Attempt] = field(default_factory=dict)
    """Key -> the same attempts, as far as their lines tell."""

    def begin(self, path: str, *, since: float) -> None:
        """Choose where to begin, at the first call of all: at the log's end, or where lines since then may be."""
        self.begun = True
        if not since:
            self.tail.skip_to_end(path)
            return
        oldest = next((one for one in with_rotated(path) if os.stat(one).st_mtime >= since), None)
        if oldest is not None:
            status = os.stat(oldest)
            self.tail = Tail(device=status.st_dev, inode=status.st_ino)

    def over(self, path: str, *, most: int, now: float, since: float = 0) -> Iterator[Lines]:
        """Read on, and yield the lines of what is over by then; some of it only, where there is more than `most`."""
        count = 0
        for raw in self.tail.new_lines(path) if self.tail.inode else self.tail.lines_of(path, 0):
            line = parse(raw)
            if line is None or line["time"] < since:
                continue
            ended = self._take(line)
            if ended is not None:
                yield ended
                count += 1
                if count == most:
                    return
        for key, lines in list(self.running.items()):
            if now - lines[-1]["time"] > FORGOTTEN_AFTER:
                yield self._pop(key)

    def _take(self, line: dict[str, Any]) -> Lines | None:
        """Add a line; return all lines of its attempt when it is over."""
        attempts.key_of(line, self._known)
        key = attempts.key_of(line, self.running)
        if not key:
            return None
        lines = self.running.setdefault(key, [])
        # Tracebacks are long, and no trace has them.
        line.pop("exception", None)
        one = self._known.setdefault(key, attempts.begun(line, key))
        one.take(line)
        if len(lines) < _MOST_LINES or one.ended:
            lines.append(line)
        return self._pop(key) if one.ended else None

    def _pop(self, key: str) -> Lines:
        self._known.pop(key, None)
        return self.running.pop(key)

    def as_json(self) -> dict[str, Any]:
        """Return what `from_json` reads."""
        return {"version": _VERSION, "begun": self.begun, "tail": asdict(self.tail), "running": self.running}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Trail:
        """Read what was kept.

        Raises:
            ValueError, KeyError, TypeError: it is damaged. The trail begins anew then, at the log's end.
        """
        if document["version"] != _VERSION:
            raise ValueError("another version")
        found = cls(begun=bool(document["begun"]), tail=Tail(**document["tail"]))
        for lines in document["running"].values():
            for line in lines:
                found._take(line)
        return found
