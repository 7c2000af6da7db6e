"""Values are frozen dataclasses, to Python's own functions too, but made the cheap way."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from executor import values
from executor.values import dataclass, field


@dataclass(frozen=True)
class Point:
    """Takes its fields by position, too."""

    x: int
    y: int = 0


@dataclass(frozen=True, kw_only=True)
class Line:
    """A value with values in it."""

    begin: Point
    marks: list[str] = field(default_factory=list)


LINE = Line(begin=Point(1, y=2))


def test_fields_are_given_by_position_or_name() -> None:
    assert Point(1) == Point(x=1, y=0)
    assert repr(Point(1)) == "Point(x=1, y=0)"
    assert hash(Point(1)) == hash(Point(1, 0))
    other: object = (1, 0)
    assert Point(1) != other


@pytest.mark.parametrize(
    ("given", "named", "words"),
    [
        ((), {}, "needs x"),
        ((1, 2, 3), {}, "fewer positional"),
        ((1,), {"x": 1}, "x twice"),
        ((1,), {"z": 1}, "has no z"),
    ],
)
def test_wrong_values_are_told(given: tuple[Any, ...], named: dict[str, Any], words: str) -> None:
    with pytest.raises(TypeError, match=words):
        Point(*given, **named)


def test_keywords_only_means_that() -> None:
    with pytest.raises(TypeError, match="fewer positional"):
        Line(Point(1))  # type: ignore[call-arg]


def test_no_two_share_a_default() -> None:
    assert LINE.marks is not Line(begin=Point(1)).marks


@pytest.mark.parametrize("module", [values, dataclasses])
def test_both_sets_of_functions_know_them(module: Any) -> None:
    assert module.is_dataclass(LINE)
    assert not module.is_dataclass("text")
    assert [one.name for one in module.fields(Line)] == ["begin", "marks"]
    assert module.replace(LINE, marks=["a"]) == Line(begin=Point(1, 2), marks=["a"])
    assert module.asdict(LINE) == {"begin": {"x": 1, "y": 2}, "marks": []}


def test_nobody_changes_one() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        LINE.marks = []  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        del LINE.marks


def test_a_class_that_changes_is_no_value() -> None:
    with pytest.raises(TypeError, match="frozen"):
        dataclass(frozen=False)
