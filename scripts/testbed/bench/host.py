"""What a process tree of this machine takes, read from /proc while it runs."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.process import descendants

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

PERIOD = 0.25
MB = 1e6
_TICK = os.sysconf("SC_CLK_TCK")


def size() -> dict[str, float]:
    """Processors and memory of this machine."""
    return {
        "cpus": float(os.cpu_count() or 0),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
    }


def load() -> float:
    """Processes that wanted to run, averaged over the last minute."""
    return os.getloadavg()[0]


class Consumption:
    """Watches a process and everything below it during a `with` block.

    Memory is PSS: what several processes share is counted once. CPU is that of the process and of all children that
    it has waited for; stages that a runner started are among them.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.peak_mb = 0.0
        self.cpu_seconds = 0.0

    def __enter__(self) -> Self:
        self._before = processor_seconds(self._pid)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self.cpu_seconds = processor_seconds(self._pid) - self._before

    def _look(self) -> None:
        while True:
            self.peak_mb = max(self.peak_mb, sum(map(proportional_bytes, descendants(self._pid))) / MB)
            if self._over.wait(PERIOD):
                return


def processor_seconds(pid: int) -> float:
    """CPU of a process and of the children it has waited for; 0 when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / _TICK


def proportional_bytes(pid: int) -> int:
    """PSS of a process, 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)
