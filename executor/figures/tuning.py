"""Measured peaks -> limits that fit them. Pure.

A proposal is never below a peak that was seen: of the jobs that had their tenant's own limits, all of them, not most.
What cannot be told from the figures is not proposed: the kernel fills memory up to the limit with its cache of files,
so a full one says nothing, and an average of CPU says nothing about bursts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from executor.figures import words
from executor.figures.attempts import OUT_OF_MEMORY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from executor.figures.attempts import Attempt

LEAST_JOBS = 20
_MIB = 2**20
_STEP = 128 * _MIB
"""Proposals are whole multiples of it."""
_FULL = 0.98
"""From this part of a limit on, memory is full, as far as the kernel's own cache is concerned."""
_NEAR = 0.9
_RAISE = 1.5
_EVICTED = frozenset({"evicted", "disk_limit", "node_pressure"})
_WORTH = 0.1
"""A change of less than this part is no change."""


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A setting and what it could be."""

    key: tuple[str, ...]
    now: int
    """Bytes."""
    proposed: int
    """Bytes; the same as now where nothing should change."""
    peak: int
    """The highest that was seen."""
    why: str

    @property
    def changes(self) -> bool:
        """Whether there is something to change."""
        return self.proposed != self.now


MEMORY = ("resources", "build", "memory_limit")
DISK = ("resources", "build", "ephemeral_storage_limit")
BUILDS = ("volumes", "builds")


def usable(attempts: Sequence[Attempt]) -> list[Attempt]:
    """Return the jobs that say something about their tenant's limits: they had those, and told their peaks."""
    return [one for one in attempts if not one.wished and "memory_bytes" in one.figures]


def proposals(attempts: Sequence[Attempt], now: dict[tuple[str, ...], int], *, margin: float) -> list[Proposal]:
    """Compare peaks with limits.

    Args:
        attempts: usable ones, LEAST_JOBS at the least.
        now: MEMORY, DISK, BUILDS -> bytes in the settings.
        margin: what is added to the highest peak, as a part of it.
    """
    return [
        _memory(attempts, now[MEMORY], margin),
        _storage(attempts, DISK, now[DISK], "disk_bytes", margin),
        _storage(attempts, BUILDS, now[BUILDS], "builds_bytes", margin),
    ]


def _memory(attempts: Sequence[Attempt], now: int, margin: float) -> Proposal:
    peak = _peak(attempts, "memory_bytes")
    programs = _peak(attempts, "programs_bytes")
    killed = sum(bool(one.oom_kills) or one.result == OUT_OF_MEMORY for one in attempts)
    # A job that had another limit, before somebody changed it, filled that one.
    full = any(one.figures["memory_bytes"] >= _FULL * one.figures.get("memory_limit_bytes", now) for one in attempts)
    if killed or programs >= _NEAR * now:
        cause = f"{killed} jobs were killed for memory" if killed else f"programs used {words.of(programs, now)}"
        raised = _rounded(max(now * _RAISE, peak * (1 + margin)))
        return Proposal(key=MEMORY, now=now, proposed=raised, peak=peak, why=f"{cause}: half as much again")
    if full or peak >= _FULL * now:
        return Proposal(
            key=MEMORY,
            now=now,
            proposed=_rounded(peak) if peak > now else now,
            peak=peak,
            why=f"stays: the kernel's cache of files filled it at times; programs used {words.of(programs, now)} at "
            "most, but looks at them are samples, so less is not proven safe",
        )
    return _fitted(MEMORY, now, peak, margin)


def _storage(attempts: Sequence[Attempt], key: tuple[str, ...], now: int, name: str, margin: float) -> Proposal:
    known = [one for one in attempts if name in one.figures]
    peak = _peak(known, name)
    evicted = sum(one.result in _EVICTED for one in attempts)
    if len(known) < LEAST_JOBS:
        why = f"stays: only {len(known)} jobs told it"
        return Proposal(key=key, now=now, proposed=max(now, _rounded(peak)), peak=peak, why=why)
    if evicted:
        return Proposal(
            key=key,
            now=now,
            proposed=max(now, _rounded(peak * (1 + margin))),
            peak=peak,
            why=f"{evicted} pods were evicted, and a peak right before that is not seen: never lower then",
        )
    return _fitted(key, now, peak, margin)


def _fitted(key: tuple[str, ...], now: int, peak: int, margin: float) -> Proposal:
    fitting = _rounded(peak * (1 + margin))
    if peak <= now and abs(fitting - now) < _WORTH * now:
        return Proposal(key=key, now=now, proposed=now, peak=peak, why="fits")
    why = f"the highest peak, {words.size(peak)}, and {words.percent(margin)} more"
    return Proposal(key=key, now=now, proposed=fitting, peak=peak, why=why)


def _rounded(count: float) -> int:
    return max(math.ceil(count / _STEP), 1) * _STEP


def _peak(attempts: Sequence[Attempt], name: str) -> int:
    return max((one.figures.get(name, 0) for one in attempts), default=0)
