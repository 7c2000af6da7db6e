"""The help of every command, as a person sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import pytest

from executor.operate.commands import cli

if TYPE_CHECKING:
    from collections.abc import Iterator


def commands(command: click.Command, *path: str) -> Iterator[tuple[str, click.Context]]:
    """Each command with its words."""
    context = click.Context(command, info_name=" ".join(("kaniko-driver", *path)))
    yield context.info_name or "", context
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, *path, name)


ALL = dict(commands(cli))


@pytest.mark.parametrize("words", ALL)
def test_says_what_it_does_and_keeps_the_lines_of_examples(words: str) -> None:
    shown = ALL[words].get_help()
    assert ALL[words].command.get_short_help_str()
    # The mark of a paragraph that is not to be wrapped; it is shown, and obeyed by nobody, in a raw docstring.
    assert "\\b" not in shown


@pytest.mark.parametrize("words", ALL)
def test_every_option_is_explained(words: str) -> None:
    options = [one for one in ALL[words].command.params if isinstance(one, click.Option)]
    assert [one.name for one in options if not one.help] == []
