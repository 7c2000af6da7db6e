"""The command line of the test bed: `scripts/bed`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from testbed import bed, cluster, layout, nodes
from testbed.errors import BedError
from testbed.progress import Progress


@click.group()
def main() -> None:
    """A real two-node Kubernetes cluster on this machine."""


@main.command()
def up() -> None:
    """Bring the bed up."""
    progress = Progress()
    bed.up(progress)
    progress.say("the bed is up")


@main.command()
@click.option("--purge", is_flag=True)
@click.option("--cache", is_flag=True)
def down(purge: bool, cache: bool) -> None:
    """Take the bed down."""
    left = bed.down()
    if left:
        raise BedError("left behind: " + ", ".join(left))
    if purge or cache:
        bed.purge(built=cache)


@main.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def kubectl(arguments: tuple[str, ...]) -> None:
    """Run kubectl."""
    command = cluster.kubectl_command(*arguments)
    os.execvp(command[0], command)


@main.command(context_settings={"ignore_unknown_options": True})
@click.argument("name")
@click.argument("command", nargs=-1, type=click.UNPROCESSED, required=True)
def node(name: str, command: tuple[str, ...]) -> None:
    """Run a command in a node."""
    full = (*nodes.enter_command(name), *command)
    os.execvp(full[0], full)


if __name__ == "__main__":
    try:
        main(prog_name="bed")
    except BedError as error:
        print(f"bed: {error}", file=sys.stderr)
        sys.exit(1)
