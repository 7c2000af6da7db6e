"""gc: delete pods of jobs that are over and that no cleanup could delete."""

from __future__ import annotations

import json
import sys
import tempfile
from typing import TYPE_CHECKING, Any

import click

from executor.errors import DriverError
from executor.operate.shown import (
    complete_tenant,
    failures_in_words,
    for_operator,
    output_option,
    settings_option,
    tenants_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from executor.cluster.leftovers import Leftover

_PATIENCE = 30.0
_WHY = {"deadline": "its deadline is over", "stuck": "deleted, but its node does not let go of it"}


class _Age(click.ParamType["float"]):
    """A duration as the settings write it, in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds."""
        from executor.settings.units import Duration

        if str(value) in {"0", "0s"}:
            return 0.0
        try:
            return float(Duration.parse(str(value)).seconds)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command()
@click.argument("tenants", nargs=-1, metavar="[TENANT]...", shell_complete=complete_tenant)
@settings_option
@click.option("--dry-run", is_flag=True, help="Say what would be deleted, and delete nothing.")
@click.option(
    "--older-than",
    type=_Age(),
    default="5m",
    show_default=True,
    help="Leave alone what is overdue for less than this. The default forgives clocks that are not quite in step.",
)
@output_option
def gc(*, tenants: tuple[str, ...], settings: str, dry_run: bool, older_than: float, output: str) -> None:
    """Delete what jobs left behind: pods whose deadline is over.

    A job's cleanup deletes its pod. Where that could not be (a runner's host that died, an API server that was down),
    the pod ends by itself, but its object stays until a later job of the same tenant, or this command, finds it. Each
    pod carries the time after which anybody may delete it: its job's time-out and all that may follow. Running jobs are
    never touched, and any number of hosts may do this at once. Secrets of jobs go with their pods.

    \b
    kaniko-driver gc --dry-run          what there is, of all tenants of this host
    kaniko-driver gc tenant-a           delete it, of one tenant
    kaniko-driver gc --older-than 1h    only what is overdue for an hour

    config/gc has a systemd timer for a runner's host and a CronJob for a cluster.

    Exit codes: 0 done (also when there was nothing), 1 a tenant could not be swept, 2 wrong usage.
    """
    with failures_in_words():
        wanted = list(tenants) or tenants_of(settings, ())
    report = (_Json if output == "json" else _Text)(dry_run=dry_run)
    failed = False
    with tempfile.TemporaryDirectory(prefix="kaniko-driver-") as folder:
        for tenant in wanted:
            try:
                for leftover, deleted in _swept(settings, tenant, folder, older_than, dry_run=dry_run):
                    report.add(tenant, leftover, deleted=deleted)
            except DriverError as error:
                # One tenant's broken cluster must not keep the others from being swept.
                failed = True
                report.failed(tenant, error)
            else:
                report.done(tenant)
    report.end()
    sys.exit(1 if failed else 0)


def _swept(
    settings: str, tenant: str, folder: str, older_than: float, *, dry_run: bool
) -> Iterator[tuple[Leftover, bool]]:
    from executor.cluster import leftovers
    from executor.cluster.api import Api
    from executor.operate.jobpod import connect

    with Api(connect(settings, tenant, folder), patience=_PATIENCE) as api:
        for leftover in leftovers.found(api, tenant):
            if leftover.overdue >= older_than:
                yield leftover, False if dry_run else leftovers.delete(api, leftover)


class _Text:
    """A line for each pod, and one for each tenant."""

    def __init__(self, *, dry_run: bool) -> None:
        self._dry_run = dry_run
        self._count = 0

    def add(self, tenant: str, leftover: Leftover, *, deleted: bool) -> None:
        self._count += 1
        did = "would be deleted" if self._dry_run else "deleted" if deleted else "gone already, or changed: left alone"
        overdue = f"{leftover.overdue / 60:.0f} min"
        click.echo(f"{tenant}: {leftover.name} (job {leftover.job}): {_WHY[leftover.why]}, {overdue} ago: {did}")

    def done(self, tenant: str) -> None:
        click.echo(f"{tenant}: {self._count} left over" if self._count else f"{tenant}: nothing left over")
        self._count = 0

    def failed(self, tenant: str, error: DriverError) -> None:
        click.echo(f"{tenant}: not swept: {for_operator(error)}", err=True)
        self._count = 0

    def end(self) -> None:
        """Nothing more is to be said."""


class _Json(_Text):
    """One object, written while it grows: there may be very many pods."""

    def __init__(self, *, dry_run: bool) -> None:
        super().__init__(dry_run=dry_run)
        self._failures: dict[str, str] = {}
        self._done: list[str] = []
        self._write: Callable[[str], object] = sys.stdout.write
        self._write(f'{{"dry_run": {json.dumps(dry_run)}, "leftovers": [')

    def add(self, tenant: str, leftover: Leftover, *, deleted: bool) -> None:
        one = {
            "tenant": tenant,
            "pod": leftover.name,
            "job": leftover.job,
            "why": leftover.why,
            "overdue_seconds": round(leftover.overdue),
            "deleted": deleted,
        }
        self._write(("," if self._count else "") + "\n  " + json.dumps(one))
        self._count += 1

    def done(self, tenant: str) -> None:
        self._done.append(tenant)

    def failed(self, tenant: str, error: DriverError) -> None:
        self._failures[tenant] = for_operator(error)

    def end(self) -> None:
        rest = {"swept": self._done, "failed": self._failures}
        self._write(f"\n], {json.dumps(rest)[1:]}\n")
