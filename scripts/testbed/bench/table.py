"""The table of the bench: for a terminal, or as Markdown for a page. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.table import Table

from testbed.bench.report import Line, measured
from testbed.bench.samples import figure, spread

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

VERDICT = {True: "yes", False: "no", None: ""}


def table(samples: Mapping[str, Sequence[float]], *, markdown: bool = False) -> Table:
    """Every figure that was measured, medians unless the line says otherwise."""
    style = box.MARKDOWN if markdown else box.HEAVY_HEAD
    result = Table(box=style, title=None if markdown else "The driver beside the built-in executor (medians)")
    result.add_column("measure", no_wrap=True)
    for heading in ("built-in", "driver", "built-in ÷ driver"):
        result.add_column(heading, justify="right", no_wrap=True)
    for heading in ("goal", "reached", "samples"):
        result.add_column(heading, no_wrap=True)
    for line in measured(samples):
        result.add_row(*row(line, samples))
    return result


def row(line: Line, samples: Mapping[str, Sequence[float]]) -> tuple[str, ...]:
    """The words of one line."""
    driver, other = line.figures(samples)
    title = f"{line.title} ({line.unit})" if line.unit else line.title
    return (
        title,
        figure(other) if line.other else "",
        figure(driver),
        figure(other / driver) if driver and other else "",
        line.goal.text,
        VERDICT[line.goal.reached(driver, other)],
        spread(samples.get(line.driver, ())),
    )
