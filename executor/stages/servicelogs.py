"""CI_DEBUG_SERVICES: what a job's services print goes to its log, between the lines of the script.

A custom executor has a job log only while one of its stages runs, so every stage goes on where the last one stopped.
Threads read, one for each service: a connection that hangs must not hold the script up. The stage alone writes.
Form of a line: helpers/service/logger.go of GitLab Runner 19.4.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import threading
import time
from contextlib import contextmanager, suppress

from executor.cluster import podlog
from executor.cluster.podlog import Bell, Position
from executor.errors import Cancelled, ClusterRefused, ClusterUnreachable, DriverError, RunnerGone
from executor.values import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from executor.job import Connection, Job
    from executor.journal import Journal
    from executor.stages.joblog import JobLog

_GREY, _RESET = "\x1b[0;37m", "\x1b[0;m"
_WAITING_AT_MOST = 1000
"""Lines that were read and not written: a service that prints more is read more slowly."""
_LAST_SECONDS = 2.0
"""How long the end of a stage may wait for the last lines; what does not come by then comes with the next stage."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 8.0
_DENIALS = 3
"""An API server that has just started knows no rights for a moment."""
_FORBIDDEN = 403


@dataclass(frozen=True)
class _Line:
    container: str
    text: str
    position: Position


@dataclass(frozen=True)
class _Ended:
    """A reader will bring nothing more; `failure` says why it could not."""

    failure: Exception | None


@contextmanager
def shown(
    job: Job, journal: Journal, log: JobLog, path: str, check: Callable[[], None]
) -> Iterator[Callable[[], None]]:
    """Show the services' lines as long as the block lasts.

    Args:
        job: with the services to show.
        journal: operator log.
        log: job log.
        path: of a file that tells the next stage where this one stopped.
        check: to be called about once a second.

    Yields:
        What is to be called instead.
    """
    services = _Services(job, journal, log, path)

    def tick() -> None:
        check()
        services.show()

    try:
        yield tick
    except (Cancelled, RunnerGone, BrokenPipeError):
        services.end(seconds=0)
        raise
    except BaseException:
        services.end(seconds=_LAST_SECONDS)
        raise
    services.end(seconds=_LAST_SECONDS)


class _Services:
    def __init__(self, job: Job, journal: Journal, log: JobLog, path: str) -> None:
        self._names = job.service_logs
        self._journal = journal
        self._log = log
        self._path = path
        self._bell = Bell()
        self._came: queue.Queue[_Line | _Ended] = queue.Queue(_WAITING_AT_MOST)
        self._positions = _read(path)
        self._readers = 0
        # A log that could not be had is not asked for again in this job.
        if self._positions is not None:
            self._begin(job, self._positions)

    def _begin(self, job: Job, positions: dict[str, list[Any]]) -> None:
        self._readers = len(self._names)
        for container in self._names:
            after = Position(*positions.get(container, ()))
            reader = _Reader(job.connection, job.pod, container, after, self._came, self._bell)
            threading.Thread(target=reader.run, name=container, daemon=True).start()

    def show(self) -> None:
        """Write what has come, between two lines of the script."""
        lines = ""
        # Not more than so much at once: the script's own lines have their turn, too.
        for _ in range(_WAITING_AT_MOST):
            if self._log.holds_back() or self._came.empty():
                break
            lines += self._taken(self._came.get_nowait())
        if lines:
            self._log.insert(lines)

    def end(self, *, seconds: float) -> None:
        """Read what is there by now, and remember where the next stage goes on."""
        self._bell.ring()
        end = time.monotonic() + seconds
        while self._readers and (left := end - time.monotonic()) > 0:
            try:
                self._log.insert(self._taken(self._came.get(timeout=left)))
            except queue.Empty:
                break
            # The script is over, and with it its last line.
            self._log.say_waiting()
        # Without it lines come twice, which is no reason to fail a job.
        with suppress(OSError), open(self._path, "w", encoding="ascii") as file:
            json.dump(self._positions, file)

    def _taken(self, one: _Line | _Ended) -> str:
        if isinstance(one, _Line):
            assert self._positions is not None  # noqa: S101 - nothing is read without
            self._positions[one.container] = [one.position.stamp, one.position.lines]
            return f"{_GREY}[service:{self._names[one.container]}] {one.text}{_RESET}\n"
        self._readers -= 1
        if one.failure is not None and self._positions is not None:
            self._give_up(one.failure)
        return ""

    def _give_up(self, failure: Exception) -> None:
        self._positions = None
        self._bell.ring()
        self._journal.error("logs of services cannot be read", exception=failure)
        why = type(failure).__name__
        if isinstance(failure, DriverError):
            why = f"{failure.why or failure.what}\n{failure.remedy}"
        self._log.say_between_lines(f"the logs of the services are not shown (CI_DEBUG_SERVICES): {why}")


def _read(path: str) -> dict[str, list[Any]] | None:
    """Return where earlier stages stopped, by container; None when they gave it up."""
    if not os.path.exists(path):
        return {}
    try:
        with open(path, encoding="ascii") as file:
            positions: dict[str, list[Any]] | None = json.load(file)
    except ValueError:
        # A stage was killed while it wrote: better twice than never.
        return {}
    return positions


class _Reader:
    """One service's log, over as many connections as it takes."""

    def __init__(
        self,
        connection: Connection,
        pod: str,
        container: str,
        position: Position,
        sink: queue.Queue[_Line | _Ended],
        bell: Bell,
    ) -> None:
        self._connection = connection
        self._pod = pod
        self._container = container
        self._position = position
        self._sink = sink
        self._bell = bell

    def run(self) -> None:
        """Read until the bell rings, and then once more what is there."""
        # The runner's signals are for the thread that can obey them.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM})
        failure: Exception | None = None
        try:
            self._read_to_the_end()
        except Exception as error:  # noqa: BLE001 - a thread's own last words would be a traceback in the job log
            failure = error
        self._sink.put(_Ended(failure))

    def _read_to_the_end(self) -> None:
        pause, denials, last = _FIRST_PAUSE, 0, False
        while not last:
            last = self._bell.rung
            more = False
            try:
                more = self._pass_on()
            except ClusterUnreachable:
                pass
            except ClusterRefused as refused:
                # Anything else may pass: the container starts, the node comes back, or the script finds the pod gone.
                denials += refused.status == _FORBIDDEN
                if denials >= _DENIALS:
                    raise
            pause = _FIRST_PAUSE if more else min(2 * pause, _LONGEST_PAUSE)
            if not last:
                self._bell.wait(pause)

    def _pass_on(self) -> bool:
        """Read as long as a connection lasts, and tell whether anything new came."""
        before = self._position
        lines = podlog.read(self._connection, pod=self._pod, container=self._container, after=before, bell=self._bell)
        for text, self._position in lines:
            self._sink.put(_Line(self._container, text, self._position))
        return self._position != before
