"""reference: the pages of the reference that are made from the program, as Markdown."""

from __future__ import annotations

from importlib import import_module

import click

PAGES = {
    "metrics": "executor.figures.metrics",
    "operator-log": "executor.figures.reference",
    "settings": "executor.settings.reference",
}
"""Page -> module whose function `reference` returns it."""


@click.command()
@click.argument("page", type=click.Choice(sorted(PAGES)))
def reference(page: str) -> None:
    """Print a page of the reference as Markdown, as this version has it.

    The documentation has the same pages; tests keep them fresh.

    Example: kaniko-driver reference operator-log
    """
    click.echo(import_module(PAGES[page]).reference(), nl=False)
