"""tune: limits for a tenant from the peaks that its jobs had, as a change to its settings file."""

from __future__ import annotations

import difflib
import json
import os
import sys
from typing import TYPE_CHECKING, Any

import click

from executor.operate.shown import complete_tenant, failures_in_words, output_option, settings_option
from executor.operate.since import log_option, since_option

if TYPE_CHECKING:
    from executor.figures.tuning import Proposal
    from executor.settings.model import Tenant


@click.command()
@click.argument("tenant", shell_complete=complete_tenant)
@settings_option
@log_option
@since_option
@click.option(
    "--margin",
    type=click.IntRange(0, 200),
    default=20,
    show_default=True,
    help="Percent above the highest peak that was seen.",
)
@output_option
def tune(*, tenant: str, settings: str, logs: tuple[str, ...], since: float, margin: int, output: str) -> None:
    """Propose limits for TENANT's jobs from the peaks of its past ones.

    Takes at least 20 jobs that had the tenant's own limits, and never proposes less than the highest peak among them.
    The change is printed as a diff and nothing is written; explanations go to stderr, so that this works:

    \b
    kaniko-driver tune team-blue --since 30d
    kaniko-driver tune team-blue > change.diff && patch -p0 < change.diff
    kaniko-driver validate && kaniko-driver tenant apply team-blue

    The quota follows from the limits, hence the `tenant apply`. CPU is never proposed: an average says nothing about
    bursts, and too little CPU makes builds slow, not failed. Peaks are what the pods themselves say.

    Exit codes: 0 done (also when all fits), 1 not enough jobs, or no log or settings, 2 wrong usage.
    """
    # Imported here: the help of all commands must not wait for it.
    from executor.figures import tuning
    from executor.operate.since import read
    from executor.settings.load import load

    with failures_in_words():
        configured = load(settings, tenant).tenant
        attempts, _ = read(settings, logs, since)
        own = [one for one in attempts if one.tenant == tenant]
        usable = tuning.usable(own)
        if len(usable) < tuning.LEAST_JOBS:
            raise click.ClickException(
                f"{len(usable)} jobs of {tenant} told their peaks, and fewer than {tuning.LEAST_JOBS} are no ground to "
                f"change limits on (of {len(own)} jobs in that time; those with limits of their own do not count)."
            )
        found = tuning.proposals(usable, _now(configured), margin=margin / 100)
        diff = _diff(os.path.join(settings, "tenants", f"{tenant}.toml"), _changes(configured, found))
    if output == "json":
        report = {
            "tenant": tenant,
            "jobs": len(usable),
            "margin_percent": margin,
            "proposals": [_as_json(one) for one in found],
            "diff": diff,
        }
        click.echo(json.dumps(report, indent=2, ensure_ascii=False))
        return
    _explain(found, jobs=len(usable), left_out=len(own) - len(usable), margin=margin)
    sys.stdout.write(diff)


def _now(tenant: Tenant) -> dict[tuple[str, ...], int]:
    from executor.figures import tuning

    return {
        tuning.MEMORY: tenant.resources.build.memory_limit.count,
        tuning.DISK: tenant.resources.build.ephemeral_storage_limit.count,
        tuning.BUILDS: tenant.volumes.builds.count,
    }


def _changes(tenant: Tenant, found: list[Proposal]) -> dict[tuple[str, ...], str]:
    """Return the keys to change; a request follows a limit down, since Kubernetes takes none above it."""
    changes = {}
    for one in (each for each in found if each.changes):
        changes[one.key] = _quantity(one.proposed)
        if one.key[-1].endswith("_limit"):
            request = one.key[-1].replace("_limit", "_request")
            if getattr(tenant.resources.build, request).count > one.proposed:
                changes[*one.key[:-1], request] = _quantity(one.proposed)
    return changes


def _diff(path: str, changes: dict[tuple[str, ...], str]) -> str:
    from executor.settings.edit import with_values

    with open(path, encoding="utf-8") as file:
        text = file.read()
    changed = with_values(text, changes)
    lines = difflib.unified_diff(text.splitlines(keepends=True), changed.splitlines(keepends=True), path, path)
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _explain(found: list[Proposal], *, jobs: int, left_out: int, margin: int) -> None:
    from executor.figures import words

    others = f"; {left_out} others had limits of their own or told no peaks" if left_out else ""
    click.echo(f"From the peaks of {jobs} jobs{others}; margin {margin} %.", err=True)
    for one in found:
        change = f"{words.size(one.now)} -> {words.size(one.proposed)}" if one.changes else words.size(one.now)
        click.echo(f"{'.'.join(one.key)}: {change}; {one.why} (highest peak {words.size(one.peak)})", err=True)


def _as_json(one: Proposal) -> dict[str, Any]:
    return {
        "key": ".".join(one.key),
        "now_bytes": one.now,
        "proposed_bytes": one.proposed,
        "peak_bytes": one.peak,
        "why": one.why,
    }


def _quantity(count: int) -> str:
    """Write bytes as settings do, in the largest unit that needs no point."""
    for suffix, size in (("Gi", 2**30), ("Mi", 2**20)):
        if count % size == 0:
            return f"{count // size}{suffix}"
    return str(count)
