"""Say what is being done and how long it takes, in lines that read well on a terminal and in a CI log."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST_SIGN = 2.0  # seconds until a step that still runs says so
SIGN_OF_LIFE = 15.0  # seconds between later signs


class Progress:
    """Lines such as `[  12.3 s] building kubelet … done in 4.5 s`; times count from the making of this object."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._started = time.monotonic()
        self._lock = threading.Lock()

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    def say(self, text: str) -> None:
        """Print one line with the time in front."""
        with self._lock:
            print(f"[{self.elapsed:6.1f} s] {text}", file=self._stream, flush=True)

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Print one line when the block is done; while it runs, a sign of life now and then.

        Use it around work only: a step that finds everything done already should not be announced.
        """
        begun = time.monotonic()
        over = threading.Event()
        ticker = threading.Thread(target=self._tick, args=(what, begun, over), daemon=True)
        ticker.start()

        def end(how: str) -> None:
            # The ticker first: no sign of life may follow the last line.
            over.set()
            ticker.join()
            self.say(f"{what} … {how} {time.monotonic() - begun:.1f} s")

        try:
            yield
        except BaseException:
            end("failed after")
            raise
        end("done in")

    def _tick(self, what: str, begun: float, over: threading.Event) -> None:
        if over.wait(FIRST_SIGN):
            return
        self.say(f"{what} …")
        while not over.wait(SIGN_OF_LIFE):
            self.say(f"{what} … {time.monotonic() - begun:.0f} s so far")
