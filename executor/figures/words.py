"""Figures in words for people: bytes, seconds, parts of a whole. Pure."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.figures.totals import Totals

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")
_STEP = 1024
_MINUTE, _HOUR = 60, 3600


def size(count: float | None) -> str:
    """Write bytes: `812 MiB`, `2.9 GiB`."""
    if count is None:
        return "-"
    value, unit = float(count), 0
    while value >= _STEP and unit < len(_UNITS) - 1:
        value, unit = value / _STEP, unit + 1
    text = f"{value:.1f}" if value < 10 and unit else f"{value:.0f}"  # noqa: PLR2004 - one digit before the point
    return f"{text.removesuffix('.0')} {_UNITS[unit]}"


def of(used: float, limit: float) -> str:
    """Write `2.9 GiB of 4 GiB (73 %)`; without a limit the first part alone."""
    return f"{size(used)} of {size(limit)} ({percent(used / limit)})" if limit else size(used)


def span(seconds: float | None) -> str:
    """Write a time: `3.4 s`, `2 min 5 s`, `1 h 20 min`."""
    if seconds is None:
        return "-"
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    if seconds < _HOUR:
        minutes, rest = divmod(round(seconds), _MINUTE)
        return f"{minutes} min {rest} s"
    hours, rest = divmod(round(seconds / _MINUTE), _MINUTE)
    return f"{hours} h {rest} min"


def percent(part: float | None) -> str:
    """Write a part of one: `73 %`."""
    return "-" if part is None else f"{part * 100:.0f} %"


def hours(amount: float) -> str:
    """Write hours: `0.25`, `12.5`, `340`."""
    return f"{amount:.2f}" if amount < 10 else f"{amount:.1f}" if amount < 100 else f"{amount:.0f}"  # noqa: PLR2004 - three digits


def day(unix: float) -> str:
    """Write a day in UTC."""
    return time.strftime("%Y-%m-%d", time.gmtime(unix))


def warm_pods(one: Totals) -> list[tuple[str, str]]:
    """Write what pods took while they waited for the jobs that claimed them."""
    return [
        ("jobs with a warm pod", str(one.warm_jobs)),
        ("hours that these pods waited", hours(one.warm_hours)),
        ("CPU hours kept free for it", hours(one.warm_cpu_hours)),
        ("GiB hours of memory for it", hours(one.warm_memory_gib_hours)),
    ]


def category(name: str) -> str:
    """Write a category of failures."""
    return name.replace("_", " ")
