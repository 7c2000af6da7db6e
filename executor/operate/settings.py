"""settings: what applies to a tenant and why, and the schemas and the reference that are made from the program."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from executor.errors import SettingsInvalid
from executor.operate.shown import DEFAULT_SETTINGS, complete_tenant, for_operator, output_option

if TYPE_CHECKING:
    from collections.abc import Iterator

    from executor.settings.load import Layers


@click.group()
def settings() -> None:
    """Show effective settings, the JSON Schemas for editors, and the reference.

    Exit codes: 0 printed, 1 the settings cannot be used, 2 wrong usage.
    """


@settings.command()
@click.option(
    "--settings",
    "folder",
    type=click.Path(),
    default=DEFAULT_SETTINGS,
    show_default=True,
    help="Folder with driver.toml.",
)
@click.option("--why", is_flag=True, help="Also tell where each value came from.")
@output_option
@click.argument("tenant", shell_complete=complete_tenant)
def show(folder: str, tenant: str, output: str, *, why: bool) -> None:
    """Print every setting of TENANT as a job would get it, before the job's own wishes.

    Example: kaniko-driver settings show tenant-a --why

    The text is TOML; values that are off are left out. JSON always has the origin. Exit codes: 0, 1 when the settings
    cannot be used, 2 wrong arguments.
    """
    from executor.settings.load import Layers, load

    try:
        load(folder, tenant)
        layers = Layers(folder, tenant)
    except SettingsInvalid as error:
        raise click.ClickException(for_operator(error)) from error
    values = list(_values(layers))
    if output == "json":
        click.echo(json.dumps([value.as_json() for value in values], indent=2))
        return
    for value in values:
        if value.value is not None:
            click.echo(value.as_toml(why=why))


@settings.command()
@click.argument("file", type=click.Choice(["driver", "tenant"]))
def schema(file: str) -> None:
    """Print the JSON Schema of driver.toml or of a tenant's file.

    Editors complete and check with it; the first line of a file names it: #:schema ./driver.schema.json

    Example: kaniko-driver settings schema driver > driver.schema.json
    """
    from executor.settings.schema import driver_schema, tenant_schema

    made = driver_schema() if file == "driver" else tenant_schema()
    click.echo(json.dumps(made, indent=2))


@settings.command()
def reference() -> None:
    """Print the reference of all settings as Markdown.

    Example: kaniko-driver settings reference | less
    """
    from executor.settings.reference import reference as page

    click.echo(page(), nl=False)


@dataclass(frozen=True, kw_only=True)
class _Value:
    """An effective setting and where it came from."""

    key: str
    value: Any
    file: str
    line: int

    def as_json(self) -> dict[str, Any]:
        origin = {"file": self.file, "line": self.line} if self.file else "built-in"
        return {"key": self.key, "value": self.value, "origin": origin}

    def as_toml(self, *, why: bool) -> str:
        from executor.settings.writer import value_text

        text = f"{self.key} = {value_text(self.value)}"
        if not why:
            return text
        place = f"{self.file}, line {self.line}" if self.file else "built-in"
        return f"{text}  # {place}"


def _values(layers: Layers) -> Iterator[_Value]:
    from executor.settings.catalogue import plain, tables
    from executor.settings.model import Driver, Tenant

    effective, _ = layers.settings()
    for model, root in ((Driver, effective and effective.driver), (Tenant, effective and effective.tenant)):
        for table in tables(model):
            if table.listed:
                continue
            for entry in table.entries:
                value: Any = root
                for part in entry.path:
                    value = getattr(value, part)
                file, line = layers.driver_origin(entry.path) if model is Driver else layers.origin(entry.path)
                yield _Value(key=".".join(entry.path), value=plain(value), file=file, line=line)
