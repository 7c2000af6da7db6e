"""The bed's own control groups: one root with a group for each node, made in every hierarchy and removed again.

Works on version 1 (a mount for each controller), on version 2 and on the two side by side.
"""

from __future__ import annotations

import os
from contextlib import suppress
from functools import partial
from pathlib import Path

from testbed import layout
from testbed.errors import BedError
from testbed.wait import wait_for

MOUNTS = Path("/proc/mounts")


def hierarchies(*kinds: str) -> list[Path]:
    """Return the mount points of the given kinds ("cgroup" is version 1, "cgroup2" version 2)."""
    lines = (line.split() for line in MOUNTS.read_text().splitlines())
    return [Path(line[1]) for line in lines if line[2] in kinds]


def create() -> None:
    """Make the groups. Safe to repeat."""
    # Beside version 1, the version 2 mount has no controllers: kubelet does not use it.
    for mount in hierarchies("cgroup") or hierarchies("cgroup2"):
        root = mount / layout.NAME
        for group in (root, *(root / node.name for node in layout.NODES)):
            if (group.parent / "cgroup.subtree_control").exists():
                _delegate(group.parent)
            group.mkdir(exist_ok=True)
            _seed_cpuset(group)


def _delegate(group: Path) -> None:
    """Version 2: children get a controller only when their parent passes it on."""
    for controller in (group / "cgroup.controllers").read_text().split():
        # Some cannot be passed on everywhere (cpu with realtime tasks); kubelet says what it misses.
        with suppress(OSError):
            (group / "cgroup.subtree_control").write_text(f"+{controller}")


def _seed_cpuset(group: Path) -> None:
    """Version 1: a cpuset without processors and memory nodes takes no process."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        file = group / name
        version_1 = not (group / "cgroup.controllers").exists()
        if version_1 and file.exists() and not file.read_text().strip():
            file.write_text((group.parent / name).read_text())


def forget_pods(node: str) -> None:
    """Remove the groups that the pods of a killed node have left, as a machine's restart does.

    The kubelet would ask the container runtime for each of their containers, three seconds apiece, before it is Ready.
    """
    for mount in hierarchies("cgroup", "cgroup2"):
        groups = mount / layout.NAME / node / "kubepods"
        # The last processes may still be on their way out.
        wait_for(f"removal of {groups}", partial(_removed, groups), 10)


def remove() -> list[str]:
    """Remove the groups from every hierarchy; returns those that would not go.

    The version 2 mount is looked at even beside version 1, because runc makes a path there too.
    """
    left = []
    for mount in hierarchies("cgroup", "cgroup2"):
        root = mount / layout.NAME
        try:
            wait_for(f"removal of {root}", partial(_removed, root), 5)
        except BedError:
            left.append(str(root))
    return left


def _removed(root: Path) -> bool:
    for folder, _, _ in os.walk(root, topdown=False):
        with suppress(OSError):  # still busy: its processes are on their way out
            Path(folder).rmdir()
    return not root.exists()
