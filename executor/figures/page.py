"""The figures as one HTML page that an operator can send to a tenant: no script, no link, nothing to load. Pure.

Whatever comes out of the log is escaped: a project's path and a category are not ours.
"""

from __future__ import annotations

import time
from html import escape
from typing import TYPE_CHECKING

from executor.figures import words
from executor.figures.attempts import SUCCESS, UNFINISHED
from executor.figures.plot import Series, bars, lines, ranking
from executor.figures.totals import HOUR, percentile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from executor.figures.attempts import Attempt
    from executor.figures.reading import Reading
    from executor.figures.totals import Peak, Totals

_DAY = 24 * HOUR
_FEW_DAYS = 3
_MOST_SLICES = 62
_SHARES = 10

_STYLE = """
:root { color-scheme: light dark; --text: #1d2433; --soft: #5c667a; --line: #dfe3ea; --card: #fff; --page: #f5f6f9;
  --good: #2f9e63; --bad: #d1495b; --open: #b9a44c; --one: #3d6fd6; --two: #8fb4ff; }
@media (prefers-color-scheme: dark) { :root { --text: #e6e9f0; --soft: #9aa5b8; --line: #333b4b; --card: #1c212c;
  --page: #12151c; --good: #46b97b; --bad: #e56b7a; --open: #d3bd62; --one: #6c97f0; --two: #b3c9ff; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--page); margin: 0; }
main { max-width: 1380px; margin: 0 auto; padding: 24px; }
h1 { margin: 0 0 4px; font-size: 26px; } h2 { margin: 36px 0 12px; font-size: 21px; }
p.note { color: var(--soft); margin: 0 0 8px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(140px, 1fr)); gap: 12px; }
.tile, figure { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 12px 14px; }
.tile b { display: block; font-size: 21px; font-weight: 600; } .tile span { color: var(--soft); font-size: 13px; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); gap: 12px;
  margin-top: 12px; }
figure { margin: 0; } figcaption { font-weight: 600; } svg { width: 100%; height: auto; display: block; }
.axis { font: 11px system-ui, sans-serif; fill: var(--soft); } .end { text-anchor: end; }
.middle { text-anchor: middle; } .grid { stroke: var(--line); }
.c-good { fill: var(--good); } .c-bad { fill: var(--bad); } .c-open { fill: var(--open); } .c-one { fill: var(--one); }
.c-two { fill: var(--two); }
.line { fill: none; stroke-width: 2; } .line.c-one { stroke: var(--one); } .line.c-two { stroke: var(--two); }
@media print { main { padding: 0; } figure, .tile { break-inside: avoid; } }
"""


def page(found: Sequence[Totals], groups: Mapping[str, Sequence[Attempt]], reading: Reading) -> str:
    """Return the whole page.

    Args:
        found: the totals of each tenant.
        groups: tenant -> its attempts, for the plots over time.
        reading: what was read, for the line about what is missing.
    """
    title = f"Builds of {found[0].tenant}" if len(found) == 1 else "Builds by tenant"
    sections = "".join(_section(one, groups[one.tenant]) for one in found)
    if not found:
        sections = "<p>The log has no job in that time.</p>"
    missing = f", broken and left out: {reading.broken}" if reading.broken else ""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><main><h1>{escape(title)}</h1>"
        f'<p class="note">{_period(found)} By kaniko-driver from operator logs (files: {len(reading.files)}, lines: '
        f"{reading.lines}{missing}). Peaks and cache hits are what the pods themselves say.</p>{sections}"
        "</main></body></html>\n"
    )


def _period(found: Sequence[Totals]) -> str:
    days = [words.day(moment) for one in found for moment in (one.first, one.last) if moment]
    return f"Jobs that began from {min(days)} to {max(days)} (UTC)." if days else ""


def _section(one: Totals, attempts: Sequence[Attempt]) -> str:
    failed = sum(one.failures.values())
    finished = one.jobs - one.unfinished
    tiles = [
        ("jobs", str(one.jobs)),
        ("of the finished ones succeeded", words.percent(one.succeeded / finished if finished else None)),
        ("failed", str(failed)),
        ("start, median", words.span(one.start.median)),
        ("start, 19 of 20 within", words.span(one.start.p95)),
        ("build, median", words.span(one.build.median)),
        *((_peak_of(name, peak), words.size(peak.used)) for name, peak in one.peaks.items()),
        ("layer cache hits", words.percent(one.cache_hit_rate)),
        ("read from the layer cache", words.size(one.cache_read_bytes)),
        ("hours that it saved, about", words.hours(one.cache_saved_hours)),
        ("node hours", words.hours(sum(one.node_hours.values()))),
        ("pod hours", words.hours(one.pod_hours)),
        ("CPU hours used", words.hours(one.cpu_hours)),
        *(words.warm_pods(one) if one.warm_jobs else ()),
    ]
    shown = "".join(
        f'<div class="tile"><b>{escape(value)}</b><span>{escape(name)}</span></div>' for name, value in tiles
    )
    plots = "".join(_plots(one, attempts))
    return (
        f'<section><h2>{escape(one.tenant)}</h2><div class="tiles">{shown}</div>'
        f'<div class="plots">{plots}</div></section>'
    )


_NAMES = {
    "memory": "memory with file cache",
    "programs": "memory of programs",
    "disk": "disk",
    "builds": "/builds",
}


def _peak_of(name: str, peak: Peak) -> str:
    share = f": {words.percent(peak.used / peak.limit)} of {words.size(peak.limit)}" if peak.limit else ""
    return f"{_NAMES[name]}, most{share}"


def _plots(one: Totals, attempts: Sequence[Attempt]) -> list[str]:
    labels, slices = _slices(attempts)

    def series(name: str, colour: str, value: Callable[[list[Attempt]], float | None]) -> Series:
        return Series(name=name, colour=colour, values=[value(group) for group in slices])

    def start(percent: int) -> Callable[[list[Attempt]], float | None]:
        return lambda group: percentile(
            sorted(each.start_seconds for each in group if each.start_seconds is not None), percent
        )

    failures = [(words.category(name), count) for name, count in one.failures.items()]
    return [
        bars(
            "Jobs by how they ended",
            labels,
            [
                series("succeeded", "c-good", lambda group: sum(each.result == SUCCESS for each in group)),
                series(
                    "failed", "c-bad", lambda group: sum(each.result not in {SUCCESS, UNFINISHED} for each in group)
                ),
                series("not finished", "c-open", lambda group: sum(each.result == UNFINISHED for each in group)),
            ],
            _number,
        ),
        ranking("Failures by cause", failures, _number),
        lines(
            "Time until a job's pod accepts scripts",
            labels,
            [series("19 of 20 within", "c-two", start(95)), series("median", "c-one", start(50))],
            words.span,
        ),
        lines("Layers found in the cache", labels, [series("hits", "c-one", _hit_rate)], words.percent),
        _shares(
            "Memory of programs at its peak, in parts of the limit", attempts, "programs_bytes", "memory_limit_bytes"
        ),
        _shares("Disk at its peak, in parts of the limit", attempts, "disk_bytes", "disk_limit_bytes"),
    ]


def _slices(attempts: Sequence[Attempt]) -> tuple[list[str], list[list[Attempt]]]:
    """Cut the time into days, or into hours where it is short; a long one into longer pieces."""
    known = [one for one in attempts if one.seen]
    if not known:
        return [], []
    first, last = min(one.seen for one in known), max(one.seen for one in known)
    size = HOUR if last - first < _FEW_DAYS * _DAY else _DAY
    size *= int((last - first) // size // _MOST_SLICES) + 1
    begin = first // size * size
    slices: list[list[Attempt]] = [[] for _ in range(int((last - begin) // size) + 1)]
    for one in known:
        slices[int((one.seen - begin) // size)].append(one)
    form = "%d %b %H:00" if size < _DAY else "%d %b"
    return [time.strftime(form, time.gmtime(begin + index * size)) for index in range(len(slices))], slices


def _hit_rate(group: list[Attempt]) -> float | None:
    hits = sum(one.figures.get("cache_hits", 0) for one in group)
    looked = hits + sum(one.figures.get("cache_misses", 0) for one in group)
    return hits / looked if looked else None


def _shares(title: str, attempts: Sequence[Attempt], used: str, limit: str) -> str:
    counts = [0] * _SHARES
    for one in attempts:
        if used in one.figures and one.figures.get(limit):
            counts[min(int(one.figures[used] / one.figures[limit] * _SHARES), _SHARES - 1)] += 1
    labels = [f"{index * 10}-{index * 10 + 10} %" for index in range(_SHARES)]
    return bars(title, labels, [Series(name="jobs", colour="c-one", values=counts)], _number)


def _number(value: float) -> str:
    return f"{value:g}"
