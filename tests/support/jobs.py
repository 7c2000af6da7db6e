"""A resolved job that tests start from."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from executor.job import Connection, Job

if TYPE_CHECKING:
    from collections.abc import Mapping

POD = "kaniko-job-7-bcdfgh"
NAMESPACE = "tenant-a"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
ATTEMPT = "bcdfghjklmnpqrst"
RUNNING: dict[str, Any] = {"running": {}}
CREATING: dict[str, Any] = {"waiting": {"reason": "ContainerCreating"}}
DONE: dict[str, Any] = {"terminated": {"exitCode": 0}}
READY: Mapping[str, dict[str, Any]] = {"build": RUNNING, "helper": RUNNING, "tools": DONE}


def make_job(connection: Connection | None = None, **changes: Any) -> Job:
    """Make a job; `changes` are fields of `Job`."""
    job = Job(
        id=7,
        tenant="tenant-a",
        pod=POD,
        attempt=ATTEMPT,
        connection=connection or Connection(server="https://127.0.0.1:1", namespace=NAMESPACE),
        manifest={"metadata": {"name": POD}, "spec": {"containers": []}},
        logins="",
        build_shell="sh",
        output_limit=10**9,
        schedule_timeout=30,
        start_timeout=30,
        stop_grace=1,
        connection_timeout=30,
        journal="",
    )
    return replace(job, **changes)


def pod_state(
    states: Mapping[str, dict[str, Any]] | None = None, *, version: int = 1, node: str = "node1", **status: Any
) -> dict[str, Any]:
    """Make the job pod as the API returns it; `states` are its containers', `status` further fields."""
    containers = [{"name": name, "image": f"{name}:1", "state": state} for name, state in (states or {}).items()]
    return {
        "metadata": {"name": POD, "uid": "u-1", "resourceVersion": str(version)},
        "spec": {"nodeName": node, "containers": []} if node else {"containers": []},
        "status": {"containerStatuses": containers, **status},
    }
