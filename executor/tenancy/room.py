"""How many of a tenant's jobs its nodes have room for. Pure.

The scheduler counts requests, so this does; limits say what jobs may really take, and are shown beside them.
Source of who matches and who is put up with: k8s.io/component-helpers/scheduling/corev1.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from executor.diagnosis.amounts import amount
from executor.tenancy.sizes import RESOURCES, Amounts, of_pod, times

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from executor.settings.model import Tenant

REFERENCE_CPU, REFERENCE_MEMORY = 8, 16 * 10**9
"""The size of node that figures and defaults are for; smaller ones work, and builds are slower there."""
_OVER = ("Succeeded", "Failed")
_NOTHING = dict.fromkeys(RESOURCES, Decimal(0))


@dataclass(frozen=True, kw_only=True)
class Node:
    """One node of the tenant."""

    name: str
    total: Amounts
    """What pods may take of it in all."""
    free: Amounts
    """Without what pods of others, and this tenant's that are no jobs, have requested."""
    fits: int
    """Jobs of the usual size."""
    bound: str
    """What there is too little of for one more: `cpu`, `memory`, `ephemeral-storage`, `pods`; or why it takes none."""

    @property
    def small(self) -> bool:
        """Whether it is smaller than the size that figures are for; a node's own parts already taken off."""
        return self.total["cpu"] < REFERENCE_CPU * Decimal("0.9") or self.total["memory"] < REFERENCE_MEMORY * Decimal(
            "0.9"
        )


def nodes_of(
    tenant: Tenant,
    nodes: Sequence[Mapping[str, Any]],
    pods: Iterable[Mapping[str, Any]],
    job: Mapping[str, Any],
    *,
    jobs_namespace: str,
) -> list[Node]:
    """Return the tenant's nodes with their room.

    Args:
        tenant: whose they are.
        nodes: all nodes of the cluster.
        pods: all pods of the cluster, those of jobs too.
        job: manifest of a usual job pod.
        jobs_namespace: where job pods are; their room counts as free, since the question is how many fit in all.
    """
    taken: dict[str, Amounts] = {}
    count: dict[str, int] = {}
    for pod in pods:
        node = pod["spec"].get("nodeName")
        ours = pod["metadata"]["namespace"] == jobs_namespace
        if not node or ours or (pod.get("status") or {}).get("phase") in _OVER:
            continue
        taken[node] = _plus(taken.get(node, _NOTHING), _requests(pod))
        count[node] = count.get(node, 0) + 1
    wanted = of_pod(job, "requests")
    affinity = job["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    found = []
    for node in nodes:
        name, labels = node["metadata"]["name"], node["metadata"].get("labels") or {}
        if not _matches(labels, affinity, job["spec"].get("nodeSelector") or {}):
            continue
        status = node.get("status") or {}
        allocatable = status.get("allocatable") or {}
        total = {resource: amount(str(allocatable.get(resource, "0"))) for resource in RESOURCES}
        used = taken.get(name, _NOTHING)
        free = {resource: max(total[resource] - used[resource], Decimal(0)) for resource in RESOURCES}
        places = int(amount(str(allocatable.get("pods", "110")))) - count.get(name, 0)
        fits, bound = _fits(free, wanted, places)
        if reason := _closed(node, tenant):
            fits, bound = 0, reason
        found.append(Node(name=name, total=total, free=free, fits=fits, bound=bound))
    return found


def in_words(tenant: Tenant, nodes: Sequence[Node], job: Mapping[str, Any]) -> str:
    """Say what the tenant's jobs need, and what each node has: `20 jobs need 20-40 CPU; node1 has 8: 7 fit`."""
    count = tenant.capacity.jobs
    least, most = (times(of_pod(job, kind), count) for kind in ("requests", "limits"))

    def need(name: str) -> str:
        return f"{_rounded(name, least[name]).removesuffix('Gi')}-{_rounded(name, most[name])}"

    needs = f"{count} jobs need {need('cpu')} CPU, {need('memory')} memory, {need('ephemeral-storage')} disk"
    have = "; ".join(_node_in_words(node) for node in nodes[:_SHOWN])
    more = f"; and {len(nodes) - _SHOWN} more nodes" if len(nodes) > _SHOWN else ""
    return f"{needs}; {have}{more}"


_SHOWN = 8


def _node_in_words(node: Node) -> str:
    free = {name: _rounded(name, amount) for name, amount in node.free.items()}
    return (
        f"{node.name} has {free['cpu']} CPU, {free['memory']}, {free['ephemeral-storage']} disk free: "
        f"{node.fits} fit ({node.bound})"
    )


def _rounded(name: str, amount: Decimal) -> str:
    return f"{float(amount):.3g}" if name == "cpu" else f"{amount / 2**30:.0f}Gi"


def _requests(pod: Mapping[str, Any]) -> Amounts:
    """Return what a pod of anybody has requested: containers and sidecars together, or the largest init container."""
    running, peak = _NOTHING, _NOTHING
    for container in pod["spec"].get("containers", ()):
        running = _plus(running, _of_container(container))
    for container in pod["spec"].get("initContainers") or ():
        own = _of_container(container)
        if container.get("restartPolicy") == "Always":
            running = _plus(running, own)
        else:
            peak = {name: max(peak[name], own[name]) for name in RESOURCES}
    return {name: max(running[name], peak[name]) for name in RESOURCES}


def _of_container(container: Mapping[str, Any]) -> Amounts:
    requests = (container.get("resources") or {}).get("requests") or {}
    return {name: amount(str(requests.get(name, "0"))) for name in RESOURCES}


def _plus(one: Amounts, other: Amounts) -> Amounts:
    return {name: one[name] + other[name] for name in RESOURCES}


def _fits(free: Amounts, wanted: Amounts, places: int) -> tuple[int, str]:
    counts = {name: int(free[name] // wanted[name]) for name in RESOURCES if wanted[name]} | {"pods": places}
    bound = min(counts, key=lambda name: counts[name])
    return max(counts[bound], 0), bound


def _matches(labels: Mapping[str, str], affinity: Mapping[str, Any], selector: Mapping[str, str]) -> bool:
    return selector.items() <= labels.items() and any(
        all(_holds(one, labels) for one in term.get("matchExpressions", ())) for term in affinity["nodeSelectorTerms"]
    )


def _holds(requirement: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, values = requirement["key"], requirement.get("values") or []
    value = labels.get(key)
    match requirement["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case operator:
            if value is None or not value.lstrip("-").isdecimal():
                return False
            return int(value) > int(values[0]) if operator == "Gt" else int(value) < int(values[0])


def _closed(node: Mapping[str, Any], tenant: Tenant) -> str:
    if node["spec"].get("unschedulable"):
        return "cordoned"
    for condition in (node.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "Ready" and condition.get("status") != "True":
            return "not ready"
    for taint in node["spec"].get("taints") or ():
        if taint.get("effect") in {"NoSchedule", "NoExecute"} and not _tolerated(taint, tenant):
            return f"its taint {taint['key']} is not in nodes.tolerations"
    return ""


def _tolerated(taint: Mapping[str, Any], tenant: Tenant) -> bool:
    return any(
        one.key == taint["key"]
        and one.effect in {"", taint["effect"]}
        and (one.operator == "Exists" or one.value == taint.get("value", ""))
        for one in tenant.nodes.tolerations
    )
