"""The faults of the cluster and of what surrounds it: each is done to the ground, and undone by what it returns.

Parts of the bed are stopped and started as themselves; packets are dropped by the bed's own packet filter, inside its
network namespace; a node's programs are killed where its supervisor starts them again.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from testbed import control_plane, layout, nodes, process, registry, s3
from testbed.process import Service, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from testbed.chaos.ground import Ground
    from testbed.coordinator_job import SubmittedJob

    Undo = Callable[[], object]
    Fault = Callable[[Ground, SubmittedJob, int], Undo]

NODE = layout.NODES[0]
SHORT = 8.0
"""Seconds that a fault lasts which goes by itself."""
_CUT = 30.0
_CUTS, _SHORT_CUT, _BETWEEN_CUTS = 4, 6.0, 4.0
_AWAY = 75.0


class Missed(Exception):
    """There was nothing that the fault could be done to."""


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
    return _stopped(control_plane.etcd(), SHORT)


def s3_down(*_: object) -> Undo:
    """The S3 server is away for some seconds."""
    return _stopped(s3.service(), SHORT)


def registry_down(*_: object) -> Undo:
    """The registry is away until the job is over."""
    process.stop([registry.service()], patience=1.5)
    return registry.service().start


def registry_back(*_: object) -> Undo:
    """The registry is away for some seconds: Kaniko, in the middle of a build, meets that when it pushes."""
    return _stopped(registry.service(), SHORT)


def _killed_on_node(program: str) -> Undo:
    holder, killed = nodes.first_process(NODE), 0
    for pid in process.children(holder) if holder else ():
        with suppress(OSError):
            if Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].endswith(program.encode()):
                os.kill(pid, signal.SIGKILL)
                killed += 1
    if not killed:
        raise Missed
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


def api_cut_often(*_: object) -> Undo:
    """No packet reaches the API server for six seconds, four times."""
    for _cut in range(_CUTS):
        _filtered_for(_SHORT_CUT, ("INPUT", "-p", "tcp", "--dport", str(layout.API_PORT), "-j", "DROP"))
        time.sleep(_BETWEEN_CUTS)
    return nothing


def s3_silent(*_: object) -> Undo:
    """No packet reaches the S3 server until the job is over."""
    return _filtered("INPUT", "-p", "tcp", "--dport", str(layout.S3_PORT), "-j", "DROP")


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
    return _filtered_for(SHORT, _to_git(ground, "DROP"))


def git_gone(ground: Ground, *_: object) -> Undo:
    """Pods that ask for the repositories are refused until the job is over."""
    return _filtered(*_to_git(ground, "REJECT"))


def _to_git(ground: Ground, verdict: str) -> tuple[str, ...]:
    port = ground.coordinator.url.rpartition(":")[2]
    return ("INPUT", "-i", layout.BRIDGE, "-p", "tcp", "--dport", port, "-j", verdict)


def throttled(ground: Ground, *_: object) -> Undo:
    """The API server answers four of five requests with 429 for some seconds."""
    return _storm(ground, 429)


def broken(ground: Ground, *_: object) -> Undo:
    """The API server answers four of five requests with 500 for some seconds."""
    return _storm(ground, 500)


def _storm(ground: Ground, status: int) -> Undo:
    ground.storm.rage(status, 0.8)
    time.sleep(SHORT)
    ground.storm.rage(0, 0)
    return nothing


# ---------------------------------------------------------------- all of it


def all_of_it(ground: Ground, job: SubmittedJob, stage: int) -> Undo:
    """One after the other, all that a job has to live through."""
    for fault in (
        *(throttled, kubelet_restart, broken, api_restart, s3_down, containerd_restart),
        *(registry_back, etcd_stop, git_down, api_cut),
    ):
        fault(ground, job, stage)
    return nothing
