"""What a diagnosis is, and how to read the parts of a pod that diagnoses look at. Pure."""

from __future__ import annotations

from executor.values import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

OPERATOR = "the operator of this runner"


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """One cause."""

    category: str
    what: str
    """One sentence that a job's author understands."""
    why: str = ""
    """The evidence: numbers, and the cluster's own words."""
    remedy: str = ""
    """The next step, and whose it is."""
    final: bool = False
    """Waiting longer cannot help."""
    unless_new_node: bool = False
    """It can, where somebody adds nodes that are not there yet."""
    container: str = ""
    """The container that it is about, where it is about one."""
    backing_off: bool = False
    """The kubelet waits before it tries again; what is said is of its last try."""


def container_statuses(pod: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what the kubelet says of the containers, those that run first in front."""
    status = pod.get("status") or {}
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]


def container_state(pod: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a container's state (`running`, `waiting` or `terminated`), or {} when the kubelet has not said."""
    for status in container_statuses(pod):
        if status.get("name") == name:
            state: dict[str, Any] = status.get("state") or {}
            return state
    return {}


def conditions(pod: dict[str, Any], kind: str) -> Iterator[dict[str, Any]]:
    """Yield the pod's conditions of a type."""
    for condition in (pod.get("status") or {}).get("conditions") or ():
        if condition.get("type") == kind:
            yield condition


def limit(pod: dict[str, Any], container: str, resource: str) -> str:
    """Return a container's limit as its manifest writes it."""
    for spec in pod["spec"]["containers"]:
        if spec["name"] == container:
            return str((spec.get("resources") or {}).get("limits", {}).get(resource, "unknown"))
    return "unknown"


def requests(pod: dict[str, Any]) -> dict[str, list[str]]:
    """Return resource -> what the pod's containers ask for, one entry a container, as the manifest writes it."""
    found: dict[str, list[str]] = {}
    spec = pod.get("spec") or {}
    # Sidecars keep running beside the containers, so that theirs adds up as well.
    sidecars = [one for one in spec.get("initContainers") or () if one.get("restartPolicy") == "Always"]
    for container in (*(spec.get("containers") or ()), *sidecars):
        for resource, wanted in ((container.get("resources") or {}).get("requests") or {}).items():
            found.setdefault(resource, []).append(str(wanted))
    return found
