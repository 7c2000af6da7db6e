"""The plot of the bench: an SVG with two bars for each figure that both executors have. Pure.

Each pair has a scale of its own, since seconds and requests have nothing in common; what is compared is within a pair.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from testbed.bench.report import measured
from testbed.bench.samples import figure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WIDTH, LEFT, RIGHT = 920, 370, 110  # pixels; labels stand left of the bars, values right of them
BAR, GAP, TOP = 15, 16, 56
OTHER_COLOUR, DRIVER_COLOUR = "#9aa4b1", "#2f6fb3"
FONT = "font-family='system-ui, sans-serif' font-size='13'"


def svg(samples: Mapping[str, Sequence[float]], note: str) -> str:
    """Draw it; `note` says when and where it was measured."""
    pairs = []
    for line in measured(samples):
        driver, other = line.figures(samples)
        if driver is not None and other is not None:
            pairs.append((f"{line.title} ({line.unit})" if line.unit else line.title, other, driver))
    height = TOP + len(pairs) * (2 * BAR + GAP) + GAP
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height}' width='{WIDTH}' role='img' {FONT}>",
        f"<title>{escape(note)}</title>",
        f"<rect width='{WIDTH}' height='{height}' fill='#ffffff'/>",
        _text(GAP, 22, note, "font-weight='bold'"),
        *_legend(),
    ]
    for number, pair in enumerate(pairs):
        parts += _pair(TOP + number * (2 * BAR + GAP), *pair)
    return "\n".join([*parts, "</svg>", ""])


def _legend() -> list[str]:
    colours = (("built-in executor, or Kaniko alone", OTHER_COLOUR), ("driver", DRIVER_COLOUR))
    parts = []
    for number, (name, colour) in enumerate(colours):
        x = LEFT + number * 260
        parts += [_bar(x, 32, 12, colour), _text(x + 18, 44, name)]
    return parts


def _pair(y: int, title: str, other: float, driver: float) -> list[str]:
    room = WIDTH - LEFT - RIGHT
    scale = room / (max(other, driver) or 1)
    parts = [_text(GAP, y + BAR + 4, title)]
    for number, (value, colour) in enumerate(((other, OTHER_COLOUR), (driver, DRIVER_COLOUR))):
        top = y + number * BAR
        parts += [_bar(LEFT, top, value * scale, colour), _text(LEFT + value * scale + 6, top + 12, figure(value))]
    return parts


def _bar(x: float, y: float, width: float, colour: str) -> str:
    return f"<rect x='{x:.0f}' y='{y:.0f}' width='{max(width, 1):.1f}' height='{BAR - 2}' fill='{colour}'/>"


def _text(x: float, y: float, text: str, more: str = "") -> str:
    return f"<text x='{x:.0f}' y='{y:.0f}' fill='#1c2430' {more}>{escape(text)}</text>"
