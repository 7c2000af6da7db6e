"""Samples and what is told of them. Pure.

A sample's name is a path of words with dots between, such as `finish_seconds.builtin`; its unit is in the name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Samples = dict[str, list[float]]
Statistic = Literal["p50", "p95", "most"]
SHARES: dict[Statistic, float] = {"p50": 0.5, "p95": 0.95, "most": 1.0}


def merge(into: Samples, more: Mapping[str, Sequence[float]]) -> None:
    """Append the samples of a measure to what is there under the same names."""
    for name, values in more.items():
        into.setdefault(name, []).extend(values)


def told(samples: Mapping[str, Sequence[float]], name: str, statistic: Statistic = "p50") -> float | None:
    """One figure of a sample, None when it was not measured."""
    values = samples.get(name)
    return percentile(values, SHARES[statistic]) if values else None


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of the values lie, on the straight line between its neighbours."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def spread(values: Sequence[float]) -> str:
    """How many there are and how far they lie apart, as `5: 2.6 to 3.1`."""
    if not values:
        return ""
    return f"{len(values)}: {figure(min(values))} to {figure(max(values))}"


def figure(value: float | None) -> str:
    """A number with about three digits that matter."""
    if value is None:
        return "not yet"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2  # noqa: PLR2004 - decimal places
    return f"{value:.{digits}f}"
