"""usage: what tenants used, from the operator log alone."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import click

from executor.operate.shown import complete_tenant, console, failures_in_words, output_option, settings_option
from executor.operate.since import log_option, since_option

if TYPE_CHECKING:
    from executor.figures.attempts import Attempt
    from executor.figures.reading import Reading
    from executor.figures.totals import Totals


_SIDE_BY_SIDE = 3
"""So many tenants are a column each; more are a line each, with the figures that matter most."""
_BRIEF = {
    "jobs": 0,
    "failed": 0,
    "start, median": 56,
    "build, median": 76,
    "memory, most": 110,
    "layer cache hits": 76,
    "node hours": 90,
}
"""These, and how wide a terminal must be to have each."""


@click.command()
@click.argument("tenant", required=False, default="", shell_complete=complete_tenant)
@settings_option
@log_option
@since_option
@click.option(
    "--html", type=click.Path(dir_okay=False), default="", help="Write one self-contained page with plots to this file."
)
@output_option
def usage(*, tenant: str, settings: str, logs: tuple[str, ...], since: float, html: str, output: str) -> None:
    """Show what each tenant used: jobs, failures, waiting, peaks, cache hits, node hours.

    All figures come from the operator log; no server is needed. Give TENANT for one alone, such as for a page that is
    sent to that tenant. Several runner hosts are added up when each host's log is named.

    \b
    kaniko-driver usage --since 7d
    kaniko-driver usage team-blue --since 2026-11-01 --html team-blue.html
    kaniko-driver usage --log host1.jsonl --log host1.jsonl.1.gz --log host2.jsonl

    Peaks and cache hits are what the pods themselves say: good for sizing, no proof against a tenant who cheats.

    Exit codes: 0 shown, 1 no log could be read or it has no job of TENANT, 2 wrong usage.
    """
    # Imported here: the help of all commands must not wait for it.
    from executor.figures.totals import by_tenant, totals
    from executor.operate.since import read

    with failures_in_words():
        attempts, reading = read(settings, logs, since)
    everybody = by_tenant(attempts)
    groups = {name: group for name, group in everybody.items() if tenant in {"", name}}
    if tenant and not groups:
        seen = f"it has jobs of {', '.join(sorted(everybody))}" if everybody else "it has none at all"
        raise click.ClickException(f"the log has no job of {tenant} in that time; {seen}")
    found = [totals(name, group) for name, group in groups.items()]
    if html:
        _write_page(html, found, groups, reading)
    if output == "json":
        report = {
            "files": reading.files,
            "lines": reading.lines,
            "broken_lines": reading.broken,
            "unreadable_files": reading.unreadable,
            "tenants": [one.as_json() for one in found],
        }
        click.echo(json.dumps(report, indent=2, ensure_ascii=False))
    elif found:
        _print(found)
    else:
        click.echo("The log has no job in that time.")


def _write_page(path: str, found: list[Totals], groups: dict[str, list[Attempt]], reading: Reading) -> None:
    from executor.figures.page import page

    draft = f"{path}.new"
    try:
        with open(draft, "w", encoding="utf-8") as file:
            file.write(page(found, groups, reading))
        os.replace(draft, path)
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written: {error.strerror}") from error
    click.echo(f"wrote {path}", err=True)


def _print(found: list[Totals]) -> None:
    # Imported here: it costs a tenth of a second, and scripts want JSON.
    from rich.table import Table

    from executor.figures import words

    table = Table(title=f"{words.day(min(one.first for one in found))} to {words.day(max(one.last for one in found))}")
    screen = console()
    rows = [_rows(one) for one in found]
    if len(found) <= _SIDE_BY_SIDE:
        table.add_column("", style="bold")
        for one in found:
            table.add_column(one.tenant, justify="right")
        for index, (name, _) in enumerate(rows[0]):
            table.add_row(name, *(row[index][1] for row in rows))
    else:
        brief = [name for name, least in _BRIEF.items() if screen.width >= least]
        # Heads may break between words, figures nowhere.
        taken = sum(max(*map(len, name.split()), *(len(dict(row)[name]) for row in rows)) + 3 for name in brief) + 4
        longest = max(len(one.tenant) for one in found)
        # A name is folded and never cut: names of tenants may differ in their last letter.
        table.add_column("", style="bold", overflow="fold", width=max(min(longest, screen.width - taken), 10))
        for name in brief:
            table.add_column(name, justify="right")
        for one, row in zip(found, rows, strict=True):
            table.add_row(one.tenant, *(dict(row)[name] for name in brief))
    screen.print(table)
    for one in found:
        if one.failures:
            causes = ", ".join(f"{words.category(name)} {count}" for name, count in one.failures.items())
            screen.print(f"{one.tenant} failed: {causes}", markup=False)


def _rows(one: Totals) -> list[tuple[str, str]]:
    from executor.figures import words

    def peak(name: str) -> str:
        found = one.peaks.get(name)
        return words.of(found.used, found.limit) if found else "-"

    failed = sum(one.failures.values())
    return [
        ("jobs", str(one.jobs)),
        ("succeeded", str(one.succeeded)),
        ("failed", str(failed)),
        ("not finished", str(one.unfinished)),
        ("start, median", words.span(one.start.median)),
        ("start, 19 of 20 within", words.span(one.start.p95)),
        ("build, median", words.span(one.build.median)),
        ("build, 19 of 20 within", words.span(one.build.p95)),
        ("memory, most", peak("memory")),
        ("of it programs", peak("programs")),
        ("disk, most", peak("disk")),
        ("/builds, most", peak("builds")),
        ("killed for memory", str(one.oom_kills)),
        ("layer cache hits", words.percent(one.cache_hit_rate)),
        ("read from, written to it", f"{words.size(one.cache_read_bytes)}, {words.size(one.cache_written_bytes)}"),
        ("hours that it saved, about", words.hours(one.cache_saved_hours)),
        ("node hours", words.hours(sum(one.node_hours.values()))),
        ("pod hours", words.hours(one.pod_hours)),
        ("CPU hours used", words.hours(one.cpu_hours)),
        *words.warm_pods(one),
    ]
