"""Options that the operator's commands share, and how their failures are shown: in words, with exit code 1."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from executor.errors import DriverError

if TYPE_CHECKING:
    from collections.abc import Iterator

settings_option = click.option(
    "--settings",
    type=click.Path(),
    default="/etc/kaniko-driver",
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


@contextmanager
def failures_in_words() -> Iterator[None]:
    """Turn what the driver can fail with into a message without a traceback."""
    try:
        yield
    except DriverError as error:
        raise click.ClickException(str(error)) from error
