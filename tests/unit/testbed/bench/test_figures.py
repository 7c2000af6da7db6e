"""The figures of the bench: medians, goals, the object that it writes, the table and the plot."""

from __future__ import annotations

import io
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console

from testbed.bench.plot import svg
from testbed.bench.report import LINES, Goal, document, measured
from testbed.bench.samples import Samples, figure, merge, percentile, spread, told
from testbed.bench.table import table

SAMPLES: Samples = {
    "finish_seconds.builtin": [5.0, 4.0, 9.0],
    "finish_seconds.cold": [2.0, 2.2, 1.9],
    "api_requests_per_job.builtin": [20.0],
    "api_requests_per_job.driver": [12.0],
    "twenty_jobs.driver.start": [1.0, 2.0, 3.0, 4.0],
    "twenty_jobs.driver.makespan": [30.0],
    "twenty_jobs.warm.start": [1.0],
    "twenty_jobs.warm.makespan": [15.0],
    "twenty_jobs.builtin.start": [10.0],
    "twenty_jobs.builtin.makespan": [20.0],
    "line_latency_seconds.twenty": [0.1] * 19 + [0.5],
}
MACHINE = {"cpus": 2.0, "memory_gb": 25.0}


def shown(samples: Samples, *, markdown: bool = False) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(table(samples, markdown=markdown))
    output = console.file
    assert isinstance(output, io.StringIO)
    return output.getvalue()


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([3.0], 0.95, 3.0), ([3.0, 1.0, 2.0], 0.5, 2.0), ([1.0, 2.0], 0.5, 1.5), ([0.0, 10.0], 0.95, 9.5)],
)
def test_a_percentile_lies_on_the_line_between_its_neighbours(
    values: list[float], share: float, expected: float
) -> None:
    assert percentile(values, share) == pytest.approx(expected)


def test_what_was_not_measured_is_nothing_and_not_zero() -> None:
    assert told({}, "finish_seconds.warm") is None
    assert told({"empty": []}, "empty") is None
    assert figure(None) == "not yet"


def test_samples_of_several_rounds_come_together() -> None:
    samples: Samples = {"a": [1.0]}
    merge(samples, {"a": [2.0], "b": [3.0]})
    assert samples == {"a": [1.0, 2.0], "b": [3.0]}
    assert spread(samples["a"]) == "2: 1.00 to 2.00"


def test_the_object_has_medians_and_the_samples_beside_them() -> None:
    result = document(SAMPLES, MACHINE)
    assert result["finish_seconds"] == {"builtin": 5.0, "cold": 2.0, "warm": None}
    assert result["twenty_jobs"]["driver"] == {"makespan": 30.0, "start_p50": 2.5}
    assert result["twenty_jobs"]["warm"] == {"makespan": 15.0, "start_p50": 1.0}
    assert result["line_latency_seconds"]["p50"] == pytest.approx(0.1)
    assert result["host"] == MACHINE
    assert result["samples"] == SAMPLES


def test_the_object_has_these_keys_whatever_was_measured() -> None:
    assert list(document({}, MACHINE)) == [
        "finish_seconds",
        "script_start_seconds",
        "stage_first_byte_seconds",
        "driver_cpu_seconds_per_job",
        "stage_peak_mb",
        "api_requests_per_job",
        "log_mb_per_second",
        "line_latency_seconds",
        "twenty_jobs",
        "host",
        "samples",
    ]


@pytest.mark.parametrize(
    ("goal", "driver", "other", "reached"),
    [
        (Goal("factor", 0.5, ""), 2.0, 4.0, True),
        (Goal("factor", 0.5, ""), 2.1, 4.0, False),
        (Goal("factor", 0.5, ""), 2.0, None, None),
        (Goal("limit", 0.1, ""), 0.1, None, True),
        (Goal("limit", 0.1, ""), 0.2, 9.0, False),
        (Goal("least", 30, ""), 29.0, None, False),
        (Goal("beside", 1, ""), 10.9, 10.0, True),
        (Goal("beside", 1, ""), 11.1, 10.0, False),
        (Goal("beside", 1, ""), 101.9, 100.0, True),
        (Goal("limit", 0.1, ""), None, None, None),
        (Goal("none", 0, ""), 1.0, 2.0, None),
    ],
)
def test_a_goal_is_reached_missed_or_not_measured(
    goal: Goal, driver: float | None, other: float | None, reached: object
) -> None:
    assert goal.reached(driver, other) is reached


def test_every_line_has_a_title_of_its_own() -> None:
    assert len({line.title for line in LINES}) == len(LINES)


def test_the_table_says_what_is_reached_what_is_missed_and_what_is_not_there_yet() -> None:
    rows = {line.split("│")[1].strip(): line for line in shown(SAMPLES).splitlines() if line.startswith("│")}
    finished = rows["handed out → finished (s)"].split("│")
    assert [cell.strip() for cell in finished[2:8]] == [
        "5.00",
        "2.00",
        "2.50",
        "built-in ÷ 2.2",
        "yes",
        "3: 1.90 to 2.20",
    ]
    assert "not yet" in rows["finished with a warm pod (s)"]
    assert " no " in rows["20 at once: makespan (s)"]
    assert "log of 200 MB (MB/s)" not in rows


def test_the_markdown_table_can_stand_on_a_page() -> None:
    lines = shown(SAMPLES, markdown=True).strip().splitlines()
    assert lines[0].startswith("| measure")
    assert set(lines[1]) <= set("|-: ")
    assert len({line.count("|") for line in lines}) == 1


def test_the_plot_has_two_bars_for_each_pair_and_nothing_else() -> None:
    namespace = "{http://www.w3.org/2000/svg}"
    root = ET.fromstring(svg(SAMPLES, "measured <here> & now"))  # noqa: S314 - our own text
    pairs = [line for line in measured(SAMPLES) if None not in line.figures(SAMPLES)]
    bars = root.findall(f"{namespace}rect")
    background, legend = 1, 2
    assert len(bars) == background + legend + 2 * len(pairs)
    widths = [float(bar.attrib["width"]) for bar in bars[background + legend :]]
    assert widths[1] / widths[0] == pytest.approx(2.0 / 5.0, rel=0.01)
    texts = [text.text for text in root.findall(f"{namespace}text")]
    assert texts[0] == "measured <here> & now"
    assert "5.00" in texts
