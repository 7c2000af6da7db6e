"""Tables of settings are what dataclasses are, made the cheap way."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, asdict, is_dataclass, replace

import pytest

from executor.settings.declare import dataclass, setting


@dataclass(frozen=True, kw_only=True)
class Example:
    """A table."""

    needed: str = setting("Needed.")
    free: int = setting("Free.", 5)
    off: int | None = setting("Off.", None)
    table: dict[str, str] = setting("Table.", {})


def test_a_table_is_a_frozen_dataclass() -> None:
    one = Example(needed="a")
    assert is_dataclass(one)
    assert asdict(one) == {"needed": "a", "free": 5, "off": None, "table": {}}
    assert replace(one, free=6) == Example(free=6, needed="a")
    assert one != replace(one, off=0)
    assert repr(one) == "Example(needed='a', free=5, off=None, table={})"
    with pytest.raises(FrozenInstanceError):
        one.free = 6  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        del one.free


def test_no_two_share_a_default_table() -> None:
    assert Example(needed="a").table is not Example(needed="b").table


@pytest.mark.parametrize(("values", "words"), [({}, "needs needed"), ({"needed": "a", "fre": 1}, "has no fre")])
def test_wrong_values_are_told(values: dict[str, object], words: str) -> None:
    with pytest.raises(TypeError, match=words):
        Example(**values)  # type: ignore[arg-type]
