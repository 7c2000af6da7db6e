"""The pod of a failed job stays a while for people to look into, where its tenant wants that.

`run` decides and says so in the job log, since nobody reads what `cleanup` prints; `cleanup` does it. A mark beside the
job file carries the decision from one to the other. What cannot be kept in order is deleted.
"""

from __future__ import annotations

import os
import time

from executor.errors import ClusterUnreachable
from executor.pod import names, programs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from executor.cluster.api import Api
    from executor.job import Job
    from executor.journal import Journal
    from executor.stages.joblog import JobLog

_SCRUB_SECONDS = 30.0
"""An exec on a busy node takes its time, and the job's log has promised the pod."""
_LISTED_AT_MOST = 200
_HOUR, _MINUTE = 3600, 60


def announce(job: Job, log: JobLog, mark: str) -> None:
    """After an author's script failed: say that the pod will be kept, once a job, and leave the mark."""
    if not (job.keep_failed and job.keep_failed_most) or os.path.exists(mark):
        return
    with open(mark, "w", encoding="ascii") as file:
        file.write(job.pod)
    log.say(
        f"after this job its pod is kept for {_duration(job.keep_failed)}, or until newer ones need its place; "
        f"the operator of this runner can enter it: kaniko-driver exec {job.id}"
    )


def keep(api: Api, job: Job, journal: Journal) -> None:
    """Let the pod live on without its secrets, and the oldest kept one go where there are too many.

    Raises:
        ClusterRefused, ClusterUnreachable: it is not kept in order, and must be deleted.
    """
    _scrub(job)
    until = int(time.time()) + job.keep_failed
    for secret in job.secrets:
        api.delete_secret(secret["metadata"]["name"])
    marks = {"labels": {names.KEPT_LABEL: "true"}, "annotations": {names.DEADLINE_ANNOTATION: str(until)}}
    api.patch_pod(job.pod, {"metadata": marks})
    journal.info("pod kept", until=until)
    # Looked at afterwards and not before: of two jobs that end at once, each then sees the other's.
    kept = api.list_pod_metadata(f"{names.TENANT_LABEL}={job.tenant},{names.KEPT_LABEL}", limit=_LISTED_AT_MOST)
    living = sorted((pod for pod in kept if not pod.get("deletionTimestamp")), key=_age)
    for pod in living[: -job.keep_failed_most]:
        api.delete_pod(pod["name"])
        journal.info("kept pod deleted for a newer one", kept=pod["name"])


def _age(metadata: dict[str, Any]) -> tuple[str, str]:
    # RFC 3339 in UTC, so that the text sorts as the time does.
    return str(metadata.get("creationTimestamp") or ""), metadata["name"]


def _scrub(job: Job) -> None:
    # Imported here: few pods are kept, and every job is cleaned up.
    from executor.cluster import credentials
    from executor.cluster.stream import STDERR, ExecStream
    from executor.pod.control import ControlLines, Held

    command = programs.hold_command(seconds=job.keep_failed)
    context = credentials.tls_context(job.connection)
    stream = ExecStream(job.connection, context, pod=job.pod, container=names.BUILD, command=command)
    lines, end = ControlLines(), time.monotonic() + _SCRUB_SECONDS
    try:
        while (left := end - time.monotonic()) > 0 and (frame := stream.receive(left)) is not None:
            channel, data = frame
            if channel == STDERR and Held() in lines.feed(bytes(data)):
                return
    except TimeoutError:
        pass
    finally:
        stream.close()
    raise ClusterUnreachable("The pod of a failed job could not be scrubbed of its secrets, and is not kept.")


def _duration(seconds: int) -> str:
    """Write a time as the settings do: `30m`, `1h30m`."""
    parts = (seconds // _HOUR, "h"), (seconds % _HOUR // _MINUTE, "m"), (seconds % _MINUTE, "s")
    return "".join(f"{number}{unit}" for number, unit in parts if number)
