"""cache purge: delete a tenant's layer cache, one generation of it, or those that no build reads any more."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import click

from executor.operate.cache_access import access_options, bucket_of, cached_tenant, progress
from executor.operate.shown import agreed, complete_tenant, failures_in_words, output_option

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from executor.cache.bucket import Bucket
    from executor.cache.contents import Place
    from executor.settings.model import Tenant


@click.command()
@click.argument("tenant", shell_complete=complete_tenant)
@click.option("--generation", "number", type=int, default=None, help="Only this one, as `cache usage` numbers them.")
@click.option("--expired", is_flag=True, help="Only generations that no build reads any more.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@access_options
@output_option
def purge(
    *, tenant: str, number: int | None, expired: bool, yes: bool, settings: str, output: str, **access: Any
) -> None:
    """Delete the layer cache of TENANT. Its next builds are cold.

    Builds that run meanwhile are safe: what they were told to be in the cache they have fetched already. Entries go
    before the layers that they name, so that no build finds the one without the other.

    `--expired --yes` from a timer, once a day, is for servers without lifecycle rules (`cache lifecycle`).

    \b
    kaniko-driver cache purge tenant-a --generation 1488
    kaniko-driver cache purge tenant-a --expired --yes
    kaniko-driver cache purge tenant-a --yes --output json

    Exit codes: 0 done, 1 not or not all of it was deleted, 2 wrong usage.
    """
    from executor.cache import contents, generation

    if expired and number is not None:
        raise click.UsageError("--expired and --generation cannot be used together")
    with failures_in_words():
        asked = cached_tenant(settings, tenant)
        base = generation.folder(asked.cache.prefix, asked.name)
        bucket = bucket_of(asked, **access)
        what, wanted = _wanted(asked, number, expired=expired)
        place = f"s3://{bucket.name}/{base}/"
        if not yes:
            agreed(f"Delete {what} of the layer cache of {tenant} below {place}?")
        deleted = 0
        with progress(f"{tenant}: deleted") as advance:
            for part in (f"/{contents.ENTRIES}/", ""):
                for count in bucket.delete(_names(bucket, base, wanted, part)):
                    deleted += count
                    advance(count)
    if output == "json":
        click.echo(json.dumps({"tenant": tenant, "bucket": bucket.name, "prefix": base, "deleted": deleted}))
    else:
        click.echo(f"{deleted:,} objects were deleted below {place}")


def _wanted(tenant: Tenant, number: int | None, *, expired: bool) -> tuple[str, Callable[[Place | None], bool]]:
    """Return what goes, in words and as what tells it of an object's place; None: a place of none of ours."""
    if number is not None:
        return f"generation {number}", lambda place: place is not None and place.generation == number
    if not expired:
        return "everything", lambda _: True
    from executor.cache import lifecycle

    oldest = lifecycle.oldest_read(tenant, time.time())
    return "what no build reads any more", lambda place: place is not None and place.generation < oldest


def _names(bucket: Bucket, base: str, wanted: Callable[[Place | None], bool], part: str) -> Iterator[str]:
    from executor.cache import contents

    for one in bucket.objects(f"{base}/"):
        key: str = one["Key"]
        if part in key and wanted(contents.place_of(key[len(base) + 1 :].rpartition("/")[0])):
            yield key
