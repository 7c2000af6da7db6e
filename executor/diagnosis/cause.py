"""Explain why a job pod waits, failed or vanished.

Pure: takes the pod and its events as the API returned them, returns a `Diagnosis`. No I/O, no clock. Order matters: an
evicted pod keeps stale container states, so the pod's own reason is read first. Container states decide, never the
pod's phase, which lags behind them by seconds.
"""

from __future__ import annotations

from executor.categories import Category
from executor.diagnosis import ending
from executor.diagnosis.model import (
    OPERATOR,
    Diagnosis,
    conditions,
    container_state,
    container_statuses,
    limit,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "TOLD_BY_EVENTS",
    "Diagnosis",
    "container_state",
    "failed_services",
    "images_to_come",
    "last_words",
    "of_ended_service",
    "of_lost_pod",
    "of_silent_node",
    "of_start",
    "of_waiting_pod",
]

_CONFIG_REASONS = frozenset(
    {"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "PostStartHookError", "StartError"}
)
_SERVICE = "svc-"
"""How the names of containers begin that a job asked for by `services:`; as in pod/names.py."""
_CORRECT_SERVICE = (
    "Correct its image, command or variables under `services:` in .gitlab-ci.yml. One that has done its work must go "
    "on running, too: let its command end with `sleep infinity`."
)
TOLD_BY_EVENTS = frozenset({Category.SANDBOX_FAILED, Category.VOLUME_FAILED, Category.SECRET_MISSING})
"""What a pod's status does not show, so that a silent status does not mean that it is over."""
_CREATING = frozenset({"ContainerCreating", "PodInitializing"})
_TOOLS, _CACHE_REGISTRY = "tools", "cache-registry"
_MAY_END = frozenset({_TOOLS, _CACHE_REGISTRY})
"""Containers that may end well before the job begins."""
_SIGNALS = 128
"""Exit codes above it are 128 plus the number of a signal."""


def of_lost_pod(pod: dict[str, Any] | None, container: str, events: list[dict[str, Any]] | None = None) -> Diagnosis:
    """Explain why a container that ran a script no longer does.

    Args:
        pod: None for one that is gone.
        container: which of its containers ran the script.
        events: of the pod, as far as somebody asked for them.
    """
    if pod is None:
        return ending.of_events(events or []) or ending.deleted()
    if (pod.get("status") or {}).get("reason") and (found := ending.of_pod(pod)):
        return found
    terminated = container_state(pod, container).get("terminated") or {}
    # Also where the pod claims success: on cgroup v1 the kernel kills one process, and the container may end well.
    if terminated.get("reason") == "OOMKilled":
        return Diagnosis(
            category=Category.OUT_OF_MEMORY,
            what=f"The {container} container used more memory than its limit and was killed.",
            why=f"Its limit is {limit(pod, container, 'memory')}. {_figures(terminated)}",
            remedy=f"Use less memory (fewer parallel compilers, smaller layers), or ask {OPERATOR} for a higher limit.",
            final=True,
            container=container,
        )
    if found := ending.of_pod(pod) or ending.of_events(events or []):
        return found
    if pod["metadata"].get("deletionTimestamp"):
        return ending.deleted()
    return Diagnosis(
        category=Category.CONTAINER_ENDED,
        what=f"The {container} container ended under the script.",
        why=_figures(terminated),
        remedy="Does the script kill processes that it did not start, or process 1? Otherwise run the job again.",
        final=True,
        container=container,
    )


def _figures(terminated: dict[str, Any]) -> str:
    if not terminated:
        return ""
    code = terminated.get("exitCode", "unknown")
    signal = f", by signal {code - _SIGNALS}" if isinstance(code, int) and code > _SIGNALS else ""
    return f"It ended with {terminated.get('reason') or 'no reason'}, exit code {code}{signal}."


def of_waiting_pod(pod: dict[str, Any]) -> Diagnosis | None:
    """Explain what a pod that is not ready yet waits for; None when nothing holds it up."""
    if found := ending.of_pod(pod):
        return found
    if pod["metadata"].get("deletionTimestamp"):
        return of_lost_pod(pod, "build")
    for status in _needed(pod):
        if found := _of_container(status):
            return found
    for condition in conditions(pod, "PodScheduled"):
        # A gate is the driver's own, and opens before anybody needs to hear of it.
        if condition.get("status") == "False" and condition.get("reason") != "SchedulingGated":
            # Imported here: most pods find a node at once.
            from executor.diagnosis import scheduling

            return scheduling.unscheduled(pod, str(condition.get("message") or condition.get("reason") or ""))
    return None


def images_to_come(pod: dict[str, Any]) -> list[str]:
    """Return the images that the node still pulls for a pod that it has taken; none while it sets the pod up.

    No status says "pulling". A pod has its network and its volumes before images are looked at, and a container whose
    image is there is created within a moment: what still waits to be created in between waits for its image.
    """
    status = pod.get("status") or {}
    set_up = any(one.get("status") == "True" for one in conditions(pod, "PodReadyToStartContainers"))
    if not set_up and not status.get("podIP"):
        return []
    waiting = [
        one
        for one in _needed(pod)
        if ((one.get("state") or {}).get("waiting") or {}).get("reason") in _CREATING and not one.get("imageID")
    ]
    return sorted({str(one.get("image")) for one in waiting})


def _needed(pod: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the statuses of the containers that a job cannot do without.

    A layer cache that does not start makes a build slow, and is no reason to wait or to fail; unless its container
    brings the tools along.
    """
    statuses = list(container_statuses(pod))
    apart = any(one.get("name") == _TOOLS for one in statuses)
    return [one for one in statuses if not apart or one.get("name") != _CACHE_REGISTRY]


def of_silent_node(pod: dict[str, Any]) -> Diagnosis:
    """Explain why a pod that has a node for a minute was not taken by its kubelet, which answers within a second."""
    return Diagnosis(
        category=Category.NODE_LOST,
        what="The node that was to run the job pod does not answer.",
        why=f"The scheduler gave the pod to {(pod.get('spec') or {}).get('nodeName')}, whose kubelet has not taken it.",
        remedy=f"This is no fault of the job: run it again. If it stays, {OPERATOR} must look at the node.",
        final=True,
    )


def of_start(events: list[dict[str, Any]]) -> Diagnosis | None:
    """Explain by its warnings what holds up a pod that has a node, and whose status says nothing; None when none do."""
    for event in reversed(events):
        reason, message = str(event.get("reason") or ""), str(event.get("message") or "")
        if event.get("type") != "Warning":
            continue
        if reason in {"FailedMount", "FailedAttachVolume", "FailedMapVolume"}:
            missing = "secret " in message or "configmap " in message
            return Diagnosis(
                category=Category.SECRET_MISSING if missing and "not found" in message else Category.VOLUME_FAILED,
                what="A volume of the job pod cannot be mounted.",
                why=f"{reason}: {message}",
                remedy=f"{OPERATOR.capitalize()} must check [pod] volumes of the tenant, and what the message names.",
            )
        if reason == "FailedCreatePodSandBox":
            return Diagnosis(
                category=Category.SANDBOX_FAILED,
                what="The node cannot set up the job pod: its network, or its runtime.",
                why=f"{reason}: {message}",
                remedy=f"Run the job again. If it stays, {OPERATOR} must look at the node's network and runtime.",
            )
    return None


def _of_container(status: dict[str, Any]) -> Diagnosis | None:
    state = status.get("state") or {}
    waiting, terminated = state.get("waiting") or {}, state.get("terminated") or {}
    name, reason, message = status.get("name", ""), str(waiting.get("reason") or ""), str(waiting.get("message") or "")
    if name.startswith(_SERVICE) and (found := _of_service(status)):
        return found
    if waiting:
        # Imported here: a running job has no use for it.
        from executor.diagnosis import image

        if reason in image.REASONS:
            return image.of_pull(container=name, image=status.get("image", ""), reason=reason, message=message)
    if reason in _CONFIG_REASONS:
        missing = reason == "CreateContainerConfigError" and ("secret" in message or "configmap" in message)
        return Diagnosis(
            category=Category.SECRET_MISSING if missing else Category.CONTAINER_NOT_STARTED,
            what=f"The {name} container cannot be started.",
            why=f"{reason}: {message}",
            remedy=f"{OPERATOR.capitalize()} must check what the message names.",
            container=name,
        )
    if terminated and not name.startswith(_SERVICE) and (terminated.get("exitCode") or name not in _MAY_END):
        return Diagnosis(
            category=Category.CONTAINER_ENDED,
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
    if not status.get("restartCount") or "running" in (status.get("state") or {}):
        return None
    return Diagnosis(
        category=Category.SERVICE_FAILED,
        what=f"The service {status.get('image', '')} ended again and again right after its start.",
        why=last_words(status),
        remedy=_CORRECT_SERVICE,
        final=True,
        container=str(status.get("name")),
    )


def of_ended_service(pod: dict[str, Any], image: str, port: str) -> Diagnosis | None:
    """Explain why a service with this image will not listen on its port; None where it has not ended.

    By the image of the pod's specification: the status may have another name of it.
    """
    ended = {status.get("name"): status for status in failed_services(pod)}
    for container in (pod.get("spec") or {}).get("initContainers") or ():
        if container.get("image") == image and (status := ended.get(container.get("name"))):
            return Diagnosis(
                category=Category.SERVICE_FAILED,
                what=f"The service {image} ended before it listened on port {port} (HEALTHCHECK_TCP_PORT).",
                why=last_words(status),
                remedy=_CORRECT_SERVICE,
                final=True,
                container=str(status.get("name")),
            )
    return None


def failed_services(pod: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the statuses of the job's services that have ended at least once, or do not run."""
    statuses = [one for one in container_statuses(pod) if str(one.get("name", "")).startswith(_SERVICE)]
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
