"""Explain why a whole pod ended: evicted, past its deadline, preempted, drained, lost with its node, or deleted.

Pure. What the pod says of itself comes first (`status.reason`), then the condition DisruptionTarget, which the cluster
sets before a pod of its own accord goes; at last events, since they outlive a pod that is gone.
"""

from __future__ import annotations

from executor.categories import Category
from executor.diagnosis.model import OPERATOR, Diagnosis, conditions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_AGAIN = "This is no fault of the job: run it again."
_REFUSED_BY_NODE = frozenset(
    {
        "NodeAffinity",
        "OutOfcpu",
        "OutOfmemory",
        "OutOfephemeral-storage",
        "OutOfpods",
        "UnexpectedAdmissionError",
        "Taints",
    }
)


def of_pod(pod: dict[str, Any]) -> Diagnosis | None:  # noqa: PLR0911 - one for each thing that a pod can say
    """Explain the end of a pod by its own words; None where it says nothing."""
    status = pod.get("status") or {}
    reason, message = str(status.get("reason") or ""), str(status.get("message") or "").strip()
    if reason == "Evicted":
        return _evicted(message)
    if reason == "DeadlineExceeded":
        return Diagnosis(
            category=Category.DEADLINE,
            what="The job pod reached its deadline and was ended by the cluster.",
            why=f"{_deadline(pod)}{message}",
            remedy="The deadline is the job's time-out plus slack: raise the time-out, or make the job faster.",
            final=True,
        )
    if reason in {"Preempting", "Preempted"}:
        return _preempted(message)
    if reason in {"NodeLost", "NodeShutdown", "Terminated", "Shutdown"}:
        return _node_lost(message)
    if reason in _REFUSED_BY_NODE:
        # Imported here: running jobs have no use for it.
        from executor.diagnosis import scheduling

        return scheduling.of_kubelet(reason, message)
    for condition in conditions(pod, "DisruptionTarget"):
        if condition.get("status") == "True" and (found := _of_disruption(condition)):
            return found
    return None


def _of_disruption(condition: dict[str, Any]) -> Diagnosis | None:
    reason, message = str(condition.get("reason") or ""), str(condition.get("message") or "").strip()
    match reason:
        case "TerminationByKubelet":
            # Comes with the containers' ends, while the pod's own reason waits until the pod is wholly gone.
            return _node_lost(message) if "shutdown" in message else _evicted(message)
        case "PreemptionByScheduler":
            return _preempted(message)
        case "EvictionByEvictionAPI":
            return Diagnosis(
                category=Category.DRAINED,
                what="The job pod was asked to leave its node: somebody, or an autoscaler, empties it.",
                why=f"{reason}: {message}",
                remedy=f"{_AGAIN} If it happens often, {OPERATOR} should keep such tools away from nodes with jobs.",
                final=True,
            )
        case "DeletionByTaintManager" | "DeletionByPodGC":
            return _node_lost(f"{reason}: {message}")
    return None


def _evicted(message: str) -> Diagnosis:
    # Imported here: few pods are evicted.
    from executor.diagnosis import eviction

    return eviction.evicted(message)


def _deadline(pod: dict[str, Any]) -> str:
    seconds = (pod.get("spec") or {}).get("activeDeadlineSeconds")
    return f"It may run for {seconds} s. " if seconds else ""


def _preempted(message: str) -> Diagnosis:
    return Diagnosis(
        category=Category.PREEMPTED,
        what="The job pod had to make room for a pod of higher priority.",
        why=message,
        remedy=f"{_AGAIN} If it happens often, {OPERATOR} should give jobs a priority class, or nodes of their own.",
        final=True,
    )


def _node_lost(message: str) -> Diagnosis:
    return Diagnosis(
        category=Category.NODE_LOST,
        what="The node of the job pod was lost or shut down.",
        why=message,
        remedy=_AGAIN,
        final=True,
    )


def deleted(why: str = "") -> Diagnosis:
    """Explain a pod that is gone, or going, for no reason that anybody left."""
    return Diagnosis(
        category=Category.POD_DELETED,
        what="The job pod was deleted while the job ran.",
        why=why,
        remedy="Run the job again. If nobody deleted it on purpose, "
        f"{OPERATOR} should look into the API server's audit log.",
        final=True,
    )


def of_events(events: list[dict[str, Any]]) -> Diagnosis | None:
    """Explain the end of a pod by its events: those of one that is gone, or that says nothing itself."""
    for event in events:
        reason, message = str(event.get("reason") or ""), str(event.get("message") or "").strip()
        match reason:
            case "Evicted" if "Eviction API" not in message:
                return _evicted(message)
            case "Preempted" | "Preempting":
                return _preempted(message)
            case "TaintManagerEviction" if "Cancelling" not in message:
                return _node_lost(f"{reason}: {message}")
            case "NodeNotReady":
                return _node_lost(f"{reason}: {message}")
    return None
