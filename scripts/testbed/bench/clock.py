"""One clock for pods and this machine: the time since boot, which every pod of a node on this machine can read.

A script in a pod reads it without starting a program, so the reading does not disturb what is measured. It has steps
of 10 ms.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from testbed.errors import BedError

if TYPE_CHECKING:
    from datetime import datetime

MARK = "bench-mark"
_MARKS = re.compile(MARK.encode() + rb" (\w+) (\d+\.\d+)")


def mark(name: str) -> str:
    """The line of a script that prints the time under a name. It holds the mark only with a `$`, as the echo does."""
    return f'read -r up rest < /proc/uptime; echo "{MARK} {name} $up"'


def now() -> float:
    """Seconds since boot."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def since_boot(moment: datetime) -> float:
    """A moment of the last minutes in seconds since boot."""
    return moment.timestamp() - (time.time() - now())


def marks(log: bytes) -> dict[str, float]:
    """The first mark of each name in a log, in seconds since boot."""
    found: dict[str, float] = {}
    for name, seconds in _MARKS.findall(log):
        found.setdefault(name.decode(), float(seconds))
    return found


def between(log: bytes, first: str, second: str) -> float:
    """Seconds between two marks.

    Raises:
        BedError: one is missing.
    """
    found = marks(log)
    if first not in found or second not in found:
        raise BedError(f"the log lacks the marks {first} and {second}")
    return found[second] - found[first]
