"""Plots as inline SVG, without a library: bars over time, lines over time, a histogram, bars of categories. Pure.

Every text is escaped here: names of tenants and categories come out of logs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_WIDTH, _HEIGHT = 640, 240
_WIDEST_BAR = 60
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 12, 26, 34
_TICKS = 4
_LABELS_AT_MOST = 8
_CHARACTER = 7
"""Width of one in a legend, roughly."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """One colour of a plot; None is a gap."""

    name: str
    colour: str
    """Class in the page's style sheet."""
    values: Sequence[float | None]


def bars(title: str, labels: Sequence[str], series: Sequence[Series], unit: Callable[[float], str] = str) -> str:
    """Plot stacked bars of whole numbers, one for each label."""
    tops = [sum(one.values[index] or 0 for one in series) for index in range(len(labels))]
    # What is counted has no halves.
    scale = _Scale(max(tops, default=0), unit, least_step=1)
    width = (_WIDTH - _LEFT - _RIGHT) / max(len(labels), 1)
    bar = min(width * 0.8, _WIDEST_BAR)
    parts = []
    for index, label in enumerate(labels):
        base = 0.0
        for one in series:
            value = one.values[index] or 0
            if value:
                x, y = _LEFT + index * width + (width - bar) / 2, scale.y(base + value)
                parts.append(
                    f'<rect class="{one.colour}" x="{x:.1f}" y="{y:.1f}" width="{bar:.1f}" '
                    f'height="{scale.y(base) - y:.1f}"><title>{escape(f"{label}: {one.name} {unit(value)}")}</title>'
                    "</rect>"
                )
                base += value
    return _frame(title, labels, series, scale, "".join(parts), width)


def lines(title: str, labels: Sequence[str], series: Sequence[Series], unit: Callable[[float], str]) -> str:
    """Plot a line for each series; single points show as dots."""
    scale = _Scale(max((value for one in series for value in one.values if value is not None), default=0), unit)
    width = (_WIDTH - _LEFT - _RIGHT) / max(len(labels), 1)
    parts = []
    for one in series:
        points = [
            (_LEFT + (index + 0.5) * width, scale.y(value), label, value)
            for index, (label, value) in enumerate(zip(labels, one.values, strict=True))
            if value is not None
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _, _ in points)
        parts.append(f'<polyline class="line {one.colour}" points="{path}"/>')
        parts += [
            f'<circle class="{one.colour}" cx="{x:.1f}" cy="{y:.1f}" r="3">'
            f"<title>{escape(f'{label}: {one.name} {unit(value)}')}</title></circle>"
            for x, y, label, value in points
        ]
    return _frame(title, labels, series, scale, "".join(parts), width)


def ranking(title: str, rows: Sequence[tuple[str, float]], unit: Callable[[float], str] = str) -> str:
    """Plot horizontal bars with their names, in the order given."""
    most = max((value for _, value in rows), default=0) or 1
    step, left = 26, 190
    height = _TOP + step * max(len(rows), 1) + 8
    parts = [] if rows else [f'<text x="{_WIDTH / 2}" y="{_TOP + 18}" class="axis middle">none</text>']
    for index, (name, value) in enumerate(rows):
        y = _TOP + index * step
        width = (_WIDTH - left - 80) * value / most
        parts.append(
            f'<text class="axis end" x="{left - 8}" y="{y + 16}">{escape(_shortened(name))}</text>'
            f'<rect class="c-bad" x="{left}" y="{y + 4}" width="{width:.1f}" height="{step - 9}"/>'
            f'<text class="axis" x="{left + width + 6:.1f}" y="{y + 16}">{escape(unit(value))}</text>'
        )
    return _svg(title, height, "".join(parts))


class _Scale:
    """From values to heights, with round marks."""

    def __init__(self, most: float, unit: Callable[[float], str], *, least_step: float = 0) -> None:
        self.step = max(_round_step(most / _TICKS), least_step)
        self.top = self.step * max(math.ceil(most / self.step - 1e-9), 1)
        self.unit = unit

    def y(self, value: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * value / self.top

    def marks(self) -> list[float]:
        return [self.step * index for index in range(round(self.top / self.step) + 1)]


def _round_step(rough: float) -> float:
    if rough <= 0:
        return 1.0
    power: float = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))


def _frame(
    title: str, labels: Sequence[str], series: Sequence[Series], scale: _Scale, inside: str, width: float
) -> str:
    parts = []
    for mark in scale.marks():
        y = scale.y(mark)
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text class="axis end" x="{_LEFT - 6}" y="{y + 4:.1f}">{escape(scale.unit(mark))}</text>'
        )
    every = max(math.ceil(len(labels) / _LABELS_AT_MOST), 1)
    parts += [
        f'<text class="axis middle" x="{_LEFT + (index + 0.5) * width:.1f}" y="{_HEIGHT - _BOTTOM + 18}">'
        f"{escape(label)}</text>"
        for index, label in enumerate(labels)
        if index % every == 0
    ]
    x = float(_WIDTH - _RIGHT)
    for one in reversed(series):
        x -= len(one.name) * _CHARACTER + 24
        parts.append(
            f'<rect class="{one.colour}" x="{x:.1f}" y="6" width="11" height="11"/>'
            f'<text class="axis" x="{x + 16:.1f}" y="16">{escape(one.name)}</text>'
        )
    return _svg(title, _HEIGHT, "".join(parts) + inside)


def _svg(title: str, height: int, inside: str) -> str:
    return (
        f'<figure><figcaption>{escape(title)}</figcaption><svg viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-label="{escape(title)}">{inside}</svg></figure>'
    )


def _shortened(name: str, most: int = 26) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"
