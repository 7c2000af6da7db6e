"""How a setting is declared: its explanation, its default, and forms that its text must have.

A form is part of a field's type (`Annotated[str, Form(...)]`), so that the reader, the JSON Schemas and the reference
all know it, also inside lists and tables.

Tables of settings are dataclasses made here: the standard library writes and compiles six methods for each class, which
for all tables takes 25 ms of CPU in every job. These share their methods and take 2 ms.
"""

from __future__ import annotations

import re
from dataclasses import MISSING, FrozenInstanceError, field, fields
from dataclasses import dataclass as _standard
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from dataclasses import dataclass

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


if not TYPE_CHECKING:

    def dataclass(*, frozen: bool, kw_only: bool) -> Callable[[type], type]:
        """Make a class a dataclass, frozen and with keywords only, as all tables are."""
        if not (frozen and kw_only):
            raise TypeError("tables of settings are frozen and take keywords only")

        def make(cls: type) -> type:
            made = _standard(init=False, repr=False, eq=False, match_args=False, kw_only=True)(cls)
            for name, method in vars(_Table).items():
                if callable(method):
                    setattr(made, name, method)
            return made

        return make


class _Table:
    """The methods that all tables share."""

    def __init__(self: Any, **values: Any) -> None:
        own = {one.name: one for one in fields(self)}
        if unknown := values.keys() - own.keys():
            raise TypeError(f"{type(self).__name__} has no {', '.join(sorted(unknown))}")
        for name, one in own.items():
            if name in values:
                continue
            if one.default is MISSING and one.default_factory is MISSING:
                raise TypeError(f"{type(self).__name__} needs {name}")
            values[name] = one.default if one.default_factory is MISSING else one.default_factory()
        # In the order of the fields, so that equal values look equal.
        self.__dict__.update({name: values[name] for name in own})

    def __repr__(self: Any) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.__dict__.items())})"

    def __eq__(self: Any, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __hash__(self: Any) -> int:
        return hash(tuple(self.__dict__.values()))

    def __setattr__(self: Any, name: str, __: Any) -> None:
        raise FrozenInstanceError(f"cannot assign to {name}")

    def __delattr__(self: Any, name: str) -> None:
        raise FrozenInstanceError(f"cannot delete {name}")


@_standard(frozen=True, kw_only=True)
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


@_standard(frozen=True, kw_only=True)
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
