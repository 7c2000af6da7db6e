"""Faults of a job's own pod: deleted, evicted, and processes in it that the kernel ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed import api, cgroups
from testbed.chaos.faults import Missed, nothing
from testbed.chaos.ground import TENANT
from testbed.errors import BedError
from testbed.wait import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from testbed.chaos.faults import Undo
    from testbed.chaos.ground import Ground
    from testbed.coordinator_job import SubmittedJob

AT_ONCE = {"gracePeriodSeconds": 0}
REGISTRY_PROGRAM = b"cache-registry"
# Eats memory in the group that it is told until a process is gone. Of two that want the last page the kernel ends the
# one with the higher score, which is the container's.
HOG = """
import os, sys, time
group, victim = sys.argv[1:]
open(f"{group}/cgroup.procs", "w").write(str(os.getpid()))
held, end = [], time.monotonic() + 20
while os.path.exists(f"/proc/{victim}") and time.monotonic() < end:
    held.append(b"x" * 2**20)
sys.exit(os.path.exists(f"/proc/{victim}"))
"""
_SECONDS_UNTIL_IT_EXISTS = 60.0


def _each_pod(ground: Ground, job: SubmittedJob, act: Callable[[str], Any]) -> Undo:
    """Do something to the job's pods; in `prepare` they may have to be made first."""
    try:
        pods = wait_for("the job's pod", lambda: ground.pods(job), _SECONDS_UNTIL_IT_EXISTS)
    except BedError as error:
        raise Missed from error
    for pod in pods:
        with suppress(api.ApiError):
            act(pod["metadata"]["name"])
    return nothing


def deleted(ground: Ground, job: SubmittedJob, _: int) -> Undo:
    """Somebody deletes the pod, with its grace."""
    return _each_pod(ground, job, lambda name: api.request("DELETE", api.path_of("Pod", name, TENANT.name)))


def deleted_at_once(ground: Ground, job: SubmittedJob, _: int) -> Undo:
    """Somebody deletes the pod without grace."""
    return _each_pod(ground, job, lambda name: api.request("DELETE", api.path_of("Pod", name, TENANT.name), AT_ONCE))


def evicted(ground: Ground, job: SubmittedJob, _: int) -> Undo:
    """Somebody drains the node."""
    return _each_pod(ground, job, lambda name: _evict(name, {}))


def evicted_at_once(ground: Ground, job: SubmittedJob, _: int) -> Undo:
    """Somebody drains the node and gives pods no time."""
    return _each_pod(ground, job, lambda name: _evict(name, {"deleteOptions": AT_ONCE}))


def _evict(name: str, more: dict[str, Any]) -> object:
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": TENANT.name}}
    return api.request("POST", f"{api.path_of('Pod', name, TENANT.name)}/eviction", body | more)


def cache_registry_killed(ground: Ground, job: SubmittedJob, _: int) -> Undo:
    """The layer cache's process is killed."""
    found = list(_processes(ground, job, REGISTRY_PROGRAM))
    for pid in found:
        os.kill(pid, signal.SIGKILL)
    if not found:
        raise Missed
    return nothing


def cache_registry_out_of_memory(ground: Ground, job: SubmittedJob, _: int) -> Undo:
    """The kernel ends the layer cache's process because its container has no memory left."""
    for pid in _processes(ground, job, REGISTRY_PROGRAM):
        group = _memory_group(pid)
        with suppress(subprocess.CalledProcessError):
            subprocess.run((sys.executable, "-c", HOG, str(group), str(pid)), check=True)
            return nothing
    raise Missed


def _processes(ground: Ground, job: SubmittedJob, program: bytes) -> Iterator[int]:
    """Find a program in the containers of the job's pods."""
    idents = [pod["metadata"]["uid"] for pod in ground.pods(job)]
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if words[0].rpartition(b"/")[2] == program and any(
                one in (folder / "cgroup").read_text() for one in idents
            ):
                yield int(folder.name)


def _memory_group(pid: int) -> Path:
    """Where the memory of a process is counted, on either version of control groups."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        for mount in cgroups.hierarchies("cgroup" if controllers else "cgroup2"):
            group = Path(f"{mount}{path}")
            if controllers in {"memory", ""} and any(group.glob("memory.*")):
                return group
    raise Missed
