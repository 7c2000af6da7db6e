"""The cache folder: things that take long to make, each under a key made of what it is made from.

A thing is made under a temporary name and renamed when complete, so whatever has its final name is whole.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from testbed import layout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from testbed.progress import Progress

FOLDERS = ("go", "images", "programs", "rootfs")


def digest(parts: Iterable[str | bytes | Path]) -> str:
    """Return 16 hex digits over texts and whole files; the borders between parts count."""
    total = sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part if isinstance(part, bytes) else part.read_bytes()
        total.update(b"%d:" % len(data))
        total.update(data)
    return total.hexdigest()[:16]


@dataclass(frozen=True)
class Artifact:
    """One cached file or folder."""

    kind: str
    name: str
    key: str
    suffix: str = ""

    @property
    def path(self) -> Path:
        """Its final place."""
        return layout.CACHE / self.kind / f"{self.name}-{self.key}{self.suffix}"

    @property
    def ready(self) -> bool:
        """Whether it is there, and therefore complete."""
        return self.path.exists()

    def make(self, maker: Callable[[Path], None]) -> Path:
        """Have `maker` create it under a temporary path, then give it its name. Call it under `lock` only."""
        if not self.ready:
            temporary = self.path.with_name(f".new-{self.path.name}")
            remove(temporary)
            temporary.parent.mkdir(parents=True, exist_ok=True)
            maker(temporary)
            temporary.rename(self.path)
        return self.path


def remove(path: Path) -> None:
    """Delete a file or a folder; absent is fine."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sweep() -> None:
    """Delete what interrupted work left half made. Call it under `lock` only."""
    for folder in FOLDERS:
        for leftover in (layout.CACHE / folder).glob(".new-*"):
            remove(leftover)


def clear() -> None:
    """Delete everything that can be made again."""
    for folder in FOLDERS:
        remove(layout.CACHE / folder)


@contextmanager
def lock(path: Path, progress: Progress, what: str) -> Iterator[None]:
    """Hold the lock file for the block. The kernel lets go of it when the process ends, however it ends.

    Args:
        path: the lock file; made when missing.
        progress: told when somebody else has it.
        what: what the other one is doing, for that line.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _acquire(handle, progress, what)
            # The one who had it may have deleted the folder with the file: then this is the lock of nothing.
            if os.path.exists(path) and os.path.samestat(os.fstat(handle), os.stat(path)):  # noqa: PTH110, PTH116
                yield
                return
        finally:
            os.close(handle)
        path.parent.mkdir(parents=True, exist_ok=True)


def _acquire(handle: int, progress: Progress, what: str) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        with progress.step(f"waiting for another process that is {what}"):
            fcntl.flock(handle, fcntl.LOCK_EX)
