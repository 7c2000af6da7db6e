"""The job log: what a developer reads."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from executor.stages import cancel

if TYPE_CHECKING:
    from executor.errors import DriverError

STDOUT, STDERR = 1, 2
_NAME = "kaniko-driver: "
_NEWLINE = ord("\n")


class JobLog:
    """Writes unbuffered, in whole writes: a line of ours must neither wait nor land inside one of the script's."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._at_line_start = True
        self._passed = 0

    def passed(self) -> int:
        """Return how many bytes of the script were passed on."""
        return self._passed

    def script_output(self, data: memoryview) -> None:
        """Pass on bytes of the script, exactly; blocks while the runner does not read.

        Raises:
            Cancelled: by the runner, maybe after a part of the bytes; `passed` counts them.
        """
        with cancel.shielded():
            while data and not cancel.requested():
                written = os.write(self._descriptor, data)
                self._at_line_start = data[written - 1] == _NEWLINE
                self._passed += written
                data = data[written:]

    def say(self, text: str) -> None:
        """Tell the developer something; the first line names the speaker, further ones are indented."""
        start = "" if self._at_line_start else "\n"
        lines = _NAME + "\n  ".join(line for line in text.splitlines() if line) + "\n"
        data = memoryview((start + lines).encode("utf-8", "replace"))
        self._at_line_start = True
        # A runner that reads no more misses our words; what follows from that is decided where script output meets it.
        with contextlib.suppress(BrokenPipeError):
            while data:
                data = data[os.write(self._descriptor, data) :]

    def fail(self, error: DriverError) -> None:
        """Tell what happened, why, and what to do next."""
        self.say(str(error))
