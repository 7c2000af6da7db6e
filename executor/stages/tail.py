"""The end of what a script printed, for a hint at why it failed.

Keeps references to the messages that passed through anyway, so that 200 MB cost no copy, and no more of them than hold
the last few kilobytes.
"""

from __future__ import annotations

from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_BYTES = 16 * 1024
"""Kaniko prints nine kilobytes of help below the line that says what is wrong with its arguments."""


class Tail:
    """Passes bytes on and remembers the last ones."""

    def __init__(self, sink: Callable[[memoryview], None]) -> None:
        self._sink = sink
        self._last: deque[memoryview] = deque()
        self._size = 0

    def pass_on(self, data: memoryview) -> None:
        """Hand bytes to the sink."""
        self._last.append(data)
        self._size += len(data)
        while self._size - len(self._last[0]) >= _BYTES:
            self._size -= len(self._last.popleft())
        self._sink(data)

    def text(self) -> str:
        """Return the end as text, whatever bytes it is made of."""
        return b"".join(self._last)[-_BYTES:].decode("utf-8", "replace")
