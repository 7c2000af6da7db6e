"""What a reader of the operator log keeps in a file from one call to the next."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator


class State(Protocol):
    """What can be kept; without arguments it is what there is before the first call."""

    def __init__(self) -> None: ...

    def as_json(self) -> dict[str, Any]:
        """Return what `from_json` reads."""

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Self:
        """Read it; ValueError, KeyError and TypeError say that it is damaged."""


Kept = TypeVar("Kept", bound=State)


@contextlib.contextmanager
def kept(kind: type[Kept], path: str) -> Iterator[Kept]:
    """Give what was kept in a file, and keep it again after the block, unless that fails; one process at a time.

    Raises:
        OSError: the file cannot be read or written.
    """
    with open(f"{path}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        state = _read(kind, path)
        yield state
        draft = f"{path}.new"
        with open(draft, "w", encoding="utf-8") as file:
            json.dump(state.as_json(), file)
        os.replace(draft, path)


def _read(kind: type[Kept], path: str) -> Kept:
    try:
        with open(path, encoding="utf-8") as file:
            return kind.from_json(json.load(file))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return kind()
