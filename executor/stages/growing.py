"""A warm pod that waited small grows to what a job requests: KEP-1287, in place, its containers running on.

Limits need no growth, they were those of a job from the start; what grows is what the node keeps free. So the node's
word is waited for: a job on a node that has no room for it would be the first to be evicted there.
"""

from __future__ import annotations

import time

from executor.diagnosis.amounts import amount
from executor.errors import ClusterRefused, ClusterUnreachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from executor.cluster.api import Api

_RESIZED = ("cpu", "memory")
"""Disk cannot be resized."""
_SECONDS = 5.0
"""For the node's word; it came within 0.1 to 1.0 s on a machine with a load of 25."""


def grow(api: Api, pod: dict[str, Any], manifest: dict[str, Any]) -> str:
    """Let a claimed pod request what the job's own would, and return why it does not; empty when it does."""
    containers = _grown(pod, manifest)
    if containers == pod["spec"]["containers"]:
        return ""
    try:
        asked = api.resize_pod(pod["metadata"]["name"], containers)
        return _await(api, asked)
    except (ClusterRefused, ClusterUnreachable) as error:
        return error.why or error.what


def _grown(pod: dict[str, Any], manifest: dict[str, Any]) -> list[dict[str, Any]]:
    wanted = {one["name"]: one["resources"]["requests"] for one in manifest["spec"]["containers"]}
    return [_with(one, wanted.get(one["name"], {})) for one in pod["spec"]["containers"]]


def _with(container: dict[str, Any], wanted: dict[str, str]) -> dict[str, Any]:
    resources = container.get("resources") or {}
    requests = resources.get("requests") or {}
    # The API server writes 1000m as 1: what is the same must not count as a change.
    more = {
        name: wanted[name]
        for name in _RESIZED
        if name in wanted and amount(wanted[name]) != amount(str(requests.get(name, "0")))
    }
    return container | {"resources": resources | {"requests": requests | more}} if more else container


def _await(api: Api, pod: dict[str, Any]) -> str:
    """Watch until the node has said yes or no; its containers may follow later."""
    generation, end = pod["metadata"].get("generation"), time.monotonic() + _SECONDS
    version = pod["metadata"]["resourceVersion"]
    with api.watch_pod(pod["metadata"]["name"], resource_version=version, seconds=_SECONDS) as watch:
        while (left := end - time.monotonic()) > 0:
            try:
                change = watch.next(left)
            except TimeoutError:
                break
            if change is None:
                break
            said = _answer(change[1].get("status") or {}, generation)
            if said is not None:
                return said
    return f"its node did not say within {_SECONDS:.0f} s whether the pod may grow"


def _answer(status: dict[str, Any], generation: int | None) -> str | None:
    """Return why the node lets the pod not grow, empty where it does, None as long as it has not looked."""
    conditions = {one["type"]: one for one in status.get("conditions") or ()}
    pending = conditions.get("PodResizePending")
    if pending is not None and pending.get("observedGeneration", generation) == generation:
        return f"its node has no room for it to grow ({pending.get('reason')}: {pending.get('message')})"
    # Kubernetes 1.33 does not tell which generation a status is of, but that it is at work.
    looked = status.get("observedGeneration") == generation is not None or "PodResizeInProgress" in conditions
    return "" if looked else None
