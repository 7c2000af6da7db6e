"""Names, labels and annotations of everything the driver makes in the cluster. No other module spells one."""

from __future__ import annotations

import os

TENANT_LABEL = "kaniko-driver/tenant"
JOB_LABEL = "kaniko-driver/job"
ATTEMPT_LABEL = "kaniko-driver/attempt"
PROJECT_LABEL = "kaniko-driver/project"
KEPT_LABEL = "kaniko-driver/kept"
"""Marks a failed job's pod that is kept for people to look into."""
WARM_LABEL = "kaniko-driver/warm"
"""On a pod that waits for a job; its value says what for."""
WAS_WARM_LABEL = "kaniko-driver/was-warm"
"""On the pod of a job that began as such a one."""
DEADLINE_ANNOTATION = "kaniko-driver/delete-after"
"""Unix time after which the pod may be deleted, whatever state it is in."""
PROJECT_ANNOTATION = "project.runner.gitlab.com/path"
"""As GitLab's own executor names it, like all other words about the job that are in the pod for people."""

BUILD = "build"
HELPER = "helper"
TOOLS = "tools"
CACHE_REGISTRY = "cache-registry"
_SERVICE = "svc-"

BUILDS_FOLDER = "/builds"
CACHE_FOLDER = "/cache"
TOOLS_FOLDER = "/driver/tools"
STAGES_FOLDER = "/driver/stages"
LOGINS_FOLDER = "/driver/logins"
PULSE_FOLDER = "/driver/pulse"

DRIVER_ACCOUNT = "kaniko-driver"
"""The service account that the driver speaks as; also the name of its Role, and of what bounds the namespace."""
BUILD_ACCOUNT = "kaniko-build"
"""The service account of job pods: without rights, and never with a token."""
RUNNER = "kaniko-runner"
"""What a runner inside the cluster consists of, in a namespace of its own."""

IMAGES = "kaniko-images"
"""What keeps a tenant's images on its nodes, in a namespace of its own."""

DENY = "kaniko-driver-deny"
ALLOW = "kaniko-driver-allow"
"""The network policies of each of these namespaces: nothing to begin with, and what it needs."""

_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"  # as Kubernetes' own suffixes: no vowels, no look-alikes
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_")


def pod_name(job_id: int) -> str:
    """Name a job pod: found by a person who has the job's number, and never the same twice."""
    return f"kaniko-job-{job_id}-{_random(6)}"


def attempt_id() -> str:
    """Make the value of the attempt label."""
    return _random(16)


def warm(fingerprint: str) -> str:
    """Name the ReplicaSet of a tenant's waiting pods: a change of what they can do makes another one."""
    return f"kaniko-warm-{fingerprint}"


def of_cluster(tenant: str) -> str:
    """Name the tenant's objects that belong to the cluster and not to a namespace."""
    return f"kaniko-driver-{tenant}"


def service(index: int) -> str:
    """Name the container of a job's service, as the built-in executor does."""
    return f"{_SERVICE}{index}"


def is_service(container: str) -> bool:
    """Tell a service from the pod's other containers."""
    return container.startswith(_SERVICE)


def pull_secret(pod: str) -> str:
    """Name the Secret with the logins for pulling the job's own images."""
    return f"{pod}-pull"


def cache_secret(pod: str) -> str:
    """Name the Secret with the S3 keys of one job."""
    return f"{pod}-cache"


def service_secret(pod: str, container: str) -> str:
    """Name the Secret with the variables of a service."""
    return f"{pod}-{container}"


def runner_namespace(tenant: str) -> str:
    """Name the namespace of the tenant's runner: never that of its jobs, whose quota and policies are for builds."""
    return f"{tenant}-runner"


def images_namespace(tenant: str) -> str:
    """Name the namespace of what keeps the tenant's images on its nodes, of which the jobs' quota knows nothing."""
    return f"{tenant}-images"


def stage_id(sub_stage: str) -> str:
    """Name one call of `run`; sub-stages repeat within a job, so the name alone would not do."""
    readable = "".join(letter if letter in _PLAIN else "-" for letter in sub_stage.lower()[:40])
    return f"{readable}-{_random(8)}"


def _random(length: int) -> str:
    # The kernel's own numbers: `secrets` and `random` cost every stage 2 ms to import.
    number, letters = int.from_bytes(os.urandom(2 * length), "big"), ""
    for _ in range(length):
        number, index = divmod(number, len(_ALPHABET))
        letters += _ALPHABET[index]
    return letters
