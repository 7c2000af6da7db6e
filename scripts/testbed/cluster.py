"""The cluster as its administrator, for tests and for looking around. Works from inside and outside the namespace."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from testbed import api, layout, programs
from testbed.errors import BedError
from testbed.process import run

if TYPE_CHECKING:
    from datetime import datetime


def kubectl_command(*arguments: str) -> tuple[str, ...]:
    """Return the command line that runs kubectl as administrator in the bed's namespace."""
    return (*layout.ENTER, str(programs.KUBECTL.path), f"--kubeconfig={layout.ADMIN_KUBECONFIG}", *arguments)


def kubectl(*arguments: str, stdin: str | None = None) -> str:
    """Run kubectl as administrator and return what it printed.

    Raises:
        BedError: it failed; carries what it said.
    """
    return run(kubectl_command(*arguments), stdin=stdin)


def get(kind: str, name: str, namespace: str = "") -> dict[str, Any]:
    """Return one object as the API server has it.

    Raises:
        BedError: there is none of that name.
    """
    found = api.get(kind, name, namespace)
    if found is None:
        raise BedError(f"there is no {kind} {name} in {namespace or 'the cluster'}")
    return found


def pods(namespace: str) -> list[dict[str, Any]]:
    """Return all pods of a namespace."""
    return api.items("Pod", namespace)


def ready_nodes(since: datetime | None = None) -> set[str]:
    """Return the names of the nodes that are Ready.

    Args:
        since: count only a node whose kubelet reported after this moment. After a restart, what stands in the API is
            of an earlier life.
    """
    # The API's times have whole seconds and sort as text; what was reported in the same second may be older.
    before = since.strftime("%Y-%m-%dT%H:%M:%SZ") if since else ""
    ready = set()
    for node in api.items("Node"):
        for condition in node["status"].get("conditions", []):
            good = condition["type"] == "Ready" and condition["status"] == "True"
            if good and condition["lastHeartbeatTime"] > before:
                ready.add(node["metadata"]["name"])
    return ready


def requests_of(user: str) -> list[dict[str, Any]]:
    """Return the audit event of each request the user made since the cluster was set up, the oldest first.

    A request that still runs (a watch, an exec) is there once it was answered. Tenants are
    `system:serviceaccount:NAMESPACE:kaniko-driver`.
    """
    events: dict[str, dict[str, Any]] = {}
    with layout.AUDIT_LOG.open() as log:
        for line in log:
            if f'"username":"{user}"' in line and line.endswith("\n"):
                event = json.loads(line)
                # A long request is logged when it is answered and again when it ends.
                events[event["auditID"]] = event
    return list(events.values())
