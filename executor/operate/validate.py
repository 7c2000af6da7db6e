"""validate: read every tenant's settings and list every mistake."""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from executor.cluster import kubeconfig
from executor.errors import DriverError, SettingsInvalid
from executor.operate import apart
from executor.operate.shown import for_operator, output_option, settings_option, tenants_of
from executor.settings.survey import Survey, survey
from executor.tenancy import sample

if TYPE_CHECKING:
    from executor.settings.model import Tenant


@click.command()
@settings_option
@output_option
def validate(settings: str, output: str) -> None:
    """Check the settings of all tenants, and what tenants must not share.

    All mistakes of all files are listed, each with its file and line: also kubeconfigs and files with logins that
    cannot be read, and patches of pods that would be refused. Nothing is asked of a cluster.

    Example: kaniko-driver validate --settings ./config

    Exit codes: 0 all good (there may be warnings), 1 a job could not start or tenants are not apart, 2 wrong arguments.
    """
    try:
        tenants_of(settings, ())
        found = survey(settings)
    except SettingsInvalid as error:
        raise click.ClickException(for_operator(error)) from error
    apart.compare(found, _servers(found))
    for name, tenant in found.tenants.items():
        _try_pod(found, name, tenant)
        _look_for_examples(found, name, tenant)
    _print(found, output)
    sys.exit(1 if found.problems else 0)


def _servers(found: Survey) -> dict[str, str]:
    """Return where each tenant's API server is; complains of kubeconfigs that cannot be used."""
    servers = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, tenant in found.tenants.items():
            cluster = tenant.cluster
            if not cluster.kubeconfig:
                # The service account of the runner's pod: this machine may be another one.
                continue
            try:
                connection = kubeconfig.connect(
                    path=cluster.kubeconfig, context=cluster.context, namespace=cluster.namespace, folder=folder
                )
                servers[name] = connection.server
            except DriverError as error:
                found.complain(name, ("cluster", "kubeconfig"), f"{error.what} {error.why}".strip())
    return servers


def _try_pod(found: Survey, name: str, tenant: Tenant) -> None:
    """Make a pod as a job would get it: a patch shows only there whether it may be laid over it."""
    try:
        sample.usual(tenant)
    except SettingsInvalid as error:
        for line in error.why.splitlines():
            found.complain(name, ("pod", "patch"), line)


def _look_for_examples(found: Survey, name: str, tenant: Tenant) -> None:
    """Warn of images that still are those of the files to start from; no node can pull them."""
    keys = ("kaniko", "helper", "tools", *(["cache_registry"] if tenant.cache.mode != "off" else []))
    for key in keys:
        image = getattr(tenant.images, key)
        host = image.partition("/")[0].partition(":")[0]
        # RFC 2606: names that nobody will ever have.
        if host == "example.com" or host.endswith(".example.com"):
            found.warn(name, ("images", key), f"images.{key} is the example's: write where your nodes pull it from")


def _print(found: Survey, output: str) -> None:
    if output == "json":
        report = {
            "tenants": {name: name not in found.broken for name in found.names},
            "problems": [asdict(problem) for problem in sorted(found.problems)],
            "warnings": [asdict(warning) for warning in sorted(found.warnings)],
        }
        click.echo(json.dumps(report, indent=2))
        return
    for name in found.names:
        if name not in found.broken:
            click.echo(f"{name}: good")
    for problem in sorted(found.problems):
        click.echo(str(problem), err=True)
    for warning in sorted(found.warnings):
        click.echo(f"warning: {warning}", err=True)
