"""The first process of a node: sets its namespaces up, then keeps containerd and kubelet running.

Runs as `python -m testbed.node NAME` inside fresh mount, pid, network and uts namespaces. When it ends, the kernel
ends everything in the pid namespace and drops every mount and interface, so a node leaves nothing behind.
Programs and their arguments come from the node's folder; this file knows no versions.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from testbed import layout
from testbed.errors import BedError
from testbed.process import run
from testbed.wait import wait_for

COMMANDS = "commands.json"  # program name -> argument list, in the order of starting
RESTART_DELAY = 2.0  # seconds; a program that dies at once must not spin
# What kubelet wants of the kernel. It writes these where they differ, and the kernel's are the whole machine's:
# each is covered by a file that already says so.
KERNEL_SETTINGS = {
    "kernel/keys/root_maxbytes": "25000000",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
}


def main(name: str) -> None:
    """Run the node until SIGTERM."""
    node = next(node for node in layout.NODES if node.name == name)
    ending = _Ending()
    _mounts(node)
    socket.sethostname(node.name)
    _network(node)
    commands: dict[str, list[str]] = json.loads((node.state / COMMANDS).read_text())
    _supervise(node, commands, ending)


class _Ending:
    """Becomes true at SIGTERM."""

    def __init__(self) -> None:
        self.wanted = False
        signal.signal(signal.SIGTERM, self._want)

    def _want(self, *_: object) -> None:
        self.wanted = True


def _mounts(node: layout.Node) -> None:
    run(("mount", "--make-rprivate", "/"))
    run(("mount", "--make-rshared", "/"))  # kubelet passes mounts on to containers
    run(("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"))
    kept = {folder: Path(f"/run/kept/{number}") for number, folder in enumerate((layout.STATE, layout.CACHE))}
    for folder, place in kept.items():
        place.mkdir(parents=True)
        run(("mount", "--bind", folder, place))
    for name in ("var/lib", "var/log"):  # kubelet, containerd and CNI keep their usual paths
        (node.state / name).mkdir(parents=True, exist_ok=True)
        run(("mount", "--bind", node.state / name, f"/{name}"))
    for folder, place in kept.items():
        if folder.is_relative_to("/var"):  # covered just now
            folder.mkdir(parents=True, exist_ok=True)
            run(("mount", "--bind", place, folder))
    run(("mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", "/dev/shm"))  # noqa: S108 - a mount point
    # Pods in user namespaces may mount /proc only where one without covered files can be seen.
    whole = Path("/run/proc")
    whole.mkdir()
    run(("mount", "-t", "proc", "proc", whole))
    for setting, value in KERNEL_SETTINGS.items():
        cover = Path("/run/kernel-settings") / setting
        cover.parent.mkdir(parents=True, exist_ok=True)
        cover.write_text(f"{value}\n")
        run(("mount", "--bind", cover, f"/proc/sys/{setting}"))


def _network(node: layout.Node) -> None:
    # The other end is made, and this one moved in, from outside.
    wait_for("eth0", Path("/proc/sys/net/ipv4/conf/eth0").exists, 60)
    run(("ip", "link", "set", "lo", "up"))
    run(("ip", "addr", "replace", f"{node.address}/{layout.NODE_NETWORK_BITS}", "dev", "eth0"))
    run(("ip", "link", "set", "eth0", "up"))
    run(("ip", "route", "replace", "default", "via", layout.HOST_ADDRESS))
    for other in layout.NODES:
        if other != node:
            run(("ip", "route", "replace", other.pod_range, "via", other.address))
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def _supervise(node: layout.Node, commands: dict[str, list[str]], ending: _Ending) -> None:
    environment = {"PATH": layout.PROGRAM_PATH, "HOME": "/root", "TMPDIR": "/tmp"}  # noqa: S108
    running: dict[int, str] = {}
    not_before = dict.fromkeys(commands, 0.0)

    def turn() -> bool:
        for program, command in commands.items():
            if program not in running.values() and time.monotonic() >= not_before[program]:
                not_before[program] = time.monotonic() + RESTART_DELAY
                with (layout.LOGS / f"{node.name}.{program}.log").open("ab") as log:
                    process = subprocess.Popen(
                        command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
                    )
                running[process.pid] = program
                # Reaped below, with everything that containers leave to the first process of a pid namespace.
                process.returncode = 0
        _reap(running)
        return ending.wanted

    wait_for("SIGTERM", turn, float("inf"))
    for pid in running:
        os.kill(pid, signal.SIGTERM)
    with suppress(BedError):  # what is left when this process ends is killed by the kernel
        wait_for("end of the node's programs", lambda: _none_left(running), 0.5)


def _none_left(running: dict[int, str]) -> bool:
    _reap(running)
    return not running


def _reap(running: dict[int, str]) -> None:
    try:
        while True:
            pid, _ = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            running.pop(pid, None)
    except ChildProcessError:
        return


if __name__ == "__main__":
    main(sys.argv[1])
