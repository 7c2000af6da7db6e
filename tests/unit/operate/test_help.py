"""The help of every command, as a person sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import pytest

from executor.operate.commands import cli
from executor.operate.shown import complete_tenant

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


LEAVES = {
    words: context
    for words, context in ALL.items()
    if not isinstance(context.command, click.Group) and words.split()[1] not in {"config", "prepare", "run", "cleanup"}
}


@pytest.mark.parametrize("words", LEAVES)
def test_teaches_by_an_example_that_can_be_typed(words: str) -> None:
    above = words.rpartition(" ")[0]
    texts = [LEAVES[words].command.help or "", *([ALL[above].command.help or ""] if " " in above else [])]
    assert any(words in text for text in texts), f"{words}: an example in its help, or in its group's"


@pytest.mark.parametrize("words", LEAVES)
def test_says_what_its_exit_codes_mean(words: str) -> None:
    above = words.rpartition(" ")[0]
    assert "Exit code" in (LEAVES[words].command.help or "") + (ALL[above].command.help or "")


NO_JSON = {"exec", "logs", "metrics", "traces", "completion", "reference", "settings reference", "settings schema"}
"""Commands whose output is the job's own, a format of its own, or a line about what they sent."""


@pytest.mark.parametrize("words", LEAVES)
def test_a_script_gets_json_by_one_option_that_means_nothing_else(words: str) -> None:
    name = words.removeprefix("kaniko-driver ")
    output = next((one for one in LEAVES[words].command.params if one.name == "output"), None)
    if name in NO_JSON or name.split()[0] in NO_JSON:
        assert output is None
    else:
        assert output is not None
        assert isinstance(output.type, click.Choice)
        assert "json" in output.type.choices


@pytest.mark.parametrize("words", LEAVES)
def test_names_of_tenants_are_completed_wherever_one_is_asked_for(words: str) -> None:
    if words == "kaniko-driver tenant init":
        return
    for one in LEAVES[words].command.params:
        if one.name in {"tenant", "tenants"} or (one.name == "name" and " tenant " in words):
            assert one._custom_shell_complete is complete_tenant, one.name
