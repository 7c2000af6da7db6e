"""How a setting is declared: its explanation, its default, and forms that its text must have.

A form is part of a field's type (`Annotated[str, Form(...)]`), so that the reader, the JSON Schemas and the reference
all know it, also inside lists and tables.
"""

from __future__ import annotations

import re
from typing import Any

from executor.values import MISSING, dataclass, field

__all__ = ["Form", "Range", "dataclass", "setting"]


def setting(what: str, default: Any = MISSING) -> Any:
    """Declare a setting: `what` it means and why it is there, for the reference; without `default` it is required.

    A default of None is a value: the setting is off until somebody sets it; its type then is `… | None`.
    """
    if default is MISSING:
        return field(metadata={"what": what})
    if isinstance(default, dict):
        # Dataclasses want no mutable default; the empty table is the only one there is.
        return field(default_factory=dict, metadata={"what": what})
    return field(default=default, metadata={"what": what})


@dataclass(frozen=True, kw_only=True)
class Form:
    """What a text must look like."""

    name: str
    """For the reference."""
    pattern: str
    """Regular expression for the whole text, in the syntax that Python and JSON Schema share."""
    words: str
    """What is wrong with a text that does not match, after the text itself."""

    def check(self, value: str) -> None:
        """Complain of a text of another form.

        Raises:
            ValueError: says what is wrong.
        """
        if not re.fullmatch(self.pattern, value):
            raise ValueError(f"{value!r} {self.words}")


@dataclass(frozen=True, kw_only=True)
class Range:
    """Bounds of a whole number, both inclusive."""

    name: str
    low: int
    high: int

    def check(self, value: int) -> None:
        """Complain of a number outside.

        Raises:
            ValueError: says what would be inside.
        """
        if not self.low <= value <= self.high:
            raise ValueError(f"{value} is no {self.name}: it must be from {self.low} to {self.high}")
