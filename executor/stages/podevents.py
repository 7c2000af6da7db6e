"""FF_PRINT_POD_EVENTS: what the cluster's events say of the pod's start, for jobs that ask for it.

As a list at its end, also where it fails; while the pod waits, the reason is told anyway.
"""

from __future__ import annotations

from contextlib import contextmanager

from executor.errors import DriverError
from executor.stages.anew import BeginAnew

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from executor.cluster.api import Api
    from executor.job import Job
    from executor.journal import Journal
    from executor.stages.joblog import JobLog

_TIMES = ("eventTime", "lastTimestamp", "firstTimestamp")


@contextmanager
def told(api: Api, job: Job, journal: Journal, log: JobLog) -> Iterator[None]:
    """List the events once the block has ended, well or not; a cancelled job has no use for them."""
    try:
        yield
    except (DriverError, BeginAnew):
        _tell(api, job, journal, log)
        raise
    _tell(api, job, journal, log)


def _tell(api: Api, job: Job, journal: Journal, log: JobLog) -> None:
    try:
        events = api.events_of(job.pod)
    except DriverError as error:
        journal.warning("the events of the pod cannot be read", reason=str(error))
        return
    lines = [f"{one.get('type')}   {one.get('reason')}   {one.get('message')}" for one in sorted(events, key=_time)]
    # The same heading as the built-in executor's.
    log.say("\n".join(("events of the pod (FF_PRINT_POD_EVENTS):", "Type     Reason      Message", *lines)))


def _time(event: dict[str, Any]) -> str:
    """Return when it happened, cut to the second: some have fractions, and sorting keeps the order of the others."""
    return next((str(event[name])[:19] for name in _TIMES if event.get(name)), "")
