"""Commands that mend what was found, as they must be typed here: with the same settings and the same rights."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from executor.operate.checkup.findings import Finding

_ONLY_LOOKS = re.compile(r" --diff\b|^kaniko-driver (?:validate|tenant register)\b")
_TO_FILL_IN = re.compile(r" [A-Z]{2,}\b")


def completed(command: str, given: Mapping[str, str], program: click.Command) -> str:
    """Add the options that `doctor` was given to a command that has them, too; what is empty was not given.

    Args:
        command: as a finding has it, for the usual settings and rights.
        given: option -> value.
        program: the driver's whole command line.
    """
    words = command.split()
    if words[0] == "kubectl":
        has = {"--kubeconfig", "--context"}
    elif words[0] == "kaniko-driver":
        has = _options(words[1:], program)
    else:
        return command
    options = [word for name, value in given.items() if value and name in has for word in (name, shlex.quote(value))]
    return " ".join([command, *options])


def _options(words: list[str], program: click.Command) -> set[str]:
    while words and isinstance(program, click.Group) and words[0] in program.commands:
        program, words = program.commands[words[0]], words[1:]
    return {name for parameter in program.params for name in parameter.opts}


def script(findings: list[Finding]) -> Iterator[str]:
    """Yield the lines of a shell script: each command once, below what it mends.

    What must be filled in first, or only looks, is a comment.
    """
    seen: set[str] = set()
    for one in findings:
        wanted = [command for command in one.commands if command not in seen]
        seen.update(wanted)
        if one.verdict not in {"warning", "problem"} or not wanted:
            continue
        where = f"{one.tenant}: " if one.tenant else ""
        yield f"# {where}{one.what}".replace("\n", " ")
        for command in wanted:
            if _TO_FILL_IN.search(command):
                yield f"# fill in: {command}"
            elif _ONLY_LOOKS.search(command):
                yield f"# look: {command}"
            else:
                yield command
