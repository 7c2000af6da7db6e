"""cache verify: find entries of a tenant's layer cache whose layers are not there."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from executor.operate.cache_access import access_options, bucket_of, cached_tenant, progress, ticking
from executor.operate.shown import complete_tenant, failures_in_words, output_option

if TYPE_CHECKING:
    from executor.cache.verify import Broken

_SHOWN_AT_MOST = 20


@click.command()
@click.argument("tenant", shell_complete=complete_tenant)
@access_options
@output_option
def verify(*, tenant: str, settings: str, output: str, **access: Any) -> None:
    """Look at every entry of TENANT's layer cache, and name those whose layers are lost.

    A broken entry harms no build: it is a miss, and the build writes it again. Many of them mean that something deletes
    objects which are still in use, such as a lifecycle rule by age: `kaniko-driver cache lifecycle` tells.

    Reads each entry once (a few kilobytes) and lists the layers; needs eight bytes of memory for each.

    Example: kaniko-driver cache verify tenant-a --output json

    Exit codes: 0 all good, 1 broken entries or a bucket that cannot be read, 2 wrong usage.
    """
    from executor.cache import contents, generation
    from executor.cache.verify import verify as looked_at

    looked, broken = 0, []
    with failures_in_words():
        asked = cached_tenant(settings, tenant)
        base = generation.folder(asked.cache.prefix, asked.name)
        bucket = bucket_of(asked, **access)
        with progress(f"{tenant}: objects listed") as advance:
            found, _ = contents.count(ticking(bucket.objects(f"{base}/"), advance), base)
        with progress(f"{tenant}: entries looked at") as advance:
            for place in sorted(found, key=lambda one: (one.protected, one.generation)):
                for one in looked_at(bucket, place.folder(base)):
                    looked += 1
                    advance(1)
                    if one is not None:
                        broken.append(one)
    if output == "json":
        report = {"tenant": tenant, "entries": looked, "broken": [asdict(one) for one in broken]}
        click.echo(json.dumps(report, indent=2))
    else:
        _print(tenant, looked, broken)
    if broken:
        raise click.exceptions.Exit(1)


def _print(tenant: str, looked: int, broken: list[Broken]) -> None:
    for one in broken[:_SHOWN_AT_MOST]:
        click.echo(f"{one.key}: {one.why or 'lost: ' + ', '.join(one.missing)}")
    if len(broken) > _SHOWN_AT_MOST:
        click.echo(f"… and {len(broken) - _SHOWN_AT_MOST:,} more (--output json has them all)")
    click.echo(f"{tenant}: {looked:,} entries, {len(broken):,} broken")
