"""The next of a job's pull policies, after a pull with the one before failed: another pod, since a pod keeps its own.

As the built-in executor: executors/kubernetes/internal/pull of GitLab Runner 19.4.
"""

from __future__ import annotations

import json

from executor.pod import names
from executor.values import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from executor.diagnosis.model import Diagnosis
    from executor.job import Job
    from executor.journal import Journal
    from executor.stages.joblog import JobLog


class PullFailed(Exception):
    """An image could not be pulled, and its job names another policy. Never seen outside of `prepare`."""

    def __init__(self, found: Diagnosis) -> None:
        super().__init__(found.what)
        self.found = found


def with_next_policy(job: Job, failed: PullFailed, journal: Journal, log: JobLog) -> Job:
    """Return the job with another pod in which the next policy applies to that container, and say so."""
    found, pod = failed.found, names.pod_name(job.id)
    policy, *rest = job.pull_policies[found.container]
    # Its own random name stands in nothing but what was made for this pod.
    text = json.dumps([job.manifest, job.secrets])
    manifest, secrets = json.loads(text.replace(job.pod, pod))
    former = _set_policy(manifest["spec"], found.container, policy)
    journal.bind(pod=pod)
    journal.warning(
        "image pulled with the next policy", instead_of=job.pod, container=found.container, reason=found.why
    )
    log.say(f"trying the pull policy {policy} in another pod, since it failed with {former}: {found.what}\n{found.why}")
    left = {name: policies for name, policies in job.pull_policies.items() if name != found.container}
    if rest:
        left[found.container] = rest
    return replace(job, pod=pod, manifest=manifest, secrets=tuple(secrets), pull_policies=left)


def _set_policy(spec: dict[str, Any], name: str, policy: str) -> str:
    """Change a container's policy, and return what it was."""
    for container in (*spec["containers"], *spec.get("initContainers", ())):
        if container["name"] == name:
            former: str = container["imagePullPolicy"]
            container["imagePullPolicy"] = policy
            return former
    raise LookupError(name)
