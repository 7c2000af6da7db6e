"""TOML text -> checked values, with every mistake told by file, line and nearest name.

Driven by the dataclasses of `model.py`: a table's keys are a class's fields. A file is first read into a flat
mapping `("cache", "bucket") -> value`, so that layers are laid over each other by one `|`.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

from executor.settings.units import Bytes, Cpu, Duration

Path = tuple[str, ...]
Flat = dict[Path, Any]

_UNITS = (Bytes, Cpu, Duration)


@dataclass(frozen=True, order=True)
class Problem:
    """One mistake in one file; `line` 0 means the file as a whole."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}: {self.text}" if self.line else f"{self.file}: {self.text}"


class TomlFile:
    """A parsed file that still knows its lines and collects what is wrong with it."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text
        self.problems: list[Problem] = []
        try:
            self.table: dict[str, Any] = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            self.table = {}
            found = re.search(r"line (\d+)", str(error))
            # What is never closed is noticed at the end of the document only.
            line = int(found[1]) if found else len(text.splitlines())
            self.problems.append(Problem(name, line, f"this is no TOML: {error}"))

    def complain(self, path: Path, text: str) -> None:
        """Note a mistake at a key."""
        self.problems.append(Problem(self.name, line_of(self.text, path), text))

    def flat(self, model: type, table: dict[str, Any], prefix: Path = (), inside: Path = ()) -> Flat:
        """Read a table as `model`; `prefix` is where the values belong, `inside` where the table stands in the file."""
        hints = get_type_hints(model)
        # Taken from the file's own name.
        hints.pop("name", None)
        values: Flat = {}
        for key, value in table.items():
            here = (*inside, *prefix, key)
            if key not in hints:
                near = difflib.get_close_matches(key, hints, n=1)
                known = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(sorted(hints))}"
                self.complain(here, f"unknown key {'.'.join(here)!r}; {known}")
            elif is_table(hints[key]):
                if isinstance(value, dict):
                    values |= self.flat(_class(hints[key]), value, (*prefix, key), inside)
                else:
                    self.complain(here, f"{'.'.join(here)} is a table: write [{'.'.join(here)}]")
            else:
                try:
                    values[*prefix, key] = convert(hints[key], value)
                except ValueError as error:
                    self.complain(here, f"{'.'.join(here)}: {error}")
        return values


def is_table(hint: Any) -> bool:
    """Tell a table of settings from a single value; values with a unit are classes too."""
    return is_dataclass(hint) and hint not in _UNITS


def convert(hint: Any, value: Any) -> Any:
    """Turn a TOML value into the type of a field.

    Raises:
        ValueError: it is another type or no valid value; says what would be.
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if hint in _UNITS:
        if not isinstance(value, str):
            raise ValueError(f"{value!r} must be text in quotes, such as {'90s' if hint is Duration else '2Gi'!r}")
        return hint.parse(value)
    if origin is Literal:
        if value not in arguments:
            raise ValueError(f"{value!r} is not one of {', '.join(repr(choice) for choice in arguments)}")
        return value
    if origin is tuple:
        if not isinstance(value, list):
            raise ValueError(f"{value!r} must be a list in brackets")
        return tuple(_entry(arguments[0], item) for item in value)
    if origin is dict:
        if not isinstance(value, dict):
            raise ValueError(f"{value!r} must be a table")
        return {key: convert(arguments[1], item) for key, item in value.items()}
    # bool is an int to Python, but not to the operator.
    if type(value) is not hint:
        raise ValueError(f"{value!r} must be {_NAMES[hint]}")
    return value


_NAMES = {str: "text in quotes", int: "a whole number", bool: "true or false"}


def _entry(hint: Any, item: Any) -> Any:
    if not is_dataclass(hint):
        return convert(hint, item)
    if not isinstance(item, dict):
        raise ValueError(f"{item!r} must be a table in braces")
    hints = get_type_hints(hint)
    unknown = sorted(item.keys() - hints.keys())
    if unknown:
        raise ValueError(f"unknown key {unknown[0]!r}; known here: {', '.join(sorted(hints))}")
    missing = [field.name for field in fields(hint) if field.default is MISSING and field.name not in item]
    if missing:
        raise ValueError(f"the key {missing[0]!r} is missing in {item!r}")
    return _class(hint)(**{key: convert(hints[key], value) for key, value in item.items()})


def build(model: type, values: Flat, missing: list[Path], prefix: Path = (), default: Any = None) -> Any:
    """Make the object from flat values; paths of required ones that nobody set are added to `missing`."""
    hints = get_type_hints(model)
    arguments: dict[str, Any] = {}
    for field in fields(model):
        path = (*prefix, field.name)
        preset = getattr(default, field.name) if default is not None else _default(field)
        if is_table(hints[field.name]):
            arguments[field.name] = build(_class(hints[field.name]), values, missing, path, preset)
        elif path in values:
            arguments[field.name] = values[path]
        else:
            if preset is None:
                missing.append(path)
            arguments[field.name] = preset
    return model(**arguments)


def _default(field: Field[Any]) -> Any:
    return None if field.default is MISSING else field.default


def _class(hint: Any) -> type:
    assert isinstance(hint, type)  # noqa: S101 - narrows for the type checker; model.py holds classes only
    return hint


def line_of(text: str, path: Path) -> int:
    """Find the line (from 1) where a key is set; where it is not found, the line of the closest table around it."""
    table: Path = ()
    best, depth = 0, 0
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        header = re.fullmatch(r"\[+\s*(.+?)\s*\]+\s*(?:#.*)?", stripped)
        if header:
            table = _keys(header[1])
            key: Path = table
        elif "=" in stripped and not stripped.startswith("#"):
            key = (*table, *_keys(stripped.split("=", 1)[0]))
        else:
            continue
        if key == path:
            return number
        if key == path[: len(key)] and len(key) >= depth:
            best, depth = number, len(key)
    return best


def _keys(dotted: str) -> Path:
    return tuple(part.strip().strip("\"'") for part in re.findall(r"\"[^\"]*\"|'[^']*'|[^.\s]+", dotted))
