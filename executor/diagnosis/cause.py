"""Explain why a job pod waits, failed or vanished.

Pure: takes the pod as the API returned it, returns a `Diagnosis`. No I/O, no clock. Order matters: an evicted pod keeps
stale container states, so the pod's own reason is read first. Container states decide, never the pod's phase, which
lags behind them by seconds.
"""

from __future__ import annotations

import re

from executor.values import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

OPERATOR = "the operator of this runner"

_IMAGE_REASONS = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "ErrImageNeverPull",
        "InvalidImageName",
        "ImageInspectError",
        "RegistryUnavailable",
    }
)
_CONFIG_REASONS = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
_NO_SUCH_IMAGE = ("InvalidImageName", "not found", "manifest unknown", "MANIFEST_UNKNOWN", "NAME_UNKNOWN")
_SERVICE = "svc-"
"""How the names of containers begin that a job asked for by `services:`; as in pod/names.py."""
_RESTARTS_OF_A_SERVICE = 2
_FINAL_IMAGE_REASONS = frozenset({"ErrImageNeverPull", "InvalidImageName"})


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """One cause."""

    category: str
    """Stable: `evicted`, `deadline`, `out_of_memory`, `deleted`, `node_lost`, `image`, `container_config`,
    `unschedulable`, `waiting`, `ended`."""
    what: str
    why: str = ""
    remedy: str = ""
    final: bool = False
    """Waiting longer cannot help."""
    container: str = ""
    """The container that it is about, where it is about one."""


def of_lost_pod(pod: dict[str, Any] | None, container: str) -> Diagnosis:
    """Explain why a container that ran a script no longer does; None for a pod that is gone."""
    if pod is None:
        return Diagnosis(
            category="deleted",
            what="The job pod was deleted while the job ran.",
            remedy=f"If nobody did it on purpose, {OPERATOR} should look at its events and at what drains nodes.",
            final=True,
        )
    if found := _of_pod_reason(pod):
        return found
    terminated = container_state(pod, container).get("terminated") or {}
    if terminated.get("reason") == "OOMKilled":
        return Diagnosis(
            category="out_of_memory",
            what=f"The {container} container used more memory than its limit and was killed.",
            why=f"Its limit is {_limit(pod, container, 'memory')}.",
            remedy=f"Use less memory (fewer parallel compilers, smaller layers), or ask {OPERATOR} for a higher limit.",
            final=True,
        )
    # Comes with the containers' ends, while the pod's own reason waits until the pod is wholly gone.
    if _disruption(pod).startswith("TerminationByKubelet"):
        return Diagnosis(
            category="evicted",
            what="The node ended the job pod: the pod, or the node, ran out of something, or the node shuts down.",
            why=_disruption(pod),
            remedy=f"If the message names a limit of this job, use less disk or ask {OPERATOR} for more; "
            "if it names the node, run the job again.",
            final=True,
        )
    if pod["metadata"].get("deletionTimestamp"):
        return Diagnosis(
            category="deleted",
            what="The job pod was deleted while the job ran.",
            why=_disruption(pod),
            remedy=f"Run the job again. If it stays, {OPERATOR} should look for what drains or preempts.",
            final=True,
        )
    return Diagnosis(
        category="ended",
        what=f"The {container} container ended under the script.",
        why=f"It ended with {terminated.get('reason', 'no reason')}, exit code {terminated.get('exitCode', 'unknown')}."
        if terminated
        else "",
        remedy="Does the script kill processes that it did not start, or process 1? Otherwise run the job again.",
        final=True,
    )


def of_waiting_pod(pod: dict[str, Any]) -> Diagnosis | None:
    """Explain what a pod that is not ready yet waits for; None when nothing holds it up."""
    if found := _of_pod_reason(pod):
        return found
    if pod["metadata"].get("deletionTimestamp"):
        return of_lost_pod(pod, "build")
    for status in _container_statuses(pod):
        # A layer cache that does not start makes a build slow, and is no reason to wait or to fail.
        if status.get("name") != "cache-registry" and (found := _of_container(status)):
            return found
    for condition in (pod.get("status") or {}).get("conditions") or ():
        # A gate is the driver's own, and opens before anybody needs to hear of it.
        if condition.get("reason") == "SchedulingGated":
            continue
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return _unscheduled(str(condition.get("message") or condition.get("reason") or ""))
    return None


def container_state(pod: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a container's state (`running`, `waiting` or `terminated`), or {} when the kubelet has not said."""
    for status in _container_statuses(pod):
        if status.get("name") == name:
            state: dict[str, Any] = status.get("state") or {}
            return state
    return {}


def _container_statuses(pod: dict[str, Any]) -> list[dict[str, Any]]:
    status = pod.get("status") or {}
    statuses: list[dict[str, Any]] = [
        *(status.get("initContainerStatuses") or ()),
        *(status.get("containerStatuses") or ()),
    ]
    return statuses


def _of_pod_reason(pod: dict[str, Any]) -> Diagnosis | None:
    status = pod.get("status") or {}
    reason, message = str(status.get("reason") or ""), str(status.get("message") or "")
    if reason == "Evicted":
        return Diagnosis(
            category="evicted",
            what="The job pod was evicted: it, or its node, ran out of something.",
            why=message,
            remedy=f"If the message names a limit of this job, use less disk or ask {OPERATOR} for more; "
            "if it names the node, run the job again.",
            final=True,
        )
    if reason == "DeadlineExceeded":
        return Diagnosis(
            category="deadline",
            what="The job pod reached its deadline and was ended by the cluster.",
            why=message,
            remedy="The deadline is the job's time-out plus slack: raise the time-out, or make the job faster.",
            final=True,
        )
    if reason in {"NodeLost", "NodeShutdown", "Terminated", "Shutdown"}:
        return Diagnosis(
            category="node_lost",
            what="The node of the job pod was lost or shut down.",
            why=message,
            remedy="This is no fault of the job: run it again.",
            final=True,
        )
    if reason in {
        "NodeAffinity",
        "OutOfcpu",
        "OutOfmemory",
        "OutOfephemeral-storage",
        "OutOfpods",
        "UnexpectedAdmissionError",
    }:
        return Diagnosis(
            category="unschedulable",
            what="The node refused the job pod.",
            why=f"{reason}: {message}",
            remedy=f"Run the job again. If it stays, {OPERATOR} must compare the node's room with the requests.",
            final=True,
        )
    return None


def no_such_image(message: str) -> bool:
    """Tell by the words of registries and container runtimes whether a pull failed because of the image's name."""
    return any(words in message for words in _NO_SUCH_IMAGE)


def _of_container(status: dict[str, Any]) -> Diagnosis | None:
    state = status.get("state") or {}
    waiting, terminated = state.get("waiting") or {}, state.get("terminated") or {}
    name, reason, message = status.get("name", ""), str(waiting.get("reason") or ""), str(waiting.get("message") or "")
    if name.startswith(_SERVICE) and (found := _of_service(status)):
        return found
    if reason in _IMAGE_REASONS:
        return Diagnosis(
            category="image",
            what=f"The image of the {name} container cannot be pulled: {status.get('image', '')}",
            why=f"{reason}: {message}",
            remedy="Correct its name where the job gives it (`image:` or `services:`); otherwise "
            f"{OPERATOR} must check its name, the pull secret and the nodes' network.",
            final=reason in _FINAL_IMAGE_REASONS,
            container=name,
        )
    if reason in _CONFIG_REASONS:
        return Diagnosis(
            category="container_config",
            what=f"The {name} container cannot be started.",
            why=f"{reason}: {message}",
            remedy=f"{OPERATOR.capitalize()} must check what the message names.",
            container=name,
        )
    if terminated and not name.startswith(_SERVICE) and (terminated.get("exitCode") or name != "tools"):
        return Diagnosis(
            category="ended",
            what=f"The {name} container ended before the job began.",
            why=f"{terminated.get('reason')}, exit code {terminated.get('exitCode')} {terminated.get('message') or ''}",
            remedy="An image that the job names itself needs a shell, `sh`, on its PATH; of the other images "
            f"{OPERATOR} must check that they are of the kind that the settings describe.",
            final=True,
            container=name,
        )
    return None


def _of_service(status: dict[str, Any]) -> Diagnosis | None:
    """Explain why a service of the job does not stay up; one start may fail, such as a database's first."""
    if int(status.get("restartCount") or 0) < _RESTARTS_OF_A_SERVICE:
        return None
    return Diagnosis(
        category="ended",
        what=f"The service {status.get('image', '')} ended again and again right after its start.",
        why=last_words(status),
        remedy="Correct its image, command or variables under `services:` in .gitlab-ci.yml.",
        final=True,
        container=str(status.get("name")),
    )


def failed_services(pod: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the statuses of the job's services that have ended at least once, or do not run."""
    statuses = [one for one in _container_statuses(pod) if str(one.get("name", "")).startswith(_SERVICE)]
    return [one for one in statuses if one.get("restartCount") or "running" not in (one.get("state") or {})]


def last_words(status: dict[str, Any]) -> str:
    """Return how a container that was started again ended before, and the end of its log."""
    states = (status.get("state") or {}, status.get("lastState") or {})
    ended: dict[str, Any] = next((state["terminated"] for state in states if state.get("terminated")), {})
    if not ended:
        return ""
    words = str(ended.get("message") or "").strip()
    return f"It ended with exit code {ended.get('exitCode')} ({ended.get('reason')})." + (
        f" Its last words:\n{words}" if words else ""
    )


def _unscheduled(message: str) -> Diagnosis:
    # Every node of the cluster fails on affinity alone: the tenant has none, and waiting does not make one.
    found = re.match(r"0/(\d+) nodes are available: (\d+) node\(s\) didn't match Pod's node affinity", message)
    none_matches = found is not None and found[1] == found[2]
    return Diagnosis(
        category="unschedulable",
        what="No node of the tenant can take the job pod now.",
        why=message,
        remedy=f"{OPERATOR.capitalize()} must check the labels, taints and room of the tenant's nodes."
        if none_matches
        else f"It starts when other jobs end. If it stays, {OPERATOR} must give the tenant more room.",
        final=none_matches,
    )


def _disruption(pod: dict[str, Any]) -> str:
    for condition in (pod.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "DisruptionTarget" and condition.get("status") == "True":
            return f"{condition.get('reason', '')}: {condition.get('message', '')}"
    return ""


def _limit(pod: dict[str, Any], container: str, resource: str) -> str:
    for spec in pod["spec"]["containers"]:
        if spec["name"] == container:
            return str((spec.get("resources") or {}).get("limits", {}).get(resource, "unknown"))
    return "unknown"
