"""Attempts -> what one tenant used: counts, percentiles, peaks against limits, node hours. Pure."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from executor.figures.attempts import SUCCESS, UNFINISHED

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from executor.figures.attempts import Attempt

HOUR = 3600
GIB = 2**30
_PAIRS = {
    "memory": ("memory_bytes", "memory_limit_bytes"),
    "programs": ("programs_bytes", "memory_limit_bytes"),
    "disk": ("disk_bytes", "disk_limit_bytes"),
    "builds": ("builds_bytes", "builds_limit_bytes"),
}


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How a figure spreads over jobs; None where no job has it."""

    count: int
    median: float | None
    p95: float | None
    most: float | None


@dataclass(frozen=True, kw_only=True)
class Peak:
    """The most that any job used of something, in bytes, beside that job's limit."""

    used: int
    limit: int
    """0: not known."""
    share_p95: float | None
    """Of 20 jobs 19 used no more than this share of their own limit."""
    job: int


@dataclass(frozen=True, kw_only=True)
class Totals:
    """One tenant over the time that was read."""

    tenant: str
    first: float
    """Unix times of the first and the last job."""
    last: float
    jobs: int
    succeeded: int
    unfinished: int
    """Running now, or cut off: their host went down, or the log ends."""
    failures: dict[str, int]
    """Category -> jobs, the most frequent first."""
    start: Spread
    """Seconds until the pod accepted scripts."""
    build: Spread
    """Seconds of the authors' own scripts."""
    peaks: dict[str, Peak]
    """memory (the cache of files included), programs, disk, builds; without those that are unknown."""
    oom_kills: int
    cache_hits: int
    cache_misses: int
    cache_read_bytes: int
    cache_written_bytes: int
    cache_saved_hours: float
    """About what building the layers that were found would have taken."""
    node_hours: dict[str, float]
    """Node -> hours in which at least one job pod of the tenant was on it."""
    pod_hours: float
    """Hours of all job pods added up."""
    cpu_hours: float
    """Processor hours that builds really used."""
    warm_jobs: int
    """Jobs that claimed a pod which waited."""
    warm_hours: float
    """Hours for which these pods had waited, added up; pods that wait now or were replaced unclaimed are not in it."""
    warm_cpu_hours: float
    """Processors that were kept free for them meanwhile, times hours."""
    warm_memory_gib_hours: float
    """The same for memory."""
    retries: int

    @property
    def cache_hit_rate(self) -> float | None:
        """Part of the layers that were found; None when none was looked for."""
        looked = self.cache_hits + self.cache_misses
        return self.cache_hits / looked if looked else None

    def as_json(self) -> dict[str, Any]:
        """Return the figures for scripts: names carry their unit, Unix times, hours, bytes, parts of one."""
        return asdict(self) | {"cache_hit_rate": self.cache_hit_rate}


def by_tenant(attempts: Iterable[Attempt]) -> dict[str, list[Attempt]]:
    """Sort attempts by tenant, tenants in the order of their names."""
    found: dict[str, list[Attempt]] = {}
    for one in attempts:
        found.setdefault(one.tenant, []).append(one)
    return dict(sorted(found.items()))


def totals(tenant: str, attempts: Sequence[Attempt]) -> Totals:
    """Add up the attempts of one tenant."""
    results = Counter(one.result for one in attempts)
    seen = [one.seen for one in attempts]
    failures = [(name, count) for name, count in results.most_common() if name not in {SUCCESS, UNFINISHED}]
    peaks = {name: _peak(attempts, *keys) for name, keys in _PAIRS.items()}
    return Totals(
        tenant=tenant,
        first=min(seen, default=0),
        last=max(seen, default=0),
        jobs=len(attempts),
        succeeded=results[SUCCESS],
        unfinished=results[UNFINISHED],
        failures=dict(failures),
        start=spread(one.start_seconds for one in attempts),
        build=spread(one.build_seconds or None for one in attempts),
        peaks={name: peak for name, peak in peaks.items() if peak is not None},
        oom_kills=sum(one.oom_kills for one in attempts),
        cache_hits=_sum(attempts, "cache_hits"),
        cache_misses=_sum(attempts, "cache_misses"),
        cache_read_bytes=_sum(attempts, "cache_read_bytes"),
        cache_written_bytes=_sum(attempts, "cache_written_bytes"),
        cache_saved_hours=_sum(attempts, "cache_saved_ms") / 1000 / HOUR,
        node_hours=node_hours(attempts),
        pod_hours=sum(end - begin for begin, end in map(_life, attempts)) / HOUR,
        cpu_hours=_sum(attempts, "cpu_ms") / 1000 / HOUR,
        warm_jobs=sum("waited_seconds" in one.figures for one in attempts),
        warm_hours=_sum(attempts, "waited_seconds") / HOUR,
        warm_cpu_hours=_reserved(attempts, "cpu_request_millicores") / 1000 / HOUR,
        warm_memory_gib_hours=_reserved(attempts, "memory_request_bytes") / GIB / HOUR,
        retries=sum(one.retries for one in attempts),
    )


def spread(values: Iterable[float | None]) -> Spread:
    """Return the percentiles of what is known."""
    known = sorted(value for value in values if value is not None)
    return Spread(
        count=len(known),
        median=percentile(known, 50),
        p95=percentile(known, 95),
        most=known[-1] if known else None,
    )


def percentile(ordered: Sequence[float], percent: int) -> float | None:
    """Return the smallest value that so many percent of the values do not exceed (nearest rank)."""
    if not ordered:
        return None
    return ordered[max(math.ceil(len(ordered) * percent / 100), 1) - 1]


def node_hours(attempts: Iterable[Attempt]) -> dict[str, float]:
    """Return how long each node had a pod of the tenant: the time for which somebody else could not have had it."""
    lives: dict[str, list[tuple[float, float]]] = {}
    for one in attempts:
        begin, end = _life(one)
        if one.node and end > begin:
            lives.setdefault(one.node, []).append((begin, end))
    return {node: _covered(spans) / HOUR for node, spans in sorted(lives.items())}


def _covered(spans: list[tuple[float, float]]) -> float:
    total, reached = 0.0, 0.0
    for begin, end in sorted(spans):
        total += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return total


def _life(one: Attempt) -> tuple[float, float]:
    """Return when the pod began and ended, as far as the log tells: a pod without an end lived to its last line."""
    if not one.pod_began:
        return 0.0, 0.0
    return one.pod_began, max(one.ended or one.last_seen, one.pod_began)


def _peak(attempts: Iterable[Attempt], used: str, limit: str) -> Peak | None:
    known = [one for one in attempts if used in one.figures]
    if not known:
        return None
    most = max(known, key=lambda one: one.figures[used])
    shares = sorted(one.figures[used] / one.figures[limit] for one in known if one.figures.get(limit))
    return Peak(
        used=most.figures[used],
        limit=most.figures.get(limit, 0),
        share_p95=percentile(shares, 95),
        job=most.job,
    )


def _reserved(attempts: Iterable[Attempt], name: str) -> int:
    """Add up what pods kept free while they waited, times seconds."""
    return sum(one.figures.get(name, 0) * one.figures.get("waited_seconds", 0) for one in attempts)


def _sum(attempts: Iterable[Attempt], name: str) -> int:
    return sum(one.figures.get(name, 0) for one in attempts)
