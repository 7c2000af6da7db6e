"""Explain why no node takes a pod, by the scheduler's message and what the pod itself asks for.

Pure. The message is that of kube-scheduler's FitError: "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) didn't
match Pod's node affinity/selector. preemption: 0/3 nodes are available: …". The driver may not read nodes, so how
large they are is known only as far as the message tells.
"""

from __future__ import annotations

import re
from typing import Any

from executor.categories import Category
from executor.diagnosis import amounts
from executor.diagnosis.model import OPERATOR, Diagnosis, requests
from executor.values import dataclass

_AFFINITY = ("node affinity", "node selector", "node(s) didn't match node selector")
_CLUSTERS_OWN = "node.kubernetes.io/"
"""Taints that the cluster itself puts on a node that is not well, cordoned or just starting."""
_COMING = frozenset({"TriggeredScaleUp", "Nominated"})
"""Words of cluster-autoscaler and of Karpenter for a node that they make for a pod."""
_NOT_COMING = frozenset({"NotTriggerScaleUp"})
_KARPENTER = "karpenter"
_VOLUMES = ("persistentvolume", "volume node affinity", "max volume count", "unbound immediate")


def unscheduled(pod: dict[str, Any], message: str) -> Diagnosis:
    """Explain why the scheduler found no node."""
    head, _, preemption = message.partition(" preemption: ")
    nodes, reasons = _counted(head)
    short = sorted({text.removeprefix("Insufficient ") for _, text in reasons if text.startswith("Insufficient ")})
    if nodes and _count(reasons, *_AFFINITY) == nodes:
        # Waiting makes no node.
        return Diagnosis(
            category=Category.NO_MATCHING_NODE,
            what="No node of the cluster has the labels that the tenant's jobs ask for.",
            why=message,
            remedy=f"{OPERATOR.capitalize()} must label nodes for the tenant, or correct [nodes] of its settings; "
            "where an autoscaler makes its nodes when they are needed, timeouts.new_node lets jobs wait for one.",
            final=True,
            unless_new_node=True,
        )
    if short and _never_fits(nodes, preemption):
        return Diagnosis(
            category=Category.TOO_LARGE,
            what=f"The job asks for more {_listed(short)} than any node of the tenant has.",
            why=f"{_asked(pod, short)} {message}",
            remedy=f"Ask for less where the job sets KUBERNETES_…_REQUEST or _LIMIT; otherwise {OPERATOR} must lower "
            "[resources] of the tenant or give it larger nodes (timeouts.new_node, where an autoscaler makes them).",
            final=True,
            unless_new_node=True,
        )
    if short or _count(reasons, "Too many pods"):
        return Diagnosis(
            category=Category.NO_ROOM,
            what="No node of the tenant has room for the job pod now.",
            why=f"{_asked(pod, short)} {message}".strip(),
            remedy=f"It starts when other jobs end. If it stays, {OPERATOR} must give the tenant more room.",
        )
    return _without_numbers(message, head, reasons)


def _without_numbers(message: str, head: str, reasons: list[tuple[int, str]]) -> Diagnosis:
    if any(words in head.lower() for words in _VOLUMES):
        return Diagnosis(
            category=Category.VOLUME_FAILED,
            what="A volume of the job pod cannot be had.",
            why=message,
            remedy=f"{OPERATOR.capitalize()} must check [pod] volumes of the tenant.",
        )
    taints = " ".join(text for _, text in reasons if "taint" in text)
    if taints and _CLUSTERS_OWN not in taints:
        return Diagnosis(
            category=Category.UNTOLERATED_TAINT,
            what="The nodes that the job pod could run on have a taint that it does not tolerate.",
            why=message,
            remedy=f"{OPERATOR.capitalize()} must compare [nodes] tolerations of the tenant with its nodes' taints.",
        )
    return Diagnosis(
        category=Category.UNSCHEDULABLE,
        what="No node of the tenant can take the job pod now.",
        why=message,
        remedy=f"If it stays, {OPERATOR} must look whether the tenant's nodes are Ready, and at their taints.",
    )


@dataclass(frozen=True, kw_only=True)
class Autoscaler:
    """What makes nodes has said about a pod without one."""

    what: str
    words: str
    node_is_coming: bool


def of_autoscaler(events: list[dict[str, Any]]) -> Autoscaler | None:
    """Return the newest word of cluster-autoscaler or Karpenter about a pod; None where neither has spoken."""
    for event in sorted(events, key=_time_of, reverse=True):
        reason = str(event.get("reason") or "")
        by = str(event.get("reportingComponent") or (event.get("source") or {}).get("component") or "the autoscaler")
        if reason in _COMING or (reason in _NOT_COMING or (reason == "FailedScheduling" and by == _KARPENTER)):
            coming = reason in _COMING
            return Autoscaler(
                what="A node is being added for the job pod." if coming else "No node is added for the job pod.",
                words=f"{by}: {reason}: {str(event.get('message') or '').strip()}",
                node_is_coming=coming,
            )
    return None


def _time_of(event: dict[str, Any]) -> str:
    """Return when it happened last, in the form of RFC 3339, which sorts as text."""
    series = event.get("series") or {}
    moment = series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime")
    return str(moment or event.get("firstTimestamp") or "")


def of_kubelet(reason: str, message: str) -> Diagnosis:
    """Explain why a node refused a pod that the scheduler had given it.

    The kubelet's words: "Node didn't have enough resource: cpu, requested: 1000, used: 800, capacity: 1000", in
    thousandths of a core, or in bytes.
    """
    found = re.search(r"resource: ([\w./-]+), requested: (\d+), used: (\d+), capacity: (\d+)", message)
    why, too_large = f"{reason}: {message}", False
    if found:
        resource = found[1]
        wanted, used, capacity = (int(number) for number in found.groups()[1:])
        too_large = wanted > capacity
        missing = wanted + (0 if too_large else used) - capacity
        why = f"{amounts.shown(resource, missing, unit='m')} of {resource} are missing. {why}"
    return Diagnosis(
        category=Category.TOO_LARGE if too_large else Category.UNSCHEDULABLE,
        what="The node refused the job pod.",
        why=why,
        remedy=f"Run the job again. If it stays, {OPERATOR} must compare the node's room with the requests.",
        final=True,
    )


def _counted(head: str) -> tuple[int, list[tuple[int, str]]]:
    """Return how many nodes there are, and (how many of them, why not) for each reason."""
    found = re.match(r"0/(\d+) nodes are available: ?(.*)", head, re.DOTALL)
    if found is None:
        return 0, []
    reasons = re.findall(r"(\d+) ((?:node\(s\)|Insufficient|Too many|[A-Z])[^,]*?)(?=, |\. |\.?$)", found[2])
    return int(found[1]), [(int(count), text) for count, text in reasons]


def _count(reasons: list[tuple[int, str]], *words: str) -> int:
    return sum(count for count, text in reasons if any(word in text for word in words))


def _never_fits(nodes: int, preemption: str) -> bool:
    """Tell whether room would not help even on empty nodes.

    Since Kubernetes 1.31 the scheduler calls nodes hopeless that are smaller than the request, and finds it of no use
    to look there for pods to preempt. It says so only where the pod may preempt others.
    """
    found = re.search(r"(\d+) Preemption is not helpful", preemption)
    return found is not None and nodes > 0 and int(found[1]) == nodes


def _asked(pod: dict[str, Any], resources: list[str]) -> str:
    """Say how much of these the whole pod asks for."""
    wanted = requests(pod)
    parts = [f"{name} {amounts.shown(name, amounts.total(wanted[name]))}" for name in resources if wanted.get(name)]
    return f"The job pod asks for {_listed(parts)}." if parts else ""


def _listed(words: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))
