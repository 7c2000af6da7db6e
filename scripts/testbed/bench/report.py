"""Samples -> the lines of the table, with the goals, and the object that `--json` writes. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from testbed.bench.samples import Statistic, told

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Kind = Literal["factor", "limit", "least", "beside", "none"]


@dataclass(frozen=True)
class Goal:
    """What is wanted of a figure of the driver.

    `factor`: at most that share of the other's figure; `limit`: at most that; `least`: at least that; `beside`: at
    most 2 % or that much more than the other's.
    """

    kind: Kind
    value: float
    text: str

    def reached(self, driver: float | None, other: float | None) -> bool | None:
        """Whether it is; None where something was not measured, or nothing is wanted."""
        if driver is None or (other is None and self.kind in {"factor", "beside"}):
            return None
        beside = other or 0.0
        return {
            "factor": driver <= self.value * beside,
            "limit": driver <= self.value,
            "least": driver >= self.value,
            "beside": driver - beside <= max(0.02 * beside, self.value),
            "none": None,
        }[self.kind]


NO_GOAL = Goal("none", 0, "")


@dataclass(frozen=True)
class Line:
    """One line of the table: a figure of the driver, and the other's where there is one to compare with."""

    title: str
    unit: str
    driver: str
    other: str = ""
    goal: Goal = NO_GOAL
    statistic: Statistic = "p50"

    def figures(self, samples: Mapping[str, Sequence[float]]) -> tuple[float | None, float | None]:
        """The driver's and the other's."""
        return told(samples, self.driver, self.statistic), told(samples, self.other, self.statistic)


TWENTY: tuple[tuple[str, str, str, Goal, Statistic], ...] = (
    ("script start, p50", "s", "start", Goal("factor", 0.6, "0.6 of built-in"), "p50"),
    ("script start, p95", "s", "start", NO_GOAL, "p95"),
    ("makespan", "s", "makespan", Goal("factor", 1, "≤ built-in"), "p50"),
    ("CPU on the runner's host", "s", "runner_cpu_seconds", NO_GOAL, "p50"),
    ("memory on the runner's host", "MB", "runner_peak_mb", Goal("limit", 600, "≤ 600"), "p50"),
)
"""What is told of twenty jobs at once: words, unit, end of the samples' names, goal, statistic."""
LINES = (
    Line(
        "handed out → script's first line",
        "s",
        "script_start_seconds.cold",
        "script_start_seconds.builtin",
    ),
    Line(
        "first line with a warm pod",
        "s",
        "script_start_seconds.warm",
        "script_start_seconds.builtin",
    ),
    Line(
        "handed out → finished",
        "s",
        "finish_seconds.cold",
        "finish_seconds.builtin",
        Goal("factor", 1 / 2.2, "built-in ÷ 2.2"),
    ),
    Line(
        "finished with a warm pod",
        "s",
        "finish_seconds.warm",
        "finish_seconds.builtin",
        Goal("factor", 1 / 3.8, "built-in ÷ 3.8"),
    ),
    Line(
        "API requests a job",
        "",
        "api_requests_per_job.driver",
        "api_requests_per_job.builtin",
        Goal("limit", 12, "≤ 12"),
    ),
    Line("API requests a job with a warm pod", "", "api_requests_per_job.warm", "api_requests_per_job.builtin"),
    Line("run stage: start → first byte", "s", "stage_first_byte_seconds", goal=Goal("limit", 0.1, "≤ 0.10")),
    Line("CPU of a job's stages, four of run", "s", "driver_cpu_seconds_per_job", goal=Goal("limit", 0.8, "≤ 0.8")),
    Line("peak memory while streaming", "MB", "stage_peak_mb", goal=Goal("limit", 25, "≤ 25")),
    *(
        Line(f"{stage}: {what}", unit, f"stage.{stage}.{key}")
        for stage in ("config", "prepare", "run", "cleanup")
        for what, unit, key in (("wall", "s", "wall_seconds"), ("CPU", "s", "cpu_seconds"), ("memory", "MB", "peak_mb"))
    ),
    *(
        Line(
            f"20 at once{how}: {what}",
            unit,
            f"twenty_jobs.{executor}.{key}",
            f"twenty_jobs.builtin.{key}",
            goal,
            statistic,
        )
        for executor, how in (("driver", ""), ("warm", " with warm pods"))
        for what, unit, key, goal, statistic in TWENTY
    ),
    Line("log of 200 MB", "MB/s", "log_mb_per_second", goal=Goal("least", 30, "≥ 30")),
    Line("line latency, 1 stream, p50", "s", "line_latency_seconds.one"),
    Line("line latency, 20 streams, p50", "s", "line_latency_seconds.twenty"),
    Line(
        "line latency, 20 streams, p95",
        "s",
        "line_latency_seconds.twenty",
        goal=Goal("limit", 0.3, "≤ 0.3"),
        statistic="p95",
    ),
    *(
        Line(
            f"sample's build, {cache} cache, beside Kaniko alone",
            "s",
            f"build.driver.{cache}",
            f"build.alone.{cache}",
            Goal("beside", 1, "+ 2 % or + 1 s"),
        )
        for cache in ("cold", "warm")
    ),
    *(
        Line(f"sample's build, {cache} cache: stage less Kaniko", "s", f"build.around_kaniko.{cache}")
        for cache in ("cold", "warm")
    ),
)


def measured(samples: Mapping[str, Sequence[float]]) -> list[Line]:
    """The lines for which there is a figure of either."""
    return [line for line in LINES if line.figures(samples) != (None, None)]


def document(samples: Mapping[str, Sequence[float]], machine: Mapping[str, float]) -> dict[str, Any]:
    """The object of `--json`: medians, None for what was not measured, and the samples beside them.

    Times are in seconds, memory in MB. `line_latency_seconds` is under twenty streams.
    """

    def columns(name: str, *words: str) -> dict[str, float | None]:
        return {word: told(samples, f"{name}.{word}") for word in words}

    return {
        "finish_seconds": columns("finish_seconds", "builtin", "cold", "warm"),
        "script_start_seconds": columns("script_start_seconds", "builtin", "cold", "warm"),
        "stage_first_byte_seconds": told(samples, "stage_first_byte_seconds"),
        "driver_cpu_seconds_per_job": told(samples, "driver_cpu_seconds_per_job"),
        "stage_peak_mb": told(samples, "stage_peak_mb"),
        "api_requests_per_job": columns("api_requests_per_job", "builtin", "driver"),
        "log_mb_per_second": told(samples, "log_mb_per_second"),
        "line_latency_seconds": {
            "p50": told(samples, "line_latency_seconds.twenty"),
            "p95": told(samples, "line_latency_seconds.twenty", "p95"),
        },
        "twenty_jobs": {
            executor: {
                "makespan": told(samples, f"twenty_jobs.{executor}.makespan"),
                "start_p50": told(samples, f"twenty_jobs.{executor}.start"),
            }
            for executor in ("builtin", "driver", "warm")
        },
        "host": dict(machine),
        "samples": {name: list(values) for name, values in samples.items()},
    }
