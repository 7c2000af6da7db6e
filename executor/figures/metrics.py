"""What Prometheus is told: the metrics by name, and how an attempt that is over counts in them. Pure.

Counters live on over rotated logs, so they are kept apart from the lines (see `watching.py`). Names follow the
conventions of Prometheus: base units, `_total` for counters. The reference page, the alerts and the dashboard are held
against this list.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from executor.categories import CATEGORIES
from executor.figures.attempts import FATAL_SUB_STAGES, SUCCESS, UNFINISHED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from executor.figures.attempts import Attempt

_SECONDS = (1, 2, 3, 5, 8, 15, 30, 60, 120, 300, 600)
_LONG = (15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400)
_SHARES = (0.1, 0.25, 0.5, 0.75, 0.9, 1.0)


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric."""

    name: str
    """As it is scraped, `_total` included."""
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    what: str
    buckets: tuple[float, ...] = ()
    values: tuple[str, ...] = ()
    """Of the label beside the tenant, where all are known beforehand."""


_FAILED = "failed"
METRICS = (
    Metric(
        name="kaniko_driver_jobs_total",
        kind="counter",
        labels=("tenant", "result"),
        what="Attempts of jobs that are over; result is success, failed or unfinished (their host went down).",
        values=(SUCCESS, _FAILED, UNFINISHED),
    ),
    Metric(
        name="kaniko_driver_job_failures_total",
        kind="counter",
        labels=("tenant", "category"),
        what="Failed attempts by the category of the cause, such as script_failed or node_lost; each begins at 0.",
        values=tuple(sorted(CATEGORIES | FATAL_SUB_STAGES)),
    ),
    Metric(
        name="kaniko_driver_job_start_seconds",
        kind="histogram",
        labels=("tenant",),
        what="From the start of the prepare stage until the pod accepts scripts.",
        buckets=_SECONDS,
    ),
    Metric(
        name="kaniko_driver_job_build_seconds",
        kind="histogram",
        labels=("tenant",),
        what="What the author's own scripts took, after_script left out.",
        buckets=_LONG,
    ),
    Metric(
        name="kaniko_driver_job_duration_seconds",
        kind="histogram",
        labels=("tenant",),
        what="From the job's beginning on this host to the end of its cleanup.",
        buckets=_LONG,
    ),
    Metric(
        name="kaniko_driver_job_memory_ratio",
        kind="histogram",
        labels=("tenant",),
        what="Peak memory of the build's programs in parts of its limit, the cache of files left out.",
        buckets=_SHARES,
    ),
    Metric(
        name="kaniko_driver_job_disk_ratio",
        kind="histogram",
        labels=("tenant",),
        what="Disk of the build at its peak in parts of its limit.",
        buckets=_SHARES,
    ),
    Metric(
        name="kaniko_driver_job_cpu_seconds_total",
        kind="counter",
        labels=("tenant",),
        what="Processor time that builds used.",
    ),
    Metric(
        name="kaniko_driver_pod_seconds_total",
        kind="counter",
        labels=("tenant", "node"),
        what="Time that job pods existed, added up.",
    ),
    Metric(
        name="kaniko_driver_oom_kills_total",
        kind="counter",
        labels=("tenant",),
        what="Processes of builds that the kernel killed at the memory limit.",
    ),
    Metric(
        name="kaniko_driver_cache_lookups_total",
        kind="counter",
        labels=("tenant", "result"),
        what="Layers that Kaniko looked for in the layer cache; result is hit or miss.",
        values=("hit", "miss"),
    ),
    Metric(
        name="kaniko_driver_retries_total",
        kind="counter",
        labels=("tenant",),
        what="API requests and log streams that had to be made again.",
    ),
    Metric(
        name="kaniko_driver_cleanup_failures_total",
        kind="counter",
        labels=("tenant",),
        what="Cleanups that left something behind for gc.",
    ),
    Metric(
        name="kaniko_driver_leftovers_deleted_total",
        kind="counter",
        labels=("tenant",),
        what="Pods that some other job's cleanup had to delete.",
    ),
    Metric(
        name="kaniko_driver_jobs_running",
        kind="gauge",
        labels=("tenant",),
        what="Attempts that have begun on this host and are not over.",
    ),
    Metric(
        name="kaniko_driver_log_lines_total",
        kind="counter",
        labels=("result",),
        what="Lines of the operator log that were read; result is good or broken.",
    ),
    Metric(
        name="kaniko_driver_log_gaps_total",
        kind="counter",
        labels=(),
        what="Times that a part of the log was gone before it was read.",
    ),
    Metric(
        name="kaniko_driver_log_read_timestamp_seconds",
        kind="gauge",
        labels=(),
        what="When the operator log was last read.",
    ),
    Metric(
        name="kaniko_driver_build_info",
        kind="gauge",
        labels=("version",),
        what="Always 1; the version of the driver on this host.",
    ),
)
BY_NAME = {one.name: one for one in METRICS}


@dataclass(kw_only=True)
class Histogram:
    """Observations of one histogram with one set of labels."""

    counts: list[int]
    """One for each bucket, not added up, and one for what is above all."""
    total: float = 0.0

    @classmethod
    def empty(cls, buckets: tuple[float, ...]) -> Histogram:
        """Make one without observations."""
        return cls(counts=[0] * (len(buckets) + 1))

    def observe(self, value: float, buckets: tuple[float, ...]) -> None:
        """Count one."""
        self.counts[sum(value > bucket for bucket in buckets)] += 1
        self.total += value


@dataclass(kw_only=True)
class Book:
    """The values of all counters and histograms: metric -> values of its labels -> value."""

    counters: dict[str, dict[tuple[str, ...], float]] = field(default_factory=dict)
    histograms: dict[str, dict[tuple[str, ...], Histogram]] = field(default_factory=dict)

    @classmethod
    def at_zero(cls, tenants: Iterable[str]) -> Book:
        """Return all series of some tenants whose labels are known beforehand, with nothing counted yet.

        `increase` and `rate` see no step in a series that has just appeared: without these, the first failure of each
        category would raise no alert.
        """
        book = cls()
        for tenant in tenants:
            for one in METRICS:
                if one.kind == "counter" and one.labels == ("tenant",):
                    book.add(one.name, (tenant,), 0)
                elif one.kind == "histogram":
                    book.histograms.setdefault(one.name, {})[tenant,] = Histogram.empty(one.buckets)
                for value in one.values:
                    book.add(one.name, (tenant, value), 0)
        return book

    def add(self, name: str, labels: tuple[str, ...], amount: float = 1) -> None:
        """Raise a counter; 0 makes it exist."""
        values = self.counters.setdefault(name, {})
        values[labels] = values.get(labels, 0) + amount

    def observe(self, name: str, labels: tuple[str, ...], value: float | None) -> None:
        """Count a value in a histogram; None is none."""
        if value is None:
            return
        buckets = BY_NAME[name].buckets
        values = self.histograms.setdefault(name, {})
        values.setdefault(labels, Histogram.empty(buckets)).observe(value, buckets)

    def count(self, one: Attempt) -> None:
        """Count an attempt that is over."""
        tenant = (one.tenant,)
        result = one.result
        failed = result not in {SUCCESS, UNFINISHED}
        self.add("kaniko_driver_jobs_total", (one.tenant, _FAILED if failed else result))
        if failed:
            self.add("kaniko_driver_job_failures_total", (one.tenant, result))
        self.observe("kaniko_driver_job_start_seconds", tenant, one.start_seconds)
        self.observe("kaniko_driver_job_build_seconds", tenant, one.build_seconds or None)
        if one.began and one.ended:
            self.observe("kaniko_driver_job_duration_seconds", tenant, max(one.ended - one.began, 0))
        self.observe("kaniko_driver_job_memory_ratio", tenant, _share(one, "programs_bytes", "memory_limit_bytes"))
        self.observe("kaniko_driver_job_disk_ratio", tenant, _share(one, "disk_bytes", "disk_limit_bytes"))
        self.add("kaniko_driver_job_cpu_seconds_total", tenant, one.figures.get("cpu_ms", 0) / 1000)
        if one.pod_began and one.ended:
            life = max(one.ended - one.pod_began, 0)
            self.add("kaniko_driver_pod_seconds_total", (one.tenant, one.node or "none"), life)
        self.add("kaniko_driver_oom_kills_total", tenant, one.oom_kills)
        self.add("kaniko_driver_cache_lookups_total", (one.tenant, "hit"), one.figures.get("cache_hits", 0))
        self.add("kaniko_driver_cache_lookups_total", (one.tenant, "miss"), one.figures.get("cache_misses", 0))
        self.add("kaniko_driver_retries_total", tenant, one.retries)

    def take(self, line: dict[str, Any]) -> None:
        """Count what a single line tells."""
        tenant = (str(line.get("tenant") or "unknown"),)
        if line["event"] == "cleanup left something behind":
            self.add("kaniko_driver_cleanup_failures_total", tenant)
        elif line["event"] == "leftover deleted":
            self.add("kaniko_driver_leftovers_deleted_total", tenant)

    def as_json(self) -> dict[str, Any]:
        """Return what `from_json` reads."""
        return {
            "counters": {name: list(map(list, values.items())) for name, values in self.counters.items()},
            "histograms": {
                name: [[labels, one.counts, one.total] for labels, one in values.items()]
                for name, values in self.histograms.items()
            },
        }

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Book:
        """Read what was kept; metrics that this version has no more, or with other buckets, are left out."""
        counters = {
            name: {tuple(labels): float(value) for labels, value in values}
            for name, values in document["counters"].items()
            if name in BY_NAME
        }
        histograms = {
            name: {
                tuple(labels): Histogram(counts=counts, total=total)
                for labels, counts, total in values
                if len(counts) == len(BY_NAME[name].buckets) + 1
            }
            for name, values in document["histograms"].items()
            if name in BY_NAME
        }
        return cls(counters=counters, histograms=histograms)


def _share(one: Attempt, used: str, limit: str) -> float | None:
    if used not in one.figures or not one.figures.get(limit):
        return None
    return one.figures[used] / one.figures[limit]


_HEAD = """\
# Metrics

Made from the program by `kaniko-driver reference metrics`; a test keeps it fresh.

The operator log is the source: `kaniko-driver metrics write FILE` brings a text file for node_exporter's textfile
collector up to date, and `kaniko-driver metrics serve` answers scrapes. Both remember how far they have read
(`--state`), so counters go on over rotated logs. Each host tells of the jobs that ran on it; add hosts up in
Prometheus. `config/prometheus` has alerts and a Grafana dashboard that use these names;
[how to set it up](../how-to/watch-with-prometheus.md).

Names and labels are kept: they change in a major version only.

"""


def reference() -> str:
    """Return the page about all metrics."""
    rows = ["| metric | kind | labels | meaning |", "| --- | --- | --- | --- |"]
    for one in METRICS:
        labels = ", ".join(f"`{label}`" for label in one.labels)
        buckets = f" Buckets: {', '.join(f'{bucket:g}' for bucket in one.buckets)}." if one.buckets else ""
        rows.append(f"| `{one.name}` | {one.kind} | {labels} | {one.what}{buckets} |")
    return _HEAD + "\n".join(rows) + "\n"
