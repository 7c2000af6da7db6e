"""When a job pod takes scripts, by what the kubelet says of it."""

from __future__ import annotations

from executor.pod import names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def takes_scripts(pod: dict[str, Any]) -> bool:
    """Tell whether build and helper container run and the tools are in place; the layer cache need not be up yet."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    states: dict[str, dict[str, Any]] = {one.get("name", ""): one.get("state") or {} for one in statuses}
    running = all("running" in states.get(name, {}) for name in (names.BUILD, names.HELPER))
    return running and _tools_are_there(states)


def _tools_are_there(states: dict[str, dict[str, Any]]) -> bool:
    if names.TOOLS in states:
        return (states[names.TOOLS].get("terminated") or {}).get("exitCode") == 0
    # The cache registry brings them along, at its very start, and goes on; the two that run were started after it. An
    # exec that comes earlier all the same is tried again.
    brings = states.get(names.CACHE_REGISTRY, {})
    return "running" in brings or (brings.get("terminated") or {}).get("exitCode") == 0
