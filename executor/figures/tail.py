"""The operator log read piece by piece, from where it was left.

logrotate moves the log away under the reader's hands: what had been read is known by device and inode, and the rest of
the file that was moved is read before the new one. What is gone before it was read is counted as a gap.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from executor.figures.reading import with_rotated

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHUNK = 1 << 20


@dataclass(kw_only=True)
class Tail:
    """How far the log was read; all zero before the first look."""

    device: int = 0
    inode: int = 0
    offset: int = 0
    gaps: int = 0
    """Times that lines were gone before they were read."""

    def new_lines(self, path: str) -> Iterator[bytes]:
        """Yield what is new in the log and in what was moved away since; whoever stops early goes on there."""
        same = _identity(path) == (self.device, self.inode)
        if same and os.stat(path).st_size >= self.offset:
            yield from self.lines_of(path, self.offset)
            return
        if same:
            # Copied and cut: what was written after the last look is in the copy, which nobody can tell from others.
            self.gaps += 1
            yield from self.lines_of(path, 0)
            return
        rotated = [one for one in with_rotated(path) if one != path]
        mine = next((one for one in rotated if _identity(one) == (self.device, self.inode)), None)
        if mine is None:
            self.gaps += 1
            younger: list[str] = []
        else:
            yield from self.lines_of(mine, self.offset)
            younger = rotated[rotated.index(mine) + 1 :]
        for one in (*younger, path):
            yield from self.lines_of(one, 0)

    def lines_of(self, path: str, offset: int) -> Iterator[bytes]:
        """Yield the lines of one file from an offset on, and remember where the last whole one ended."""
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

    def skip_to_end(self, path: str) -> None:
        """Leave out all that is there now."""
        for _ in self.lines_of(path, 0):
            pass


def _identity(path: str) -> tuple[int, int]:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return 0, 0
    return status.st_dev, status.st_ino
