"""Another pod for a job whose first one cannot start as it is, since a pod keeps what it was made of.

After a pull that failed: with the next of the job's pull policies (executors/kubernetes/internal/pull of GitLab Runner
19.4). After a service that ends again and again: without it. GitLab's executor runs the script beside such a service;
as a sidecar it would keep the pod from starting.
"""

from __future__ import annotations

import json

from executor.categories import Category
from executor.pod import names
from executor.values import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from executor.diagnosis.model import Diagnosis
    from executor.job import Job
    from executor.journal import Journal
    from executor.stages.joblog import JobLog


class BeginAnew(Exception):
    """This pod cannot start, and another one of this job may. Never seen outside of `prepare`."""

    def __init__(self, found: Diagnosis) -> None:
        super().__init__(found.what)
        self.found = found


def can_do_without(job: Job, container: str) -> bool:
    """Tell whether the job's script may begin without this service: nothing waits for a port of it."""
    images = [one.get("image") for one in job.manifest["spec"].get("initContainers", ()) if one["name"] == container]
    return names.is_service(container) and not set(images) & set(job.health_ports.values())


def another(job: Job, failed: BeginAnew, journal: Journal, log: JobLog) -> Job:
    """Return the job with another pod, changed so that it does not fail in the same way, and say so."""
    change = _without_service if failed.found.category == Category.SERVICE_FAILED else _with_next_policy
    return change(job, names.pod_name(job.id), failed.found, journal, log)


def _with_next_policy(job: Job, pod: str, found: Diagnosis, journal: Journal, log: JobLog) -> Job:
    policy, *rest = job.pull_policies[found.container]
    manifest, secrets = _renamed(job, pod)
    former = _set_policy(manifest["spec"], found.container, policy)
    journal.bind(pod=pod)
    journal.warning(
        "image pulled with the next policy", instead_of=job.pod, container=found.container, reason=found.why
    )
    log.say(f"trying the pull policy {policy} in another pod, since it failed with {former}: {found.what}\n{found.why}")
    left = _but(job.pull_policies, found.container)
    if rest:
        left[found.container] = rest
    return replace(job, pod=pod, manifest=manifest, secrets=secrets, pull_policies=left)


def _without_service(job: Job, pod: str, found: Diagnosis, journal: Journal, log: JobLog) -> Job:
    manifest, secrets = _renamed(job, pod)
    services = manifest["spec"]["initContainers"]
    manifest["spec"]["initContainers"] = [one for one in services if one["name"] != found.container]
    journal.bind(pod=pod)
    journal.warning("service left out", instead_of=job.pod, container=found.container, reason=found.why)
    log.say(f"warning: {found.what} The job goes on without it, in another pod.\n{found.why}")
    return replace(
        job,
        pod=pod,
        manifest=manifest,
        secrets=secrets,
        pull_policies=_but(job.pull_policies, found.container),
        service_logs=_but(job.service_logs, found.container),
    )


def _renamed(job: Job, pod: str) -> tuple[dict[str, Any], tuple[dict[str, Any], ...]]:
    # Its own random name stands in nothing but what was made for this pod.
    text = json.dumps([job.manifest, job.secrets])
    manifest, secrets = json.loads(text.replace(job.pod, pod))
    return manifest, tuple(secrets)


def _but(values: dict[str, Any], container: str) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name != container}


def _set_policy(spec: dict[str, Any], name: str, policy: str) -> str:
    """Change a container's policy, and return what it was."""
    for container in (*spec["containers"], *spec.get("initContainers", ())):
        if container["name"] == name:
            former: str = container["imagePullPolicy"]
            container["imagePullPolicy"] = policy
            return former
    raise LookupError(name)
