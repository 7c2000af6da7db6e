"""migrate: make tenant files and runner sections of an existing runner's config.toml."""

from __future__ import annotations

import json
import os
import tomllib
from typing import TYPE_CHECKING

import click

from executor.operate.shown import failures_in_words, output_option
from executor.settings.load import load

if TYPE_CHECKING:
    from executor.tenancy.migrate import Migrated

_DRIVER = "driver.toml"
_DRIVER_TEXT = "# For all tenants: [log], and any table of a tenant's file as [defaults.TABLE].\nversion = 1\n"


@click.command()
@click.argument("config", type=click.Path(exists=True, dir_okay=False))
@click.option(
    "--folder", type=click.Path(file_okay=False), default="kaniko-driver", show_default=True, help="Where to write."
)
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
@output_option
def migrate(config: str, folder: str, *, force: bool, output: str) -> None:
    """Carry runners with executor = "kubernetes" over to this driver.

    Reads CONFIG, a runner's config.toml, and writes driver.toml and a file in tenants/ for each of them, and
    runners.toml with their new sections. Lists what could not be carried over and what to do about it. Tokens and keys
    are not copied: put them where runners.toml says REPLACE-ME.

    \b
    Example: kaniko-driver migrate /etc/gitlab-runner/config.toml --folder /tmp/new
             kaniko-driver validate --settings /tmp/new

    A driver.toml that is there is left as it is.

    Exit codes: 0 written (there may be things for you to do), 1 CONFIG cannot be read or has no such runner, or a file
    is there already: then nothing is written; 2 wrong usage.
    """
    # Imported here, so that no other command waits for it.
    from executor.tenancy.migrate import migrate as carry_over

    try:
        with open(config, "rb") as file:
            document = tomllib.load(file)
    except (OSError, ValueError) as error:
        # Not the text itself: a broken line may hold a token.
        raise click.ClickException(f"{config} cannot be read as TOML: {error}") from error
    found = carry_over(document)
    if not found:
        raise click.ClickException(f'{config} has no runner with executor = "kubernetes"; nothing was written')
    files = _files(found)
    _write(folder, files, force=force)
    # What was written can be used, unless a driver.toml that was there cannot.
    with failures_in_words():
        for one in found:
            load(folder, one.tenant)
    if output == "json":
        tenants = [{"name": one.tenant, "file": _path(one, folder), "to_do": one.findings} for one in found]
        written = [os.path.join(folder, name) for name in files]
        click.echo(json.dumps({"written": written, "tenants": tenants}, indent=2, ensure_ascii=False))
        return
    for one in found:
        _tell(one, folder)
    click.echo(
        f"Written to {folder}. Do what is listed; `kaniko-driver validate --settings {folder}` says what is left."
    )


def _files(found: list[Migrated]) -> dict[str, tuple[str, int]]:
    """Return path -> text and mode; the runner's sections will hold its token one day."""
    sections = "\n".join(one.section for one in found)
    return {
        _DRIVER: (_DRIVER_TEXT, 0o644),
        **{os.path.join("tenants", f"{one.tenant}.toml"): (one.settings, 0o644) for one in found},
        "runners.toml": (f"# These take the place of the sections in config.toml.\n\n{sections}", 0o600),
    }


def _write(folder: str, files: dict[str, tuple[str, int]], *, force: bool) -> None:
    there = [path for path in files if os.path.exists(os.path.join(folder, path))]
    if _DRIVER in there:
        # The operator's own, and nothing in it is made from a runner's configuration.
        there.remove(_DRIVER)
        del files[_DRIVER]
    if there and not force:
        raise click.ClickException(
            f"{', '.join(there)} in {folder}: not overwritten without --force; nothing was written"
        )
    try:
        os.makedirs(os.path.join(folder, "tenants"), exist_ok=True)
        for name, (text, mode) in files.items():
            path = os.path.join(folder, name)
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8") as file:
                # Whatever the umask is, or an older file had.
                os.fchmod(file.fileno(), mode)
                file.write(text)
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}") from error


def _path(one: Migrated, folder: str) -> str:
    return os.path.join(folder, "tenants", f"{one.tenant}.toml")


def _tell(one: Migrated, folder: str) -> None:
    click.secho(f"{one.tenant} ({_path(one, folder)})", bold=True)
    for finding in one.findings:
        click.echo(f"  - {finding}")
