"""cache usage: what lies in the tenants' layer caches."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import click

from executor.errors import DriverError
from executor.operate.cache_access import (
    NO_CACHE,
    access_options,
    bucket_of,
    cached_tenant,
    progress,
    ticking,
)
from executor.operate.shown import complete_tenant, console, failures_in_words, for_operator, output_option, tenants_of
from executor.settings.load import load

if TYPE_CHECKING:
    from executor.cache.contents import Place, Totals
    from executor.settings.model import Tenant

_DAY = 86_400
_RECENT = 30 * _DAY


@click.command()
@click.argument("tenant", required=False, default="", shell_complete=complete_tenant)
@access_options
@output_option
def usage(*, tenant: str, settings: str, output: str, **access: Any) -> None:
    """Show objects, bytes and hit rate of each generation, of TENANT or of all.

    The listing is read as a stream; a bucket of ten million objects takes minutes and no memory. The hit rate is that
    of the last 30 days in this host's operator log, by Kaniko's own lines.

    \b
    kaniko-driver cache usage
    kaniko-driver cache usage tenant-a --tenant-keys --output json

    Exit codes: 0 shown, 1 a bucket could not be listed, 2 wrong usage.
    """
    with failures_in_words():
        names = tenants_of(settings, filter(None, [tenant]))
        rates = _hit_rates(settings)
    reports, failed = [], False
    for name in names:
        try:
            if tenant or _cached(settings, name):
                reports.append(_report(cached_tenant(settings, name), rates.get(name), access))
        except DriverError as error:
            # One tenant's bucket or file must not hide the others'.
            failed = True
            click.echo(f"{name}: {for_operator(error)}", err=True)
    if output == "json":
        click.echo(json.dumps({"tenants": reports}, indent=2))
    elif reports:
        _print(reports)
    elif not failed:
        click.echo(NO_CACHE)
    if failed:
        raise click.exceptions.Exit(1)


def _cached(settings: str, name: str) -> bool:
    return load(settings, name).tenant.cache.mode != "off"


def _report(tenant: Tenant, rate: float | None, access: Any) -> dict[str, Any]:
    from executor.cache import contents, generation

    base = generation.folder(tenant.cache.prefix, tenant.name)
    bucket = bucket_of(tenant, **access)
    with progress(f"{tenant.name}: objects") as advance:
        found, others = contents.count(ticking(bucket.objects(f"{base}/"), advance), base)
    current = generation.generation(tenant.name, time.time(), tenant.cache.generation.seconds)
    rows = [_row(place, totals, current) for place, totals in sorted(found.items(), key=_newest_first)]
    return {
        "tenant": tenant.name,
        "bucket": bucket.name,
        "prefix": base,
        "hit_rate": rate,
        "objects": sum(row["objects"] for row in rows),
        "bytes": sum(row["bytes"] for row in rows),
        "generations": rows,
        "others": {"objects": others.objects, "bytes": others.size},
    }


def _newest_first(item: tuple[Place, Totals]) -> tuple[bool, int]:
    return not item[0].protected, -item[0].generation


def _row(place: Place, totals: Totals, current: int) -> dict[str, Any]:
    age = {0: "current", 1: "before"}.get(current - place.generation, "old")
    return {
        "protected": place.protected,
        "generation": place.generation,
        "state": age,
        "entries": totals.entries,
        "objects": totals.objects,
        "bytes": totals.size,
        "oldest": totals.oldest.isoformat() if totals.oldest else None,
        "newest": totals.newest.isoformat() if totals.newest else None,
    }


def _hit_rates(settings: str) -> dict[str, float | None]:
    """Return what the operator log knows; nothing where there is none."""
    from executor.figures.totals import by_tenant, totals
    from executor.operate.since import read

    try:
        attempts, _ = read(settings, (), time.time() - _RECENT)
    except (DriverError, click.ClickException):
        return {}
    return {name: totals(name, group).cache_hit_rate for name, group in by_tenant(attempts).items()}


def _print(reports: list[dict[str, Any]]) -> None:
    from rich.table import Table

    from executor.figures.words import percent, size

    table = Table(box=None, pad_edge=False)
    for head, side in (
        *(("tenant", "left"), ("cache", "left"), ("generation", "right"), ("state", "left")),
        *(("entries", "right"), ("objects", "right"), ("size", "right"), ("hit rate", "right")),
    ):
        table.add_column(head, justify=side)  # type: ignore[arg-type] # both are words of rich
    for report in reports:
        rate = "-" if report["hit_rate"] is None else percent(report["hit_rate"])
        for row in report["generations"]:
            cache = "protected" if row["protected"] else "others"
            figures = (f"{row['entries']:,}", f"{row['objects']:,}", size(row["bytes"]))
            table.add_row(report["tenant"], cache, str(row["generation"]), row["state"], *figures, rate)
        if not report["generations"]:
            table.add_row(report["tenant"], "-", "-", "empty", "0", "0", size(0), rate)
        if report["others"]["objects"]:
            count, total = f"{report['others']['objects']:,}", size(report["others"]["bytes"])
            table.add_row(report["tenant"], "not ours", "-", "", "", count, total, "")
    console().print(table)
