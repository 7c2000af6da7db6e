"""Claim a warm pod for a job: one change of its labels, which exactly one of many jobs can make.

The pod's version goes along with the change, so whoever comes second is refused and takes the next one. Without its
label the ReplicaSet no longer counts the pod and starts another. No pod is waited for: where none fits, the start is a
cold one. Only where pods wait small is the node asked whether the claimed one may grow.
"""

from __future__ import annotations

import os
import time
from datetime import datetime

from executor.pod import names
from executor.stages import cancel
from executor.values import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from decimal import Decimal
    from typing import Any

    from executor.cluster.api import Api
    from executor.job import Job
    from executor.journal import Journal

_LISTED_AT_MOST = 50
_CLOCK_SLACK = 60
"""Seconds by which the node's clock, that counts the deadline, may differ from this host's."""


def claim(
    api: Api, job: Job, journal: Journal, rewrite: Callable[[Job], None]
) -> tuple[tuple[Job, dict[str, Any]] | None, str]:
    """Return the job with a pod that is its own from now on; or None, and why there was none.

    `rewrite` tells the later stages of the pod; whoever ends before that has left the attempt's label on it, by which
    `cleanup` finds it.

    Raises:
        ClusterRefused, ClusterUnreachable: as of other calls.
    """
    waiting = api.list_whole_pods(f"{names.TENANT_LABEL}={job.tenant},{names.WARM_LABEL}", limit=_LISTED_AT_MOST)
    fitting = [pod for pod in waiting if pod["metadata"]["labels"][names.WARM_LABEL] == job.warm]
    if not fitting:
        if waiting:
            return None, (
                "the pods that wait are of other settings, or of another version of the driver; the operator of this "
                "runner must run `kaniko-driver tenant apply`"
            )
        return None, "no pod waits at this moment"
    chosen = job.pod
    # Many jobs may look at once; each begins elsewhere.
    start = int.from_bytes(os.urandom(2), "big") % len(fitting)
    for pod in (*fitting[start:], *fitting[:start]):
        if _restarted(pod):
            # It would take no script any more, and wait for ever.
            api.delete_pod(pod["metadata"]["name"])
            journal.warning("warm pod with a restart deleted", leftover=pod["metadata"]["name"])
            continue
        if not _is_ready(pod):
            continue
        with cancel.shielded():
            mine = api.claim_pod(pod, _change(job, pod))
            if mine is not None:
                job = replace(job, pod=mine["metadata"]["name"])
                rewrite(job)
        if mine is not None:
            if because := _grow(api, job, mine):
                journal.info("warm pod did not grow", leftover=job.pod, reason=because)
                rewrite(replace(job, pod=chosen))
                api.delete_pod(job.pod)
                return None, because
            journal.bind(pod=job.pod)
            _tell_what_waiting_took(journal, pod, instead_of=chosen)
            return (job, mine), ""
    return None, "every pod that waits is starting, or was faster claimed by another job"


def _grow(api: Api, job: Job, pod: dict[str, Any]) -> str:
    with cancel.shielded():
        # Imported here, with what adds quantities up: no other stage needs it.
        from executor.stages.growing import grow
    return grow(api, pod, job.manifest)


def _is_ready(pod: dict[str, Any]) -> bool:
    conditions = {one["type"]: one["status"] for one in pod["status"].get("conditions") or ()}
    return conditions.get("Ready") == "True" and not pod["metadata"].get("deletionTimestamp")


def _restarted(pod: dict[str, Any]) -> bool:
    statuses = pod["status"].get("containerStatuses") or ()
    return any(one.get("restartCount") for one in statuses if one["name"] in {names.BUILD, names.HELPER})


def _tell_what_waiting_took(journal: Journal, pod: dict[str, Any], *, instead_of: str) -> None:
    """Say for `usage` how long the pod has waited, and what it kept free meanwhile; and whose record this goes on."""
    # Imported here: of the stages only this one adds up quantities.
    from executor.diagnosis.amounts import total

    def requested(resource: str) -> Decimal:
        found = [container["resources"].get("requests") or {} for container in pod["spec"]["containers"]]
        return total([str(one[resource]) for one in found if resource in one])

    journal.info(
        "warm pod claimed",
        instead_of=instead_of,
        waited_seconds=_age(pod),
        cpu_request_millicores=int(requested("cpu") * 1000),
        memory_request_bytes=int(requested("memory")),
    )


def _age(pod: dict[str, Any]) -> int:
    """Return for how many seconds the pod's node has had it, by this host's clock."""
    return max(0, int(time.time() - datetime.fromisoformat(pod["status"]["startTime"]).timestamp()))


def _change(job: Job, pod: dict[str, Any]) -> dict[str, Any]:
    """Make the pod the job's: its labels and annotations, no owner but the job, and its deadline."""
    wanted = job.manifest
    return {
        "metadata": {
            "labels": {**wanted["metadata"]["labels"], names.WARM_LABEL: None, names.WAS_WARM_LABEL: "true"},
            "annotations": wanted["metadata"]["annotations"],
            "ownerReferences": None,
        },
        # The kubelet counts from the pod's start.
        "spec": {"activeDeadlineSeconds": _age(pod) + wanted["spec"]["activeDeadlineSeconds"] + _CLOCK_SLACK},
    }
