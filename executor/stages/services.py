"""The part of prepare that only jobs with `services:` have: wait until they listen, and tell of those that failed.

A service that does not come up is a warning and no failure: the script may not need it yet, or says itself what is
missing. As with GitLab's Kubernetes executor, one that ended while the job waited for its port is a failure.
"""

from __future__ import annotations

import time

from executor.cluster import credentials
from executor.cluster.stream import STDOUT, ExecStream
from executor.diagnosis import cause
from executor.errors import ClusterRefused, ClusterUnreachable, OwnContainerFailed
from executor.pod import names, programs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from executor.cluster.api import Api
    from executor.job import Job
    from executor.journal import Journal
    from executor.stages.joblog import JobLog

_CONNECTION_SLACK = 15


def await_services(
    api: Api, job: Job, pod: dict[str, Any], journal: Journal, log: JobLog, tick: Callable[[], None]
) -> None:
    """Wait for every port that a service names in HEALTHCHECK_TCP_PORT, and say which services are in trouble.

    `tick` is called about once a second.

    Raises:
        OwnContainerFailed: one ended for whose port the job waits.
    """
    deaf = _deaf(job, journal, tick) if job.health_ports else []
    if deaf:
        # Their states may be older than the wait was.
        pod = api.get_pod(job.pod) or pod
    for port in deaf:
        if found := cause.of_ended_service(pod, job.health_ports[port], port):
            raise OwnContainerFailed(found.what, why=found.why, remedy=found.remedy, category=found.category)
        log.say(
            f"warning: the service {job.health_ports[port]} does not listen on port {port} after "
            f"{job.services_wait} s (HEALTHCHECK_TCP_PORT); the job goes on without waiting for it"
        )
    for status in cause.failed_services(pod):
        log.say(f"warning: the service {status.get('image', '')} does not stay up\n{cause.last_words(status)}")


def _deaf(job: Job, journal: Journal, tick: Callable[[], None]) -> list[str]:
    """Return the ports that nobody could connect to in time."""
    answer = b""
    end = time.monotonic() + job.services_wait + _CONNECTION_SLACK
    try:
        stream = ExecStream(
            job.connection,
            credentials.tls_context(job.connection),
            pod=job.pod,
            container=names.HELPER,
            command=programs.health_check_command(job.health_ports, job.services_wait),
        )
        try:
            while time.monotonic() < end:
                tick()
                try:
                    frame = stream.receive(1.0)
                except TimeoutError:
                    continue
                if frame is None:
                    break
                answer += bytes(frame[1]) if frame[0] == STDOUT else b""
        finally:
            stream.close()
    except (ClusterUnreachable, ClusterRefused) as error:
        journal.warning("the services' ports could not be tried", reason=str(error))
    heard = answer.decode("ascii", "replace").split()
    return [port for port in job.health_ports if port not in heard]
