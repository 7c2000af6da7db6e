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
    tools = states.get(names.TOOLS, {}).get("terminated") or {}
    running = all("running" in states.get(name, {}) for name in (names.BUILD, names.HELPER))
    return running and tools.get("exitCode") == 0
