"""Is this machine fit for the bed? Asked before anything is done, so that failure comes early and says why."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from testbed import layout
from testbed.errors import BedError

GIB = 2**30
MEMORY = 4 * GIB
# Go's module and build caches take most of the first, two nodes with their images most of the second.
DISK_TO_BUILD = 15 * GIB
DISK_TO_RUN = 6 * GIB


def check_person() -> None:
    """Raise BedError unless this is Linux and we are root."""
    if sys.platform != "linux":
        raise BedError(f"the test bed needs Linux (namespaces, control groups, overlayfs); this is {sys.platform}")
    if os.geteuid() != 0:
        raise BedError("the test bed needs root for namespaces, mounts and control groups: run it with sudo")


def check_machine(*, building: bool) -> None:
    """Raise BedError when memory or disk are too small.

    Args:
        building: whether programs are still to be built, which takes more disk.
    """
    memory = memory_total(Path("/proc/meminfo").read_text())
    if memory < MEMORY * 0.95:  # the kernel keeps a part of a "4 GB" machine for itself
        raise BedError(f"the test bed needs {MEMORY // GIB} GiB of memory; this machine has {memory / GIB:.1f} GiB")
    check_disk(layout.STATE, DISK_TO_RUN)
    if building:
        check_disk(layout.CACHE, DISK_TO_BUILD)


def check_disk(folder: Path, needed: int) -> None:
    """Raise BedError when the disk that holds (or would hold) the folder has less than `needed` bytes free."""
    present = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(present).free
    if free < needed:
        raise BedError(
            f"{folder}: {free / GIB:.1f} GiB free, {needed / GIB:.0f} GiB needed. Make room, or put it elsewhere with "
            "KANIKO_BED_STATE and KANIKO_BED_CACHE"
        )


def memory_total(meminfo: str) -> int:
    """Return the bytes of MemTotal in the text of /proc/meminfo."""
    line = next(line for line in meminfo.splitlines() if line.startswith("MemTotal:"))
    return int(line.split()[1]) * 1024
