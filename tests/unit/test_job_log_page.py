"""docs/en/reference/job-log.md explains every line that the driver may print into a job log.

The lines are found in the source: what is said, why a stage fails, and what a diagnosis says of a pod. The page must
have the longest part of each that does not change from job to job.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from executor import errors

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/en/reference/job-log.md"
ERRORS = {name for name, one in vars(errors).items() if isinstance(one, type) and issubclass(one, errors.DriverError)}
# What the job's stages are made of; an operator's commands talk to a terminal.
SOURCES = [
    *(path for room in ("stages", "pod", "runner", "diagnosis") for path in (ROOT / "executor" / room).glob("*.py")),
    *(ROOT / "executor/cluster" / f"{name}.py" for name in ("api", "credentials", "kubeconfig", "script", "stream")),
    ROOT / "executor/settings/load.py",
    ROOT / "executor/job.py",
]
CALLS = {"say", "say_between_lines", "section", "Diagnosis", *ERRORS}
SHORTEST = 10
"""Characters of a part that says something."""


def name_of(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def texts(call: ast.Call) -> Iterator[ast.expr]:
    """The arguments that become the first sentence of a line."""
    name = name_of(call)
    if name == "Diagnosis":
        yield from (keyword.value for keyword in call.keywords if keyword.arg == "what")
    elif name == "section":
        yield from call.args[1:2]
    else:
        yield from call.args[:1]


def longest_part(text: ast.expr) -> str:
    pieces = [node.value for node in ast.walk(text) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    lines = [line for piece in pieces for line in piece.split("\n")]
    return max((line.strip() for line in lines), key=len, default="")


def lines() -> list[tuple[str, str]]:
    """Where a line is said, and its longest part."""
    found = []
    for path in sorted(SOURCES):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and name_of(node) in CALLS:
                found += [(f"{path.stem}:{node.lineno}", longest_part(text)) for text in texts(node)]
    return [(place, part) for place, part in found if len(part) >= SHORTEST]


def test_there_are_lines_to_look_for() -> None:
    assert len(lines()) > 40


@pytest.mark.parametrize(("place", "part"), lines(), ids=[place for place, _ in lines()])
def test_a_line_of_the_driver_is_explained(place: str, part: str) -> None:
    page = " ".join(PAGE.read_text(encoding="utf-8").split())
    assert " ".join(part.split()) in page, f"{place} says {part!r}, which {PAGE.name} does not explain"
