"""The operator log: JSON lines, apart from the job log.

Written with the standard library in the form of structlog's JSON renderer: importing structlog costs 0.13 s, which is
more than a whole stage may take. One `write` a line keeps lines of parallel stages whole.
"""

from __future__ import annotations

import json
import os
import time

from executor.scrub import without_logins

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Journal:
    """Appends events with the fields that every line of this stage carries."""

    def __init__(self, path: str | None = None, **context: Any) -> None:
        self.path = path
        self.context = context
        self.complaint = ""

    def bind(self, **context: Any) -> None:
        """Add fields to every later line."""
        self.context |= context

    def info(self, event: str, **fields: Any) -> None:
        """Something worth knowing happened."""
        self._write("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """Something needs the operator's attention."""
        self._write("warning", event, fields)

    def tried_again(self, failure: BaseException) -> None:
        """A request to the API server failed and is made again."""
        self.warning("API request tried again", reason=str(failure))

    def error(self, event: str, *, exception: BaseException | None = None, **fields: Any) -> None:
        """A stage failed; the traceback belongs here and never in the job log."""
        if exception is not None:
            # Imported here: only failures need it.
            import traceback

            fields["exception"] = "".join(traceback.format_exception(exception))
        self._write("error", event, fields)

    def _write(self, level: str, event: str, fields: dict[str, Any]) -> None:
        now = time.time()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03d}Z"
        line = json.dumps({"timestamp": stamp, "level": level, "event": event, **self.context, **fields}, default=str)
        if self.path is None:
            return
        line = without_logins(line)
        try:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
            try:
                os.write(descriptor, line.encode() + b"\n")
            finally:
                os.close(descriptor)
        except OSError as error:
            # A job does not fail for the operator's log; `config` says it once.
            self.complaint = f"{self.path}: {error.strerror}"
