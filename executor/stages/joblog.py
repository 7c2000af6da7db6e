"""The job log: what a developer reads."""

from __future__ import annotations

import contextlib
import os
import time

from executor.runner import sections
from executor.scrub import without_logins, without_orders
from executor.stages import cancel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from executor.errors import DriverError

STDOUT, STDERR = 1, 2
_NAME = "kaniko-driver: "
_NEWLINE = ord("\n")
_LONGEST_LINE = 4000


def _lines(text: str) -> str:
    # Words of the cluster, of services and of the job itself are among it.
    lines = (without_orders(line)[:_LONGEST_LINE] for line in without_logins(text).splitlines())
    return _NAME + "\n  ".join(line for line in lines if line) + "\n"


class JobLog:
    """Writes unbuffered, in whole writes: a line of ours must neither wait nor land inside one of the script's."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._at_line_start = True
        self._passed = 0
        self.folds = False
        """Sections are wanted: GitLab reads them, and the job did not ask for plain text."""
        self._waiting = ""

    def passed(self) -> int:
        """Return how many bytes of the script were passed on."""
        return self._passed

    def script_output(self, data: memoryview) -> None:
        """Pass on bytes of the script, exactly; blocks while the runner does not read.

        Raises:
            Cancelled: by the runner, maybe after a part of the bytes; `passed` counts them.
        """
        if self._waiting and (lines := bytes(data).rfind(b"\n") + 1):
            self._pass_on(data[:lines])
            self.say_waiting()
            data = data[lines:]
        self._pass_on(data)

    def _pass_on(self, data: memoryview) -> None:
        with cancel.shielded():
            while data and not cancel.requested():
                written = os.write(self._descriptor, data)
                self._at_line_start = data[written - 1] == _NEWLINE
                self._passed += written
                data = data[written:]

    def say(self, text: str) -> None:
        """Tell the developer something; the first line names the speaker, further ones are indented."""
        self.say_waiting()
        self._write(_lines(text))

    def insert(self, lines: str) -> None:
        """Add whole lines of somebody else's, as they are, as soon as no line of the script is torn by them."""
        if self._at_line_start:
            self._write(lines)
        else:
            self._waiting += lines

    def holds_back(self) -> bool:
        """Tell whether something waits for the end of a line of the script."""
        return bool(self._waiting)

    @contextlib.contextmanager
    def section(self, name: str, header: str, *, collapsed: bool = False) -> Iterator[None]:
        """Fold what is said inside under a header; without sections it is said all the same.

        The section ends whatever happens inside, so that an error is said outside and seen.
        """
        self._write((sections.start(name, now=time.time(), collapsed=collapsed) if self.folds else "") + _lines(header))
        try:
            yield
        finally:
            if self.folds:
                self._write(sections.end(name, now=time.time()))

    def _write(self, text: str) -> None:
        data = memoryview((("" if self._at_line_start else "\n") + text).encode("utf-8", "replace"))
        self._at_line_start = True
        # A runner that reads no more misses our words; what follows from that is decided where script output meets it.
        with contextlib.suppress(BrokenPipeError):
            while data:
                data = data[os.write(self._descriptor, data) :]

    def say_between_lines(self, text: str) -> None:
        """Tell the developer something as soon as no line of the script is torn by it."""
        self.insert(_lines(text))

    def say_waiting(self) -> None:
        """Tell what still waits for the end of a line, since nothing more of the script comes."""
        lines, self._waiting = self._waiting, ""
        if lines:
            self._write(lines)

    def fail(self, error: DriverError) -> None:
        """Tell what happened, why, and what to do next."""
        self.say(str(error))
