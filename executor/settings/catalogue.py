"""The model as a list: every setting with its path, type, default and explanation. Pure.

For the reference, the JSON Schemas and `settings show`, which all must know every setting without naming one.
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

from executor.settings.declare import Form, Range
from executor.settings.reader import hints_of, is_table, optional
from executor.settings.units import Bytes, Cpu, Duration, Pattern

if TYPE_CHECKING:
    from collections.abc import Iterator

    from executor.settings.reader import Path

_UNIT_NAMES = {
    Bytes: "bytes, such as `4Gi`",
    Cpu: "CPU, such as `500m` or `2`",
    Duration: "time span, such as `90s` or `1h30m`",
    Pattern: "regular expression for the whole text",
    str: "text",
    int: "whole number",
    bool: "`true` or `false`",
    Any: "any",
}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One setting."""

    path: Path
    hint: Any
    default: Any
    """MISSING where it is required."""
    what: str


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table, or the entries of a list of tables."""

    path: Path
    model: type
    listed: bool
    """Whether it is an entry of a list, or of another single setting."""
    entries: tuple[Entry, ...]

    @property
    def what(self) -> str:
        """Return the first paragraph of what the table is for."""
        return " ".join((self.model.__doc__ or "").strip().split())


def tables(model: type, path: Path = (), default: Any = None) -> Iterator[Table]:
    """Yield every table with settings, those inside lists after the one that has the list."""
    own = [field for field in fields(model) if not is_table(hints_of(model)[field.name])]
    entries = tuple(
        Entry(
            path=(*path, field.name),
            hint=hints_of(model)[field.name],
            default=_default(field) if default is None else getattr(default, field.name),
            what=field.metadata.get("what", ""),
        )
        for field in own
        if "what" in field.metadata
    )
    if entries:
        yield Table(path=path, model=model, listed=False, entries=entries)
    for entry in entries:
        yield from _inner_tables(entry.hint, entry.path)
    for field in fields(model):
        if field not in own:
            inner = _default(field) if default is None else getattr(default, field.name)
            preset = None if inner is MISSING else inner
            yield from tables(hints_of(model)[field.name], (*path, field.name), preset)


def _inner_tables(hint: Any, path: Path) -> Iterator[Table]:
    inner = optional(hint)
    if is_table(inner):
        (own, *further) = tables(inner, path)
        yield Table(path=path, model=inner, listed=True, entries=own.entries)
        yield from further
    elif get_origin(inner) is tuple and is_table(get_args(inner)[0]):
        yield from _inner_tables(get_args(inner)[0], path)


def _default(field: Any) -> Any:
    return field.default_factory() if field.default_factory is not MISSING else field.default


def type_in_words(hint: Any) -> str:
    """Say what a value must be."""
    inner = optional(hint)
    origin, arguments = get_origin(inner), get_args(inner)
    if origin is Annotated:
        return _form_in_words(arguments)
    if origin is Literal:
        return "one of " + ", ".join(f"`{choice}`" if choice else "empty text" for choice in arguments)
    if origin is tuple:
        return f"list: {'tables' if is_table(arguments[0]) else type_in_words(arguments[0])}"
    if origin is dict:
        return (
            "table" if arguments[1] is Any else f"table: {type_in_words(arguments[0])} = {type_in_words(arguments[1])}"
        )
    return "table" if is_table(inner) else _UNIT_NAMES[inner]


def _form_in_words(arguments: tuple[Any, ...]) -> str:
    for form in arguments[1:]:
        if isinstance(form, Form):
            return form.name
        if isinstance(form, Range):
            return f"{form.name}, {form.low} to {form.high}"
    return type_in_words(arguments[0])


def plain(value: Any) -> Any:
    """Turn a setting's value into what TOML and JSON know."""
    if isinstance(value, (Bytes, Cpu, Duration, Pattern)):
        return value.text
    if is_dataclass(value) and not isinstance(value, type):
        own = {field.name: plain(getattr(value, field.name)) for field in fields(value)}
        return {key: item for key, item in own.items() if item not in (None, [], {}, "")}
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value
