"""The operator log counted piece by piece, with a file that remembers how far, so that counters only ever go up."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from executor.figures import attempts
from executor.figures.attempts import Attempt
from executor.figures.metrics import Book
from executor.figures.reading import Reading, lines, parse, with_rotated
from executor.figures.tail import Tail

_VERSION = 1
FORGOTTEN_AFTER = 48 * 3600
"""Seconds without a line after which an attempt that is not over will never be."""


@dataclass(kw_only=True)
class Watch:
    """What was read so far."""

    tail: Tail = field(default_factory=Tail)
    running: dict[str, Attempt] = field(default_factory=dict)
    """Key -> attempt that is not over."""
    book: Book = field(default_factory=Book)
    read_at: float = 0

    def update(self, path: str, *, now: float) -> None:
        """Read what is new in the log and in what was moved away since."""
        if self.tail.inode:
            for line in self.tail.new_lines(path):
                self._take_raw(line)
        else:
            self._begin(path)
        # There from the first look on, since no rate sees the step of a counter that has just appeared.
        self.book.add("kaniko_driver_log_gaps_total", (), self.tail.gaps)
        self.tail.gaps = 0
        self._count_lines(0, 0)
        for key, one in list(self.running.items()):
            if now - one.last_seen > FORGOTTEN_AFTER:
                self._over(key)
        self.read_at = now

    def tenants(self) -> set[str]:
        """Return whose jobs were seen."""
        over = {labels[0] for labels in self.book.counters.get("kaniko_driver_jobs_total", {})}
        return over | {one.tenant for one in self.running.values()}

    def _begin(self, path: str) -> None:
        """Read everything that there is, packed files too; the log itself piece by piece from now on."""
        earlier = [one for one in with_rotated(path) if one != path]
        if earlier:
            reading = Reading()
            for parsed in lines(earlier, reading):
                self._take(parsed)
            self._count_lines(reading.lines - reading.broken, reading.broken)
        for line in self.tail.lines_of(path, 0):
            self._take_raw(line)

    def _take_raw(self, line: bytes) -> None:
        if not line.strip(b" \t\r\0"):
            return
        parsed = parse(line)
        self._count_lines(parsed is not None, parsed is None)
        if parsed is not None:
            self._take(parsed)

    def _take(self, line: dict[str, Any]) -> None:
        self.book.take(line)
        key = attempts.key_of(line, self.running)
        if key:
            self.running.setdefault(key, attempts.begun(line, key)).take(line)
            if self.running[key].ended:
                self._over(key)

    def _over(self, key: str) -> None:
        self.book.count(self.running.pop(key))

    def as_json(self) -> dict[str, Any]:
        """Return what `from_json` reads."""
        return {
            "version": _VERSION,
            **asdict(self.tail),
            "running": [asdict(one) for one in self.running.values()],
            "book": self.book.as_json(),
            "read_at": self.read_at,
        }

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Watch:
        """Read what was kept.

        Raises:
            ValueError, KeyError, TypeError: it is damaged. Counters begin anew then, as Prometheus knows of restarts.
        """
        if document["version"] != _VERSION:
            raise ValueError("another version")
        known = {one.name for one in fields(Attempt)}
        running = [
            Attempt(**{name: value for name, value in one.items() if name in known}) for one in document["running"]
        ]
        return cls(
            tail=Tail(**{name: document[name] for name in ("device", "inode", "offset")}),
            running={one.pod: one for one in running},
            book=Book.from_json(document["book"]),
            read_at=document["read_at"],
        )

    def _count_lines(self, good: int, broken: int) -> None:
        self.book.add("kaniko_driver_log_lines_total", ("good",), good)
        self.book.add("kaniko_driver_log_lines_total", ("broken",), broken)
