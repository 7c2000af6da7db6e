"""validate: read every tenant's settings and list every mistake."""

from __future__ import annotations

import sys

import click

from executor.errors import SettingsInvalid
from executor.settings.load import load, tenant_names


@click.command()
@click.option(
    "--settings", type=click.Path(), default="/etc/kaniko-driver", show_default=True, help="Folder with driver.toml."
)
def validate(settings: str) -> None:
    """Check the settings of all tenants; exit code 1 when a job could not start with them."""
    try:
        names = tenant_names(settings)
    except SettingsInvalid as error:
        raise click.ClickException(str(error)) from error
    broken = 0
    for name in names:
        try:
            load(settings, name)
            click.echo(f"{name}: good")
        except SettingsInvalid as error:
            broken += 1
            click.echo(f"{name}: {error.what}\n{error.why}", err=True)
    if not names:
        raise click.ClickException(f"there is no tenant in {settings}/tenants")
    sys.exit(1 if broken else 0)
