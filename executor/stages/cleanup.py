"""cleanup: delete the job pod of this attempt, and a few leftovers of the same tenant.

Never fails a job, never waits for the kubelet, and works when nothing was made. Its stderr goes to the runner's log.
The attempt label decides and never the job id: another live attempt of the same job must survive.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from itertools import islice

from executor.cluster import leftovers
from executor.cluster.api import Api
from executor.errors import Cancelled, DriverError
from executor.stages import keeping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from executor.job import Job
    from executor.journal import Journal

_SWEEP_AT_MOST = 5
_LAST_PATIENCE = 5.0
"""Seconds to spend on the pod once the runner has given up."""
_BRIEF_PATIENCE = 5.0
"""Seconds for one request when `prepare` has just waited for the API server in vain: the runner tries three times, and
each try would wait for it twice. A pod that a create in flight may have made ends by itself and is swept."""
_LANDING_SECONDS = 5.0
"""How long a create that was in flight when `prepare` was killed may take to appear."""


def cleanup(job: Job, journal: Journal, *, intent: str, keep_mark: str, lost_mark: str, unreachable_mark: str) -> int:
    """Carry out the stage.

    Args:
        job: as `config` resolved it.
        journal: operator log.
        intent: path of the mark that `prepare` leaves while a create is in flight.
        keep_mark: path of the mark that `run` leaves when the pod of a failed job is to be kept.
        lost_mark: path of the mark that `run` leaves when the pod's node is gone.
        unreachable_mark: path of the mark that `prepare` leaves when the API server did not answer.
    """
    patience = min(job.connection_timeout, _BRIEF_PATIENCE) if os.path.exists(unreachable_mark) else None
    try:
        began = time.monotonic()
        api = Api(
            job.connection,
            on_retry=journal.tried_again,
            patience=patience or job.connection_timeout,
        )
        with api:
            if os.path.exists(lost_mark):
                # No kubelet will ever say that the containers have ended; one that comes back ends them at once.
                api.delete_pod(job.pod, grace_seconds=0)
                journal.info("pod of a lost node deleted", seconds=_since(began))
            elif not (os.path.exists(keep_mark) and _kept(api, job, journal)):
                found = _delete(api, job, intent)
                journal.info("pod deleted" if found else "no pod to delete", seconds=_since(began))
            _sweep(api, job, journal)
    except DriverError as error:
        # What is left has a deadline of its own, and the next cleanup of this tenant finds it by its annotation.
        journal.error("cleanup left something behind", exception=error)
    except Cancelled:
        # The host goes down, and nobody will call again.
        if not os.path.exists(keep_mark):
            _try_once_more(job, journal)
        raise
    return 0


def _try_once_more(job: Job, journal: Journal) -> None:
    with suppress(DriverError), Api(job.connection, on_retry=journal.tried_again, patience=_LAST_PATIENCE) as api:
        api.delete_pod(job.pod)


def _kept(api: Api, job: Job, journal: Journal) -> bool:
    try:
        keeping.keep(api, job, journal)
    except DriverError as error:
        journal.warning("the pod of the failed job is not kept", reason=str(error))
        return False
    return True


def _since(began: float) -> float:
    return round(time.monotonic() - began, 3)


def _delete(api: Api, job: Job, intent: str) -> bool:
    """Delete the job's pod, also one that the cluster is still about to make; False: there is none."""
    found = api.delete_pod(job.pod)
    if not found and os.path.exists(intent):
        found = _delete_when_it_lands(api, job)
    return found


def _delete_when_it_lands(api: Api, job: Job) -> bool:
    pod = {"metadata": {"resourceVersion": "0"}}
    end = time.monotonic() + _LANDING_SECONDS
    while (left := end - time.monotonic()) > 0:
        with api.watch_pod(job.pod, resource_version=pod["metadata"]["resourceVersion"], seconds=left) as watch:
            if watch.next():
                return api.delete_pod(job.pod)
    return False


def _sweep(api: Api, job: Job, journal: Journal) -> None:
    """Delete further pods of this attempt, and a few leftovers of any attempt."""
    # The first page of the tenant's pods is enough for a sweep that every job makes; `gc` looks at all of them.
    others = (one for one in leftovers.found(api, job.tenant, attempt=job.attempt, pages=1) if one.name != job.pod)
    for leftover in islice(others, _SWEEP_AT_MOST):
        if leftovers.delete(api, leftover):
            journal.info("leftover deleted", leftover=leftover.name, reason=leftover.why)
