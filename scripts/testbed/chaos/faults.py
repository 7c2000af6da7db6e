"""The faults: each is done to the ground, and undone by what it returns.

Parts of the bed are stopped and started as themselves; packets are dropped by the bed's own packet filter, inside its
network namespace; a node's programs are killed where its supervisor starts them again.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed import api, control_plane, layout, nodes, process, registry, s3
from testbed.chaos.ground import TENANT
from testbed.process import Service, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from testbed.chaos.ground import Ground
    from testbed.coordinator_job import SubmittedJob

    Undo = Callable[[], object]
    Fault = Callable[[Ground, SubmittedJob, int], Undo]

NODE = layout.NODES[0]
_SHORT = 8.0
_CUT = 30.0
_AWAY = 75.0


def nothing(*_: object) -> None:
    """There is nothing to undo."""


# ---------------------------------------------------------------- the cluster's own parts


def _stopped(service: Service, seconds: float) -> Undo:
    process.stop([service], patience=1.5)
    time.sleep(seconds)
    service.start()
    return nothing


def api_restart(*_: object) -> Undo:
    """The API server is killed and started again."""
    return _stopped(control_plane.apiserver(), 1.0)


def etcd_stop(*_: object) -> Undo:
    """Etcd is away for some seconds."""
    return _stopped(control_plane.etcd(), _SHORT)


def s3_down(*_: object) -> Undo:
    """The S3 server is away for some seconds."""
    return _stopped(s3.service(), _SHORT)


def registry_down(*_: object) -> Undo:
    """The registry is away until the job is over."""
    process.stop([registry.service()], patience=1.5)
    return registry.service().start


def registry_back(*_: object) -> Undo:
    """The registry is away for two seconds, in the middle of a build."""
    return _stopped(registry.service(), 2.0)


def _killed_on_node(program: str) -> Undo:
    holder = nodes.first_process(NODE)
    for pid in process.children(holder) if holder else ():
        with suppress(OSError):
            if Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].endswith(program.encode()):
                os.kill(pid, signal.SIGKILL)
    return nothing


def kubelet_restart(*_: object) -> Undo:
    """The node's kubelet is killed; its supervisor starts it again."""
    return _killed_on_node("kubelet")


def containerd_restart(*_: object) -> Undo:
    """The node's container runtime is killed; its supervisor starts it again."""
    return _killed_on_node("containerd")


def node_vanishes(*_: object) -> Undo:
    """The node's first process is killed, and with it everything on the node; it comes back after the job."""
    pid = nodes.first_process(NODE)
    if pid:
        os.kill(pid, signal.SIGKILL)
    return lambda: nodes.start(NODE)


def node_away(*_: object) -> Undo:
    """The node's first process is killed; it comes back after a minute and a quarter."""
    back = node_vanishes()
    time.sleep(_AWAY)
    back()
    return nothing


# ---------------------------------------------------------------- packets


def _filtered(*rule: str) -> Undo:
    run((*layout.ENTER, "iptables", "--wait", "--insert", *rule))
    return lambda: run((*layout.ENTER, "iptables", "--wait", "--delete", *rule))


def _filtered_for(seconds: float, *rules: tuple[str, ...]) -> Undo:
    undo = [_filtered(*rule) for rule in rules]
    time.sleep(seconds)
    for one in undo:
        one()
    return nothing


def api_cut(*_: object) -> Undo:
    """No packet reaches the API server for half a minute."""
    return _filtered_for(_CUT, ("INPUT", "-p", "tcp", "--dport", str(layout.API_PORT), "-j", "DROP"))


def node_silent(*_: object) -> Undo:
    """No packet goes to the node or comes from it until the job is over."""
    away = _filtered("OUTPUT", "-d", NODE.address, "-j", "DROP")
    back = _filtered("INPUT", "-s", NODE.address, "-j", "DROP")
    return lambda: (away(), back())


def node_silent_for_a_while(*_: object) -> Undo:
    """No packet goes to the node or comes from it for a minute and a quarter."""
    back = node_silent()
    time.sleep(_AWAY)
    back()
    return nothing


def git_down(ground: Ground, *_: object) -> Undo:
    """No pod reaches the repositories for some seconds; the runner does."""
    port = ground.coordinator.url.rpartition(":")[2]
    return _filtered_for(_SHORT, ("INPUT", "-i", layout.BRIDGE, "-p", "tcp", "--dport", port, "-j", "DROP"))


def throttled(ground: Ground, *_: object) -> Undo:
    """The API server answers four of five requests with 429 for some seconds."""
    return _storm(ground, 429)


def broken(ground: Ground, *_: object) -> Undo:
    """The API server answers four of five requests with 500 for some seconds."""
    return _storm(ground, 500)


def _storm(ground: Ground, status: int) -> Undo:
    ground.storm.rage(status, 0.8)
    time.sleep(_SHORT)
    ground.storm.rage(0, 0)
    return nothing


# ---------------------------------------------------------------- the pod


def _each_pod(ground: Ground, job: SubmittedJob, act: Callable[[str], Any]) -> Undo:
    for pod in ground.pods(job):
        with suppress(api.ApiError):
            act(pod["metadata"]["name"])
    return nothing


def pod_deleted(ground: Ground, job: SubmittedJob, _: int) -> Undo:
    """Somebody deletes the pod, with its grace."""
    return _each_pod(ground, job, lambda name: api.request("DELETE", api.path_of("Pod", name, TENANT.name)))


def pod_deleted_at_once(ground: Ground, job: SubmittedJob, _: int) -> Undo:
    """Somebody deletes the pod without grace."""
    path = "{}?gracePeriodSeconds=0"
    return _each_pod(
        ground, job, lambda name: api.request("DELETE", path.format(api.path_of("Pod", name, TENANT.name)))
    )


def pod_evicted(ground: Ground, job: SubmittedJob, _: int) -> Undo:
    """Somebody drains the node."""

    def evict(name: str) -> object:
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": TENANT.name}}
        return api.request("POST", f"{api.path_of('Pod', name, TENANT.name)}/eviction", body)

    return _each_pod(ground, job, evict)


def cache_registry_killed(ground: Ground, job: SubmittedJob, _: int) -> Undo:
    """The kernel ends the layer cache's process, as it does for memory."""
    return _kill_in_pod(ground, job, b"registry")


def _kill_in_pod(ground: Ground, job: SubmittedJob, program: bytes) -> Undo:
    idents = [pod["metadata"]["uid"] for pod in ground.pods(job)]
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if words[0].rpartition(b"/")[2] == program and any(
                one in (folder / "cgroup").read_text() for one in idents
            ):
                os.kill(int(folder.name), signal.SIGKILL)
    return nothing


# ---------------------------------------------------------------- the runner's host


def driver_killed(_ground: Ground, _job: SubmittedJob, stage: int) -> Undo:
    """The stage's own process is killed."""
    with suppress(ProcessLookupError):
        os.kill(stage, signal.SIGKILL)
    return nothing


def _runner_ended(ground: Ground, number: signal.Signals) -> Undo:
    os.kill(ground.runner.pid, number)

    def again() -> None:
        ground.runner.stop()
        ground.runner.start()

    return again


def runner_killed(ground: Ground, *_: object) -> Undo:
    """The runner is killed, and started again later."""
    return _runner_ended(ground, signal.SIGKILL)


def runner_terminated(ground: Ground, *_: object) -> Undo:
    """The runner aborts its jobs."""
    return _runner_ended(ground, signal.SIGTERM)


def runner_drained(ground: Ground, *_: object) -> Undo:
    """The runner is told to end after its jobs."""
    return _runner_ended(ground, signal.SIGQUIT)


def host_disk_full(ground: Ground, *_: object) -> Undo:
    """The disk with the runner's temporary files takes no new file for some seconds.

    Files that are there may still grow: the runner keeps the job log in one, and never gets over a failure there.
    """
    filler = ground.temporary / "filler"
    filler.mkdir()
    with suppress(OSError):
        for number in range(ground.files_at_most):
            (filler / str(number)).touch()
    time.sleep(_SHORT)
    shutil.rmtree(filler)
    return nothing


def clock_forward(ground: Ground, *_: object) -> Undo:
    """The time of day jumps by an hour under the stage that works."""
    ground.clock.write_text("+3600\n")
    return lambda: ground.clock.unlink(missing_ok=True)


def clock_back(ground: Ground, *_: object) -> Undo:
    """The time of day jumps back by an hour."""
    ground.clock.write_text("-3600\n")
    return lambda: ground.clock.unlink(missing_ok=True)


def token_expired(ground: Ground, *_: object) -> Undo:
    """The driver's token is no good until the job is over."""
    good = ground.token.read_text()
    ground.token.write_text(good[:-8] + "expired0")
    return lambda: ground.token.write_text(good)


def nothing_more(*_: object) -> Undo:
    """The job brings its fault along."""
    return nothing
