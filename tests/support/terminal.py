"""A real terminal for a program, as a person has one."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable

_SECONDS = 180.0
# The size is the terminal's, whatever the tests' own surroundings say; SIGINT may be ignored in them.
_ENVIRONMENT = ("--unset=COLUMNS", "--unset=LINES", "--default-signal=INT", "TERM=xterm-256color")


class Terminal:
    """A program on a terminal of a size; what it shows is in `shown`, with all its orders to the terminal."""

    def __init__(self, *command: str, columns: int, lines: int = 24) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.modes = termios.tcgetattr(theirs)
        # Of its own session, so that this is the terminal whose Ctrl-C it hears.
        self._program = subprocess.Popen(
            ["setsid", "--ctty", "--wait", "env", *_ENVIRONMENT, *command],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        self._theirs = theirs
        self.shown = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._program.kill()
        self._program.wait()
        os.close(self._ours)
        os.close(self._theirs)

    def until(self, what: str, condition: Callable[[str], object]) -> None:
        """Read until what is shown fulfils the condition."""
        end = time.monotonic() + _SECONDS
        while not condition(self.shown):
            assert time.monotonic() < end, f"{what}: not within {_SECONDS:g} s; shown: {self.shown!r}"
            if select.select([self._ours], [], [], 0.2)[0]:
                self.shown += os.read(self._ours, 65_536).decode("utf-8", "replace")

    def type(self, keys: str) -> None:
        """Press keys, as the bytes that a terminal sends for them."""
        os.write(self._ours, keys.encode())

    def end(self) -> int:
        """Read the rest and return the exit code."""
        self.until("the program's end", lambda _: self._program.poll() is not None)
        while select.select([self._ours], [], [], 0)[0]:
            self.shown += os.read(self._ours, 65_536).decode("utf-8", "replace")
        return self._program.returncode

    @property
    def modes_now(self) -> list[object]:
        """How the terminal is set: echo, lines, signals."""
        return list(termios.tcgetattr(self._theirs))
