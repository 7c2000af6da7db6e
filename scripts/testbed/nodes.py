"""The nodes as seen from the host: start them, load images into them, run commands in them."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from testbed import cgroups, layout, network, node_files, pki, programs
from testbed import node as node_program
from testbed.errors import BedError
from testbed.marks import Mark
from testbed.process import Service, children, run
from testbed.wait import wait_for

if TYPE_CHECKING:
    from testbed.images import Image
    from testbed.layout import Node

NAMESPACES = ("--mount", "--pid", "--net", "--uts")


def service(node: Node) -> Service:
    """Return the background process that holds the node; writes the node's files first."""
    # Not the interpreter or the checkout: two checkouts share a bed without restarting each other's nodes.
    identity = "".join((*_write_files(node), Path(node_program.__file__).read_text()))
    # Inside, the mount namespace is a copy of ours: the interpreter and these sources are where they are.
    program = (sys.executable, "-m", "testbed.node", node.name)
    holder = ("unshare", *NAMESPACES, "--fork", "--kill-child", "--mount-proc")
    settings = {name: value for name, value in os.environ.items() if name.startswith("KANIKO_BED_")}
    sources = str(Path(__file__).parent.parent)
    return Service(node.name, (*holder, *program), {"PYTHONPATH": sources, **settings}, identity)


def start(node: Node) -> bool:
    """Start the node unless it runs and connect it to the bridge; returns whether it was started."""
    holder = service(node)
    if not holder.pid:
        cgroups.forget_pods(node.name)
    fresh = holder.start()
    pid = wait_for(f"first process of {node.name}", lambda: first_process(node), 180, holder.check)
    bed = layout.NAMESPACE_PATH.stat().st_ino
    wait_for(f"network namespace of {node.name}", lambda: Path(f"/proc/{pid}/ns/net").stat().st_ino != bed, 180)
    network.attach(node, pid)
    return fresh


def first_process(node: Node) -> int | None:
    """Return the node's first process as the host numbers it; the pid file holds the `unshare` above it."""
    holder = Service(node.name).pid
    return next(iter(children(holder)), None) if holder else None


def in_node(node: Node | str, *command: str | os.PathLike[str]) -> str:
    """Run a command in the namespaces of a node and return what it printed.

    Raises:
        BedError: the node does not run, or the command failed.
    """
    return run((*enter_command(node), *command))


def enter_command(node: Node | str) -> tuple[str, ...]:
    """Return what to put before a command so that it runs in the node."""
    known = {known.name: known for known in layout.NODES}
    name = node if isinstance(node, str) else node.name
    if name not in known:
        raise BedError(f"there is no node {name}; there are {', '.join(known)}")
    pid = first_process(known[name])
    if pid is None:
        raise BedError(f"{name} does not run: `scripts/bed up` starts it")
    return ("nsenter", f"--target={pid}", *NAMESPACES, "--")


def wait_for_containerd(node: Node) -> None:
    """Return once the node takes images."""
    socket = f"/proc/{first_process(node)}/root{node_files.CONTAINERD_SOCKET}"
    wait_for(f"containerd of {node.name}", lambda: Path(socket).exists(), 180, Service(node.name).check)


def has(node: Node, image: Image) -> bool:
    """Whether exactly this image was loaded into the node."""
    return _mark(node, image).there


def load(node: Node, image: Image) -> None:
    """Load an image of the cache into the node."""
    load_file(node, image.artifact.path)
    _mark(node, image).set()


def _mark(node: Node, image: Image) -> Mark:
    return Mark(f"{node.name}-{image.name}", image.artifact.key)


def load_file(node: Node, archive: Path) -> None:
    """Load a docker or OCI archive into the node."""
    in_node(node, "ctr", "--namespace", "k8s.io", "images", "import", archive)


def _write_files(node: Node) -> list[str]:
    """Write the node's configuration; returns all texts, whose change means a restart."""
    kubelet = (
        str(programs.KUBELET.path),
        f"--config={node.state}/kubelet.json",
        f"--kubeconfig={pki.kubeconfig_path(node.name)}",
        f"--hostname-override={node.name}",
        f"--node-ip={node.address}",
        f"--node-labels={node.labels}",
        "--oom-score-adj=0",
        "--v=2",
    )
    containerd = ("containerd", "--config", f"{node.state}/containerd.toml")
    files = {
        "containerd.toml": node_files.containerd(node),
        f"registries/{layout.REGISTRY}/hosts.toml": node_files.registry_hosts(),
        "cni/10-bed.conflist": node_files.cni(node),
        "resolv.conf": node_files.resolv_conf(),
        "kubelet.json": node_files.kubelet(node),
        node_program.COMMANDS: json.dumps({"containerd": containerd, "kubelet": kubelet}, indent=1),
    }
    for name, text in files.items():
        path = node.state / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return list(files.values())
