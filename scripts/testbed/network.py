"""The bed's network namespace: a bridge for the nodes, the host address, and ways for a process to get in.

Nothing is done to the host's own interfaces, routes or packet filter: what is inside cannot be reached from outside,
and the other way round. Whoever talks to the bed enters the namespace first.
"""

from __future__ import annotations

import ctypes
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from testbed import layout
from testbed.errors import BedError
from testbed.process import run, start_time

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.layout import Node

_API_SERVER = f"{layout.HOST_ADDRESS}:{layout.API_PORT}"
CLONE_NEWNET = 0x40000000  # linux/sched.h
_libc = ctypes.CDLL(None, use_errno=True)


def exists() -> bool:
    """Whether the namespace is there and usable (a file left in /run/netns by a crash is not)."""
    return os.path.ismount(layout.NAMESPACE_PATH)


def create() -> None:
    """Make the namespace with loopback, bridge, host address and the routes to the pods. Safe to repeat."""
    if not exists():
        layout.NAMESPACE_PATH.unlink(missing_ok=True)
        run(("ip", "netns", "add", layout.NAMESPACE))
    inside = ("ip", "-n", layout.NAMESPACE)
    run((*inside, "link", "set", "lo", "up"))
    if layout.BRIDGE not in run((*inside, "-brief", "link")):
        run((*inside, "link", "add", layout.BRIDGE, "type", "bridge"))
    host = f"{layout.HOST_ADDRESS}/{layout.NODE_NETWORK_BITS}"
    run((*inside, "addr", "replace", host, "dev", layout.BRIDGE))
    run((*inside, "link", "set", layout.BRIDGE, "up"))
    for node in layout.NODES:
        run((*inside, "route", "replace", node.pod_range, "via", node.address, "dev", layout.BRIDGE, "onlink"))
    # What kube-proxy would do for the one service of the bed that pods may want.
    server = (*f"-d {layout.SERVICE_ADDRESS} -p tcp --dport 443 -j DNAT --to-destination".split(), _API_SERVER)
    table = (*layout.ENTER, "iptables", "--wait", "--table", "nat")
    try:
        run((*table, "--check", "PREROUTING", *server))
    except BedError:
        run((*table, "--append", "PREROUTING", *server))


def attach(node: Node, first_process: int) -> None:
    """Give the node its eth0, the other end on the bridge. Safe to repeat."""
    inside = ("ip", "-n", layout.NAMESPACE)
    # A process sees the interfaces of its own namespace there.
    if "eth0:" not in Path(f"/proc/{first_process}/net/dev").read_text():
        # The end that an earlier life of the node left: the kernel removes it, but takes its time.
        with suppress(BedError):
            run((*inside, "link", "delete", node.name))
        peer = ("peer", "name", "eth0", "netns", str(first_process))
        run((*inside, "link", "add", node.name, "type", "veth", *peer))
    run((*inside, "link", "set", node.name, "master", layout.BRIDGE, "up"))


def remove() -> None:
    """Delete the namespace; its interfaces and routes go with it."""
    if exists():
        run(("ip", "netns", "delete", layout.NAMESPACE))
    layout.NAMESPACE_PATH.unlink(missing_ok=True)
    folder = layout.NAMESPACE_PATH.parent
    # `ip netns add` made this folder a mount of itself; nobody else's namespace is in there.
    if os.path.ismount(folder) and not any(folder.iterdir()):
        with suppress(BedError):
            run(("umount", str(folder)))


def processes() -> dict[int, str]:
    """Return the processes in the namespace with their start times, without this one and those it comes from."""
    if not exists():
        return {}
    wanted = layout.NAMESPACE_PATH.stat().st_ino
    own = set(_ancestry(os.getpid()))
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) not in own:
            with suppress(OSError):
                started = start_time(int(folder.name))
                if (folder / "ns/net").stat().st_ino == wanted and started:
                    found[int(folder.name)] = started
    return found


def _ancestry(pid: int) -> Iterator[int]:
    while pid > 0:
        yield pid
        status = Path(f"/proc/{pid}/status").read_text()
        pid = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("PPid:"))


def enter() -> None:
    """Move the calling thread, and what it starts from now on, into the bed's network namespace for good.

    Raises:
        BedError: the bed is not up, or this process may not (it needs root).
    """
    try:
        target = os.open(layout.NAMESPACE_PATH, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise BedError(f"no network namespace {layout.NAMESPACE}: is the bed up? ({error.strerror})") from None
    try:
        _set(target)
    finally:
        os.close(target)


@contextmanager
def inside() -> Iterator[None]:
    """Run the block in the bed's network namespace, the calling thread only, and come back."""
    with _coming_back():
        enter()
        yield


@contextmanager
def outside() -> Iterator[None]:
    """Run the block in the network that this process was started from, the calling thread only, and come back.

    For what has to download. Raises BedError when all processes that this one comes from are in the bed too.
    """
    bed = layout.NAMESPACE_PATH.stat().st_ino
    for pid in _ancestry(os.getpid()):
        try:
            target = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            break  # somebody else's process
        try:
            if os.fstat(target).st_ino == bed:
                continue
            with _coming_back():
                _set(target)
                yield
                return
        finally:
            os.close(target)
    raise BedError("the way out of the bed's network namespace was not found")


@contextmanager
def _coming_back() -> Iterator[None]:
    origin = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield
    finally:
        _set(origin)
        os.close(origin)


def _set(namespace: int) -> None:
    if _libc.setns(namespace, CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise BedError(f"cannot enter the network namespace {layout.NAMESPACE}: {os.strerror(number)} (run as root)")
