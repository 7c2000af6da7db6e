"""reference: the pages of the reference that are made from the program, as Markdown."""

from __future__ import annotations

from importlib import import_module

import click

PAGES = {
    "cli": ("executor.operate.clireference", "reference"),
    "exit-codes": ("executor.operate.clireference", "exit_codes"),
    "metrics": ("executor.figures.metrics", "reference"),
    "operator-log": ("executor.figures.reference", "reference"),
    "settings": ("executor.settings.reference", "reference"),
}
"""Page -> module and function that return it."""


@click.command()
@click.argument("page", type=click.Choice(sorted(PAGES)))
def reference(page: str) -> None:
    """Print a page of the reference as Markdown, as this version has it.

    The documentation has the same pages; tests keep them fresh.

    Example: kaniko-driver reference operator-log

    Exit codes: 0, 2 wrong usage.
    """
    click.echo(made(page), nl=False)


def made(page: str) -> str:
    """Make a page."""
    module, function = PAGES[page]
    text: str = getattr(import_module(module), function)()
    return text
