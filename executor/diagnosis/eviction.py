"""Explain an eviction by the kubelet's words (pkg/kubelet/eviction/eviction_manager.go and helpers.go). Pure."""

from __future__ import annotations

import re

from executor.categories import Category
from executor.diagnosis import amounts
from executor.diagnosis.model import OPERATOR, Diagnosis

_VOLUME = {
    "builds": (
        "/builds, the volume of the clone,",
        f"Clone less (GIT_DEPTH), write less beside it, or ask {OPERATOR} for a larger volumes.builds.",
    ),
    "cache": (
        "/cache, the volume for archives of `cache:`,",
        f"Put less into `cache:`, or ask {OPERATOR} for a larger volumes.cache.",
    ),
    "stages": (
        "the volume for the output of scripts",
        f"Print less, or into a file that is an artifact; or ask {OPERATOR} for a larger volumes.output.",
    ),
}
_LESS_DISK = (
    "Kaniko needs two to three times the size of the image: use fewer or smaller layers, set "
    f"KUBERNETES_EPHEMERAL_STORAGE_LIMIT where the tenant allows it, or ask {OPERATOR} for a higher limit."
)


def evicted(message: str) -> Diagnosis:
    """Tell a limit of the pod's own from a node that ran out of something."""
    if found := re.search(r'EmptyDir volume "([^"]+)" exceeds the limit "([^"]+)"', message):
        name, most = found.groups()
        volume, remedy = _VOLUME.get(name, (f"The volume {name}", _LESS_DISK))
        return _over_limit(f"{volume} {'is' if name in _VOLUME else 'was'} limited to {most}.", message, remedy)
    if found := re.search(r'Container (\S+) exceeded its local ephemeral storage limit "([^"]+)"', message):
        return _over_limit(f"The {found[1]} container may write {found[2]} to its own disk.", message, _LESS_DISK)
    if found := re.search(r"local storage usage exceeds the total limit of containers (\S+?)\.?(\s|$)", message):
        return _over_limit(f"All containers and volumes of the pod may hold {found[1]} together.", message, _LESS_DISK)
    return Diagnosis(
        category=Category.NODE_PRESSURE,
        what="The job pod was evicted: its node ran out of something.",
        why=f"{_usage(message)}{message}",
        remedy=f"Run the job again. If it stays, {OPERATOR} must give the tenant's nodes more room, or let fewer jobs "
        "run on one.",
        final=True,
    )


def _over_limit(cause: str, message: str, remedy: str) -> Diagnosis:
    return Diagnosis(
        category=Category.DISK_LIMIT,
        what="The job pod was evicted: it wrote more to disk than it may.",
        why=f"{cause[:1].upper()}{cause[1:]} {message}",
        remedy=remedy,
        final=True,
    )


def _usage(message: str) -> str:
    """Say in readable units what the kubelet blames: "Container build was using 5242880Ki, request is …"."""
    parts = []
    for container, *texts in re.findall(r"Container (\S+) was using (\w+), request is (\w+)", message):
        used, asked = (amounts.shown("memory", amounts.amount(text)) for text in texts)
        parts.append(f"The {container} container was using {used}, and its request is {asked}. ")
    return "".join(parts)
