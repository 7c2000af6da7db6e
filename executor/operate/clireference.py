"""The reference of the command line and of exit codes, made from the commands' own help. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from executor.operate.commands import cli

if TYPE_CHECKING:
    from collections.abc import Iterator

_WIDTH = 100
_STAGES = ("config", "prepare", "run", "cleanup")

_HEAD = """\
# Command line

Made from the program by `kaniko-driver reference cli`; a test keeps it fresh. `kaniko-driver COMMAND --help` shows the
same.

Four commands are for GitLab Runner ([the contract](runner-contract.md)); all others are for the operator.
`--output json` is there wherever a script may read, and what it prints is kept: fields may be added, none is renamed.
Messages for people go to stderr. [Exit codes](exit-codes.md) have a page of their own.

Completion of commands, options and tenants: `kaniko-driver completion bash`, `zsh` or `fish`.
"""

_EXIT_HEAD = """\
# Exit codes

Made from the program by `kaniko-driver reference exit-codes`; a test keeps it fresh.

## Commands of the operator

Everywhere: 0 is success, 1 a failure with words on stderr, 2 wrong usage. Beyond that:

| command | exit codes |
| --- | --- |
"""

_EXIT_STAGES = """\

## Stages that GitLab Runner calls

The runner says in its environment what it takes for which failure, and the driver keeps to that:

| what happened | exit code |
| --- | --- |
| all went well | 0 |
| the job's script failed, or its author can mend it | the one in `BUILD_FAILURE_EXIT_CODE`, 1 |
| anything else: cluster, host, settings, a defect | the one in `SYSTEM_FAILURE_EXIT_CODE`, 2 |
| `cleanup` | 0 whatever happened: what it could not delete has a deadline, and `kaniko-driver gc` takes it |
| a stage that was called without the runner's environment | 2 |

The script's own code goes into the file that `BUILD_EXIT_CODE_FILE` names, and GitLab shows it. In a pipeline,
`retry: {when: runner_system_failure}` repeats what was no fault of the job.

A script that a signal ended has 128 and the signal's number: 137 is KILL, mostly for memory; 143 is TERM.
"""


def reference() -> str:
    """Return the page about all commands."""
    parts = [_HEAD]
    for words, context in _commands():
        level = "##" if len(words.split()) <= 2 else "###"  # noqa: PLR2004 - the program's name and the command's
        parts.append(f"{level} {words}\n\n```text\n{context.get_help()}\n```\n")
    return "\n".join(parts)


def exit_codes() -> str:
    """Return the page about exit codes."""
    rows = [
        f"| `{words}` | {said} |\n"
        for words, context in _commands()
        if (said := exit_codes_of(context.command)) and words.split()[-1] not in _STAGES
    ]
    return _EXIT_HEAD + "".join(rows) + _EXIT_STAGES


def exit_codes_of(command: click.Command) -> str:
    """Return what a command's help says of its exit codes; empty where it says nothing."""
    for paragraph in (command.help or "").split("\n\n"):
        text = " ".join(paragraph.split())
        if found := re.search(r"Exit codes?: (.*)", text):
            return found[1].rstrip(".")
    return ""


def _commands() -> Iterator[tuple[str, click.Context]]:
    yield from _below(cli, "kaniko-driver", None)


def _below(command: click.Command, name: str, parent: click.Context | None) -> Iterator[tuple[str, click.Context]]:
    context = click.Context(
        command,
        info_name=name,
        parent=parent,
        terminal_width=_WIDTH,
        max_content_width=_WIDTH,
        help_option_names=cli.context_settings["help_option_names"],
    )
    yield context.command_path, context
    for below, one in sorted(getattr(command, "commands", {}).items()):
        yield from _below(one, below, context)
