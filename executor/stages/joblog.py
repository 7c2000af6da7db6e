"""The job log: what a developer reads. A stage's stdout and stderr both end there, except `config`'s stdout."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.errors import DriverError

_STDOUT, _STDERR = 1, 2
_NAME = "kaniko-driver: "


class JobLog:
    """Writes unbuffered, in whole writes: a line of ours must neither wait nor land inside one of the script's."""

    def __init__(self) -> None:
        self._at_line_start = True

    def script_output(self, data: memoryview) -> None:
        """Pass on bytes of the script, exactly; blocks while the runner does not read."""
        if not data:
            return
        self._at_line_start = data[-1] == ord("\n")
        _write_all(_STDOUT, data)

    def say(self, text: str) -> None:
        """Tell the developer something; the first line names the speaker, further ones are indented."""
        start = "" if self._at_line_start else "\n"
        lines = _NAME + "\n  ".join(line for line in text.splitlines() if line) + "\n"
        self._at_line_start = True
        _write_all(_STDERR, memoryview((start + lines).encode("utf-8", "replace")))

    def fail(self, error: DriverError) -> None:
        """Tell what happened, why, and what to do next."""
        self.say(str(error))


def _write_all(descriptor: int, data: memoryview) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
