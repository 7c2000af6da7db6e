"""The catalogue of the operator log says what the stages write: no event and no field more or less."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from executor.figures.events import COMMON, EVENTS, FIELDS
from executor.figures.reference import reference

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
LEVELS = ("info", "warning", "error")
COMPUTED = {"figures": ("configured", "resources used")}
"""Fields that are spread into a call from a dictionary; what is in it is held by the tests of those figures."""


def calls() -> Iterator[tuple[str, str, set[str]]]:
    """Yield level, event and fields of every call that writes a line."""
    for path in sorted((ROOT / "executor").rglob("*.py")):
        itself = "self" if path.name == "journal.py" else "journal"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or not node.args:
                continue
            owner = ast.unparse(node.func.value)
            if owner.endswith(itself) and node.func.attr in LEVELS:
                fields = {keyword.arg for keyword in node.keywords if keyword.arg}
                yield from ((node.func.attr, event, fields) for event in texts(node.args[0]))
            elif node.func.attr == "note":
                yield from (("warning", event, {"reason"}) for event in texts(node.args[0]))


def texts(node: ast.expr) -> list[str]:
    """Return the texts that an argument may be; none where it is passed on."""
    if isinstance(node, ast.IfExp):
        return [*texts(node.body), *texts(node.orelse)]
    return [node.value] if isinstance(node, ast.Constant) and isinstance(node.value, str) else []


def written() -> dict[tuple[str, str], set[str]]:
    """Return (event, level) -> the fields of all calls that write it."""
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for level, event, fields in calls():
        found[event, level] |= fields
    return found


def test_every_event_of_the_program_is_in_the_catalogue_and_none_else() -> None:
    where = "executor/figures/events.py describes the operator log: add the event there, with its fields"
    assert {(one.name, one.level) for one in EVENTS} == set(written()), where


@pytest.mark.parametrize("event", EVENTS, ids=[one.name for one in EVENTS])
def test_an_event_has_the_fields_that_the_catalogue_says(event: object) -> None:
    (one,) = [each for each in EVENTS if each is event]
    fields = written()[one.name, one.level]
    assert fields <= set(one.fields), "executor/figures/events.py describes the operator log: add the field there"
    if one.name not in COMPUTED["figures"]:
        assert set(one.fields) == fields


def test_what_a_script_used_is_told_by_the_names_of_the_catalogue() -> None:
    """The figures of `resources used` come from two modules that know no catalogue."""
    (event,) = [one for one in EVENTS if one.name == "resources used"]
    source = "".join((ROOT / f"executor/stages/{name}.py").read_text() for name in ("summary", "story"))
    assert [field for field in event.fields if field != "seconds" and f'"{field}":' not in source] == []
    assert set(re.findall(r'^ +"((?:cache|memory|programs|cpu|disk|builds)_\w+)":', source, re.MULTILINE)) <= set(
        event.fields
    )


def test_every_field_is_explained_and_used() -> None:
    used = {field for one in EVENTS for field in one.fields}
    assert used == set(FIELDS)
    assert not used & set(COMMON)


def test_the_page_is_fresh() -> None:
    page = ROOT / "docs/en/reference/operator-log.md"
    how = f"make it fresh: kaniko-driver reference operator-log > {page}"
    assert page.read_text(encoding="utf-8") == reference(), how
