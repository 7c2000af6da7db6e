"""Look at the processes of containers from outside, as the kernel lists them: nothing in the pod has to help or agree.

A node's processes are visible on the host, and the path of their control group names the container they belong to.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.errors import BedError


@dataclass(frozen=True)
class Process:
    """One process; `command` is its arguments with blanks between."""

    pid: int
    command: str


def container_id(pod: dict[str, Any], name: str) -> str:
    """The runtime's id of a container of a pod.

    Raises:
        BedError: the pod has no such container running.
    """
    for status in pod["status"].get("containerStatuses", []):
        if status["name"] == name and "running" in status["state"]:
            return str(status["containerID"]).rpartition("/")[2]
    raise BedError(f"container {name} of {pod['metadata']['name']} does not run")


def processes(container: str) -> list[Process]:
    """Every process of the container, in the order of their numbers."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it may end while it is looked at
            if container in (folder / "cgroup").read_text():
                command = (folder / "cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")
                found.append(Process(int(folder.name), command))
    return sorted(found, key=lambda process: process.pid)
