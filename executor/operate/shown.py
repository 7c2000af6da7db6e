"""Options that the operator's commands share, and how their failures are shown: in words, with exit code 1."""

from __future__ import annotations

import os
import re
import shlex
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from executor.errors import ClusterUnreachable, ContractBroken, DriverError, NoSuchTenant, SettingsInvalid
from executor.scrub import without_orders

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.console import Console

DEFAULT_SETTINGS = "/etc/kaniko-driver"


def complete_tenant(context: click.Context, _: click.Parameter, begun: str) -> list[str]:
    """Complete the name of a tenant from the settings that the command line names so far."""
    from executor.settings.load import tenant_names

    try:
        names = tenant_names(str(context.params.get("settings") or context.params.get("folder") or DEFAULT_SETTINGS))
    except DriverError:
        return []
    return [name for name in names if name.startswith(begun)]


settings_option = click.option(
    "--settings",
    type=click.Path(),
    default=DEFAULT_SETTINGS,
    show_default=True,
    help="Folder with driver.toml and tenants/.",
)
kubeconfig_option = click.option(
    "--kubeconfig",
    type=click.Path(),
    default="",
    help="Whose rights to use: a kubeconfig of yours. Without it KUBECONFIG, ~/.kube/config, or the pod's own account.",
)
context_option = click.option("--context", default="", help="Context of that kubeconfig. Without it the current one.")
output_option = click.option(
    "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="For scripts: json."
)


def told_settings(settings: str) -> str:
    """Return what a command that is proposed needs, so that it means the same settings; nothing for the usual ones."""
    return "" if settings == DEFAULT_SETTINGS else f" --settings {shlex.quote(settings)}"


_WIDE = 200
"""Columns where nobody looks on: a file or a pipe has no edge at which to cut."""


def console() -> Console:
    """Make what prints tables: as wide as the terminal, or as wide as a table can be."""
    # Imported here: the help of all commands must not wait for it.
    from rich.console import Console

    made = Console(highlight=False)
    return made if made.is_terminal else Console(highlight=False, width=_WIDE)


def agreed(question: str) -> None:
    """Ask, and go on only after a yes.

    Raises:
        click.Abort: the person said no.
        click.ClickException: nobody is there to be asked, and none of what is piped in is a yes.
    """
    try:
        click.confirm(question, abort=True, err=True)
    except click.Abort as no:
        if sys.stdin.isatty():
            raise
        click.echo(err=True)
        raise click.ClickException("nothing was done, because nobody said yes; --yes does not ask") from no


def tenants_of(settings: str, chosen: Iterable[str]) -> list[str]:
    """Return the tenants that were chosen, or all that have a settings file.

    Raises:
        SettingsInvalid: there is none, or one that was chosen has no file.
    """
    # Imported here: the help of all commands must not wait for it.
    from executor.settings.load import require_tenant, tenant_names

    names = list(chosen)
    for name in names:
        require_tenant(settings, name)
    if found := names or tenant_names(settings):
        return found
    raise SettingsInvalid(f"There is no tenant in {settings}/tenants.", remedy=HOW_TO_BEGIN)


HOW_TO_BEGIN = "`kaniko-driver tenant init NAME` begins one."


@contextmanager
def failures_in_words() -> Iterator[None]:
    """Turn what the driver can fail with into a message without a traceback."""
    try:
        yield
    except DriverError as error:
        raise click.ClickException(for_operator(error)) from error


def log_or_state(error: OSError) -> SettingsInvalid:
    """Say that the operator log, or the file in which its reader remembers how far it is, cannot be used."""
    folder = os.path.dirname(str(error.filename)) or "."
    missing = f"Make the folder for the user that runs this: install -d -o gitlab-runner {folder}\nOr name"
    there = "Run this as a user who may read the log and write the state, or name"
    return SettingsInvalid(
        f"{error.filename} cannot be used: {error.strerror}",
        remedy=f"{there if os.path.isdir(folder) else missing} others by --log and --state.",
    )


_NEXT = {
    ClusterUnreachable: "Check the address in the kubeconfig, the network, certificates, and proxies in between: "
    "kubectl get --raw /version",
    ContractBroken: "It must be a job as GitLab hands it to the runner; `kaniko-driver render --example` prints one.",
    NoSuchTenant: "`kaniko-driver tenant list` shows them; `--settings` names the folder.",
}
"""What to do next where the error's own advice is for the author of a job, or for whoever wrote config.toml."""


def for_operator(error: DriverError) -> str:
    """Return an error's words for whoever typed a command; some are the cluster's, and of a job that went wrong."""
    return without_orders("\n".join(part for part in (error.what, error.why, advice(error)) if part))


def advice(error: DriverError) -> str:
    """Return what an operator may do about an error."""
    said = _NEXT.get(type(error), error.remedy)
    near = re.match(r"Did the operator mean ('[^']*'\?)", error.remedy) if isinstance(error, NoSuchTenant) else None
    return f"Did you mean {near[1]} {said}" if near else said
