"""One job of the coordinator: what the runner has said about it so far, and what the test wants of it.

Two sides meet here under one lock: the server's threads record the runner's requests, the test's thread waits, reads
the log as it grows and cancels. Knows nothing of HTTP; the answers it gives are the meaning, not the status codes.
"""

from __future__ import annotations

import threading
import zlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from testbed.errors import BedError
from testbed.jobs import payload

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from testbed.jobs import Circumstances, JobSpec, Json

State = Literal["success", "failed", "canceled"]
Wish = Literal["running", "canceling", "canceled"]

RESENDS = 3
"""How often a runner is asked for the whole trace again before the job is taken as it is."""


@dataclass(frozen=True)
class Timings:
    """When things happened; None is never."""

    submitted: datetime
    handed_out: datetime | None = None
    first_trace: datetime | None = None
    finished: datetime | None = None


@dataclass(frozen=True)
class StoredArtifact:
    """An uploaded archive: `name` as the runner called it, `kind` as in `artifact_type`."""

    name: str
    kind: str
    path: Path


@dataclass(frozen=True)
class JobResult:
    """How a job ended.

    `state` is what GitLab would show; `exit_code` and `failure_reason` are what the runner reported.
    `trace_complete` says that the runner's checksum and size are those of the trace that arrived.
    """

    ident: int
    state: State
    exit_code: int
    failure_reason: str
    trace: bytes
    trace_complete: bool
    artifacts: tuple[StoredArtifact, ...]
    timings: Timings


class SubmittedJob:
    """A job from its submission to its end."""

    def __init__(self, spec: JobSpec, given: Circumstances, folder: Path) -> None:
        self.spec = spec
        self.given = given
        self.folder = folder
        self._changed = threading.Condition()
        self._trace = bytearray()
        self._checksum = 0
        self._resends = 0
        self._wish: Wish = "running"
        self._cancel_marks: list[bytes] = []
        self._artifacts: list[StoredArtifact] = []
        self._submitted = datetime.now(UTC)
        self._handed_out: datetime | None = None
        self._first_trace: datetime | None = None
        self._result: JobResult | None = None

    # ---- for the test

    @property
    def ident(self) -> int:
        """The job's number, as the runner and the pod know it."""
        return self.given.ident

    @property
    def trace(self) -> bytes:
        """The job log as far as it has arrived."""
        with self._changed:
            return bytes(self._trace)

    @property
    def artifacts(self) -> tuple[StoredArtifact, ...]:
        """What has been uploaded so far."""
        with self._changed:
            return tuple(self._artifacts)

    @property
    def result(self) -> JobResult | None:
        """How it ended; None while it has not."""
        with self._changed:
            return self._result

    @property
    def running(self) -> bool:
        """A runner has it and has not given it back."""
        with self._changed:
            return self._handed_out is not None and self._result is None

    def wait(self, timeout: float = 600) -> JobResult:
        """Return when the runner has finished with the job.

        Raises:
            BedError: it has not within `timeout` seconds.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._result is not None, timeout) or self._result is None:
                raise BedError(f"job {self.ident} has not ended within {timeout:.0f} s; {self._where_it_stands()}")
            return self._result

    def wait_for(self, text: str, timeout: float = 300) -> None:
        """Return when `text` stands in the job log.

        Raises:
            BedError: the job ended without it, or it did not come within `timeout` seconds.
        """
        mark = text.encode()
        with self._changed:
            self._changed.wait_for(lambda: mark in self._trace or self._result is not None, timeout)
            if mark not in self._trace:
                raise BedError(f"{text!r} is not in the log of job {self.ident}; {self._where_it_stands()}")

    def follow(self, silence: float = 600) -> Iterator[bytes]:
        """Give the job log as it comes, until the job is over.

        Raises:
            BedError: nothing came for `silence` seconds.
        """
        shown = 0
        while piece := self._after(shown, silence):
            shown += len(piece)
            yield piece

    def cancel(self) -> None:
        """Cancel as a click in GitLab does: the script stops, after_script and uploads still run."""
        self._want("canceling")

    def abort(self) -> None:
        """Cancel by force: the runner drops everything that it has not done yet."""
        self._want("canceled")

    def cancel_when(self, text: str) -> None:
        """Cancel as soon as `text` stands in the job log, in the very answer to the request that brought it."""
        with self._changed:
            self._cancel_marks.append(text.encode())
            self._look_for_marks()

    # ---- for the server

    @property
    def wish(self) -> Wish:
        """What the runner is told about the job in each answer."""
        with self._changed:
            return self._wish

    def claim(self) -> bool:
        """Take the job for a runner; False when another has it, it is over, or it waits for other jobs."""
        if any(needed.result is None for needed in self.spec.dependencies):
            return False
        with self._changed:
            if self._handed_out is not None or self._result is not None:
                return False
            self._handed_out = datetime.now(UTC)
            self._changed.notify_all()
            return True

    def payload(self) -> Json:
        """What the runner is told about the job that it has taken."""
        dependencies = tuple(needed.as_dependency() for needed in self.spec.dependencies)
        return payload(self.spec, replace(self.given, dependencies=dependencies))

    def append(self, start: int, data: bytes) -> bool:
        """Add `data` to the log if it belongs at its end; False means that the runner has to send from there."""
        with self._changed:
            if start != len(self._trace):
                return False
            self._first_trace = self._first_trace or datetime.now(UTC)
            self._trace += data
            self._checksum = zlib.crc32(data, self._checksum)
            self._look_for_marks()
            self._changed.notify_all()
        with (self.folder / "trace.log").open("ab") as file:
            file.write(data)
        return True

    def trace_size(self) -> int:
        """How many bytes of the log have arrived."""
        with self._changed:
            return len(self._trace)

    def finish(self, update: Json) -> bool:
        """The runner reports the job's end; False means that the log is not the one it sent and must come again."""
        with self._changed:
            output = update.get("output") or {}
            same = (output.get("checksum"), output.get("bytesize")) == (
                f"crc32:{self._checksum:08x}",
                len(self._trace),
            )
            if not same and self._resends < RESENDS and self._wish != "canceled":
                self._resends += 1
                self._forget_trace()
                return False
            self._end(
                state="success" if update["state"] == "success" else "failed",
                exit_code=int(update.get("exit_code") or 0),
                failure_reason=str(update.get("failure_reason") or ""),
                trace_complete=same,
            )
            return True

    def keep(self, artifact: StoredArtifact) -> None:
        """An archive was uploaded completely."""
        with self._changed:
            self._artifacts.append(artifact)
            self._changed.notify_all()

    def as_dependency(self) -> Json:
        """How the payload of a later job names this one; the file is left out where nothing was uploaded."""
        archives = [artifact for artifact in self.artifacts if artifact.kind == "archive"]
        dependency: Json = {"id": self.ident, "token": self.given.token, "name": self.spec.name}
        if archives:
            dependency["artifacts_file"] = {
                "filename": archives[0].name,
                "size": archives[0].path.stat().st_size,
            }
        return dependency

    # ---- inside; the lock is held

    def _after(self, shown: int, silence: float) -> bytes:
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._trace) > shown or self._result is not None, silence):
                raise BedError(f"the log of job {self.ident} has been silent for {silence:.0f} s")
            return bytes(self._trace[shown:])

    def _want(self, wish: Wish) -> None:
        with self._changed:
            if self._wish != "canceled":
                self._wish = wish
            if self._handed_out is None and self._result is None:
                self._end(state="canceled", exit_code=0, failure_reason="", trace_complete=True)

    def _look_for_marks(self) -> None:
        if self._wish == "running" and any(mark in self._trace for mark in self._cancel_marks):
            self._wish = "canceling"

    def _forget_trace(self) -> None:
        self._trace.clear()
        self._checksum = 0
        (self.folder / "trace.log").unlink(missing_ok=True)

    def _end(self, *, state: State, exit_code: int, failure_reason: str, trace_complete: bool) -> None:
        self._result = JobResult(
            ident=self.ident,
            state=state if self._wish == "running" else "canceled",
            exit_code=exit_code,
            failure_reason=failure_reason,
            trace=bytes(self._trace),
            trace_complete=trace_complete,
            artifacts=tuple(self._artifacts),
            timings=Timings(self._submitted, self._handed_out, self._first_trace, datetime.now(UTC)),
        )
        self._changed.notify_all()

    def _where_it_stands(self) -> str:
        if self._handed_out is None:
            return "no runner has asked for it"
        tail = bytes(self._trace[-2000:]).decode("utf-8", "replace")
        return f"its log so far ({len(self._trace)} bytes) ends with:\n{tail}"
