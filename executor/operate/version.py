"""version and completion: small commands about the command itself."""

from __future__ import annotations

import json
import platform
import sys

import click

from executor import __version__
from executor.operate.shown import output_option

TESTED = {
    "Kubernetes": "1.35.4",
    "GitLab Runner": "19.4 (development, 2026-09-03)",
    "Kaniko": "1.24.0",
    "S3 server (versitygw)": "1.8.0",
}
"""What this version was tested with; a test holds it against the test bed."""
SUPPORTED = {
    "Kubernetes": "1.29 or later; 1.30 for the admission policy",
    "GitLab Runner": "17.9 or later",
    "Python": "3.11 or later",
}


@click.command()
@output_option
def version(output: str) -> None:
    """Show this version, what it runs on, what it supports and what it was tested with.

    Example: kaniko-driver version --output json

    Exit codes: 0 shown, 2 wrong usage.
    """
    shown = {
        "version": __version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "program": sys.argv[0],
        "supported": SUPPORTED,
        "tested_with": TESTED,
    }
    if output == "json":
        click.echo(json.dumps(shown, indent=2))
        return
    click.echo(f"kaniko-driver {__version__}, Python {shown['python']}, {shown['platform']}")
    for title, entries in (("supported", SUPPORTED), ("tested with", TESTED)):
        click.echo(f"{title}:")
        for name, which in entries.items():
            click.echo(f"  {name} {which}")


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what makes SHELL complete commands, options and names of tenants.

    \b
    bash: kaniko-driver completion bash > /etc/bash_completion.d/kaniko-driver
    zsh:  kaniko-driver completion zsh > "${fpath[1]}/_kaniko-driver"
    fish: kaniko-driver completion fish > ~/.config/fish/completions/kaniko-driver.fish

    Exit codes: 0 printed, 2 wrong usage.
    """
    from click.shell_completion import get_completion_class

    made = get_completion_class(shell)
    if made is None:
        raise click.ClickException(f"there is no completion for {shell}")
    root = context.find_root().command
    click.echo(made(root, {}, "kaniko-driver", "_KANIKO_DRIVER_COMPLETE").source())
