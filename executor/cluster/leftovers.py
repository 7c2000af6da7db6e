"""Pods of jobs that are over and that nobody deleted: which they are, and how to delete them safely.

One piece for the sweep in `cleanup` and for `kaniko-driver gc`. The label of a job and the deadline that its pod has
decide, and nothing that a host knows: so it is safe beside running jobs, and beside the sweeps of other hosts. A pod
that waits warm for a job has no job's label and is none of them. Secrets are never left over: each belongs to its pod.
"""

from __future__ import annotations

import time

from executor.errors import ClusterRefused
from executor.pod import names
from executor.values import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from executor.cluster.api import Api

_PAGE, _ONE_PAGE = 200, 50
"""Pods of a page for who looks through all of them, and for who looks at one page alone: every job does, and with a
thousand pods in the namespace pages of 200 cost the API server more than all else that the jobs asked of it."""
_GONE = 410
_STUCK_SECONDS = 120.0
"""How long after its grace a pod may still be there: longer means that no kubelet will ever end it."""
_LONGEST_TIME = 15
"""Digits of a deadline. Whoever has a tenant's token can write what he likes there; more is none of the driver's."""


@dataclass(frozen=True, kw_only=True)
class Leftover:
    """A pod to delete."""

    metadata: dict[str, Any]
    why: str
    """`attempt`: a further pod of an attempt that is over; `deadline`; `stuck`: deleted, but its node is gone."""
    overdue: float
    """Seconds for which it should have been gone."""

    @property
    def name(self) -> str:
        """Return the pod's name."""
        return str(self.metadata["name"])

    @property
    def job(self) -> str:
        """Return the number of its job."""
        return str((self.metadata.get("labels") or {}).get(names.JOB_LABEL, ""))


def found(api: Api, tenant: str, *, attempt: str = "", pages: int | None = None) -> Iterator[Leftover]:
    """Yield a tenant's leftovers, a page of pods in memory at a time.

    Args:
        api: the tenant's namespace.
        tenant: whose pods.
        attempt: an attempt that is over, whose pods are leftovers whatever their deadline.
        pages: how many pages of pods to look through at most; None: all.
    """
    token, selector = "", f"{names.TENANT_LABEL}={tenant},{names.JOB_LABEL}"
    limit = _ONE_PAGE if pages == 1 else _PAGE
    while pages is None or pages > 0:
        try:
            pods, token = api.page_of_pods(selector, limit=limit, after=token)
        except ClusterRefused as refused:
            # The list took longer than the server remembers it; what was seen is deleted by now, so from the start.
            if refused.status != _GONE or not token:
                raise
            token = ""
            continue
        now = time.time()
        for metadata in pods:
            if leftover := of(metadata, now, attempt=attempt):
                yield leftover
        if not token:
            return
        pages = None if pages is None else pages - 1


def of(metadata: dict[str, Any], now: float, *, attempt: str = "") -> Leftover | None:
    """Judge one pod by its metadata at a Unix time."""
    if deleted := metadata.get("deletionTimestamp"):
        # When its grace is over, in UTC.
        overdue = now - _unix_time(str(deleted)) - _STUCK_SECONDS
        return Leftover(metadata=metadata, why="stuck", overdue=overdue) if overdue > 0 else None
    stamp = str((metadata.get("annotations") or {}).get(names.DEADLINE_ANNOTATION, ""))
    overdue = now - int(stamp) if stamp.isdecimal() and len(stamp) <= _LONGEST_TIME else 0.0
    if attempt and (metadata.get("labels") or {}).get(names.ATTEMPT_LABEL) == attempt:
        return Leftover(metadata=metadata, why="attempt", overdue=max(0.0, overdue))
    return Leftover(metadata=metadata, why="deadline", overdue=overdue) if overdue > 0 else None


def delete(api: Api, leftover: Leftover) -> bool:
    """Delete one, unless somebody changed it since it was judged; false when there was nothing to do any more."""
    grace = 0 if leftover.why == "stuck" else None
    return api.delete_pod_as_seen(leftover.metadata, grace_seconds=grace)


def _unix_time(stamp: str) -> float:
    # Imported here: few pods are being deleted when somebody looks.
    from datetime import datetime

    try:
        return datetime.fromisoformat(stamp).timestamp()
    except ValueError:
        return float("inf")
