"""cache lifecycle: the buckets' rules of expiry."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from executor.operate.cache_access import NO_CACHE, access_options, bucket_of, cached_tenant
from executor.operate.shown import complete_tenant, failures_in_words, output_option, tenants_of
from executor.settings.load import load

if TYPE_CHECKING:
    from executor.cache.bucket import Bucket
    from executor.settings.model import Tenant


@click.command()
@click.argument("tenant", required=False, default="", shell_complete=complete_tenant)
@click.option("--apply", "applied", is_flag=True, help="Write the rules; without it they are only shown.")
@access_options
@output_option
def lifecycle(*, tenant: str, applied: bool, settings: str, output: str, **access: Any) -> None:
    """Let the bucket expire old generations of TENANT's layer cache, or of all tenants'.

    One rule a tenant, for its own prefix; other rules of the bucket stay as they are. Rules of others that would take
    objects which builds still read (expiry that is too short, a move to Glacier) are named, and nothing is written.

    Needs s3:GetLifecycleConfiguration, s3:PutLifecycleConfiguration and s3:GetBucketVersioning: an operator's keys and
    not the tenant's.

    \b
    kaniko-driver cache lifecycle                    show the rules as JSON, and what is in their way
    kaniko-driver cache lifecycle tenant-a --apply

    Exit codes: 0 shown or written, 1 a rule is in the way or S3 refused, 2 wrong usage.
    """
    with failures_in_words():
        names = tenants_of(settings, filter(None, [tenant]))
        tenants = [load(settings, name).tenant for name in names]
        wanted = [cached_tenant(settings, one.name) for one in tenants if tenant or one.cache.mode != "off"]
        reports = [_one(one, bucket_of(one, **access), applied=applied) for one in wanted]
    if output == "json":
        click.echo(json.dumps({"tenants": reports}, indent=2))
    else:
        for report in reports:
            _print(report)
        if not reports:
            click.echo(NO_CACHE)
    if any(report["in_the_way"] for report in reports):
        raise click.exceptions.Exit(1)


def _one(tenant: Tenant, bucket: Bucket, *, applied: bool) -> dict[str, Any]:
    from executor.cache import lifecycle as rule_book

    present = bucket.rules()
    own = rule_book.rules(tenant, versioned=bucket.versioned())
    in_the_way = list(rule_book.conflicts(tenant, present))
    written = applied and not in_the_way
    if written:
        own = bucket.write_rules(rule_book.merged(present, own), own)
    return {
        "tenant": tenant.name,
        "bucket": bucket.name,
        "rules": own,
        "in_the_way": in_the_way,
        "written": written,
        "up_to_date": all(rule in present for rule in own),
    }


def _print(report: dict[str, Any]) -> None:
    for rule in report["rules"]:
        click.echo(
            f"{report['tenant']}: objects below s3://{report['bucket']}/{rule['Filter']['Prefix']} expire after "
            f"{rule['Expiration']['Days']} days ({'written' if report['written'] else _state(report)})"
        )
    for line in report["in_the_way"]:
        click.echo(f"{report['tenant']}: in the way: {line}", err=True)


def _state(report: dict[str, Any]) -> str:
    return "as it is" if report["up_to_date"] else "not written; --apply does"
