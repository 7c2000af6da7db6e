"""TOML text -> checked values, with every mistake told by file, line and nearest name.

Driven by the dataclasses of `model.py`: a table's keys are a class's fields. A file is first read into a flat
mapping `("cache", "bucket") -> value`, so that layers are laid over each other by one `|`.
"""

from __future__ import annotations

import difflib
import functools
import re
import tomllib
import types
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from executor.settings.lines import line_of
from executor.settings.units import Bytes, Cpu, Duration, Pattern
from executor.values import MISSING, Field, dataclass, fields, is_dataclass

Path = tuple[str, ...]
"""Keys from the outside in; entries of a list are counted "0", "1" and so on."""
Flat = dict[Path, Any]

_EXAMPLES = {Bytes: "2Gi", Cpu: "500m", Duration: "90s", Pattern: "example\\.com/.*"}
UNITS = tuple(_EXAMPLES)
"""Classes that are one value and no table."""
_JSON = (str, int, float, bool)


@dataclass(frozen=True)
class Problem:
    """One mistake in one file; `line` 0 means the file as a whole."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}: {self.text}" if self.line else f"{self.file}: {self.text}"

    def __lt__(self, other: Problem) -> bool:
        """Stand before another one, in the order of reading."""
        return (self.file, self.line, self.text) < (other.file, other.line, other.text)


class TomlFile:
    """A parsed file that still knows its lines and collects what is wrong with it."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text
        self.problems: list[Problem] = []
        self.broken: set[str] = set()
        """Tables with a mistake in them."""
        self.parsed = True
        try:
            self.table: dict[str, Any] = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            self.table = {}
            self.parsed = False
            found = re.search(r"line (\d+)", str(error))
            # What is never closed is noticed at the end of the document only.
            line = int(found[1]) if found else len(text.splitlines())
            self.problems.append(Problem(name, line, f"this is no TOML: {error}"))

    def complain(self, path: Path, text: str) -> None:
        """Note a mistake at a key."""
        self.problems.append(Problem(self.name, self.line(path), text))
        self.broken.add(path[1] if path[0] == "defaults" and len(path) > 1 else path[0])

    def line(self, path: Path) -> int:
        """Return the line of a key, or the closest one around it."""
        return line_of(self.text, path)

    def flat(self, model: type, table: dict[str, Any], prefix: Path = (), inside: Path = ()) -> Flat:
        """Read a table as `model`; `prefix` is where the values belong, `inside` where the table stands in the file."""
        # The name of a tenant is taken from the file's own.
        known = {key: hint for key, hint in hints_of(model).items() if key != "name" or prefix}
        values: Flat = {}
        for key, value in table.items():
            here = (*inside, *prefix, key)
            if key not in known:
                self.complain(here, _unknown(here, known))
            elif is_table(known[key]):
                if isinstance(value, dict):
                    values |= self.flat(_class(known[key]), value, (*prefix, key), inside)
                else:
                    self.complain(here, f"{dotted(here)} is a table: write [{dotted(here)}]")
            else:
                before = len(self.problems)
                read = self._read(known[key], value, here)
                if len(self.problems) == before:
                    values[*prefix, key] = read
        return values

    def _read(self, hint: Any, value: Any, here: Path) -> Any:
        """Turn a TOML value into the type of a field; complains of what is wrong and then returns anything."""
        inner = optional(hint)
        origin, arguments = get_origin(inner), get_args(inner)
        if is_table(inner):
            return self._entry(_class(inner), value, here)
        if origin is tuple and isinstance(value, list):
            return tuple(self._read(arguments[0], item, (*here, str(n))) for n, item in enumerate(value))
        if origin is dict and isinstance(value, dict):
            for key in value:
                self._scalar(arguments[0], key, (*here, key), shown=here)
            return {key: self._read(arguments[1], item, (*here, key)) for key, item in value.items()}
        return self._scalar(inner, value, here, shown=here)

    def _scalar(self, hint: Any, value: Any, here: Path, *, shown: Path) -> Any:
        try:
            return convert(hint, value)
        except ValueError as error:
            self.complain(here, f"{dotted(shown)}: {error}")
            return None

    def _entry(self, model: type, value: Any, here: Path) -> Any:
        if not isinstance(value, dict):
            self.complain(here, f"{dotted(here)}: {value!r} must be a table in braces")
            return None
        known = hints_of(model)
        before = len(self.problems)
        unknown = sorted(value.keys() - known.keys())
        for key in unknown:
            self.complain((*here, key), _unknown((*here, key), known))
        # A misspelt key is not also a missing one.
        required = () if unknown else (field.name for field in fields(model) if _default(field) is MISSING)
        for key in required:
            if key not in value:
                self.complain(here, f"{dotted(here)}: the key {key!r} is missing")
        arguments = {key: self._read(known[key], value[key], (*here, key)) for key in known if key in value}
        return model(**arguments) if len(self.problems) == before else None


def _unknown(here: Path, known: dict[str, Any]) -> str:
    near = difflib.get_close_matches(here[-1], known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(sorted(known))}"
    return f"unknown key {dotted(here)!r}; {hint}"


def dotted(path: Path) -> str:
    """Write a path as one writes a key, with entries of lists as `[0]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if part.isdecimal() and text else f".{part}" if text else part
    return text


@functools.cache
def hints_of(model: type) -> dict[str, Any]:
    """Return the types of a table's keys, forms included."""
    return get_type_hints(model, include_extras=True)


def optional(hint: Any) -> Any:
    """Return the type without `| None`."""
    if get_origin(hint) is types.UnionType or str(get_origin(hint)) == "typing.Union":
        (inner,) = [one for one in get_args(hint) if one is not type(None)]
        return inner
    return hint


def is_table(hint: Any) -> bool:
    """Tell a table of settings from a single value; values with a unit are classes too."""
    return is_dataclass(hint) and hint not in UNITS


def convert(hint: Any, value: Any) -> Any:
    """Turn a single TOML value into the type of a field.

    Raises:
        ValueError: it is another type or no valid value; says what would be.
    """
    if get_origin(hint) is Annotated:
        converted = convert(get_args(hint)[0], value)
        for form in get_args(hint)[1:]:
            form.check(converted)
        return converted
    if hint is Any:
        return _json(value)
    if hint in UNITS:
        if not isinstance(value, str):
            raise ValueError(f"{value!r} must be text in quotes, such as {_EXAMPLES[hint]!r}")
        return hint.parse(value)
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            raise ValueError(f"{value!r} is not one of {', '.join(repr(choice) for choice in get_args(hint))}")
        return value
    # bool is an int to Python, but not to the operator.
    if type(value) is not hint:
        raise ValueError(f"{value!r} must be {_NAMES[get_origin(hint) or hint]}")
    return value


_NAMES = {
    str: "text in quotes",
    int: "a whole number",
    bool: "true or false",
    tuple: "a list in brackets",
    dict: "a table",
}


def _json(value: Any) -> Any:
    """Check that a value of a free table can be part of a manifest."""
    if isinstance(value, dict):
        return {key: _json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_json(item) for item in value]
    if not isinstance(value, _JSON):
        raise ValueError(f"{value!r} must be text in quotes: Kubernetes has no such type")
    return value


def build(model: type, values: Flat, missing: list[Path], prefix: Path = (), default: Any = None) -> Any:
    """Make the object from flat values; paths of required ones that nobody set are added to `missing`."""
    hints = hints_of(model)
    arguments: dict[str, Any] = {}
    for field in fields(model):
        path = (*prefix, field.name)
        preset = getattr(default, field.name) if default is not None else _default(field)
        if is_table(hints[field.name]):
            inner = None if preset is MISSING else preset
            arguments[field.name] = build(_class(hints[field.name]), values, missing, path, inner)
        elif path in values:
            arguments[field.name] = values[path]
        elif preset is MISSING:
            missing.append(path)
            arguments[field.name] = None
        else:
            arguments[field.name] = preset
    return model(**arguments)


def _default(field: Field[Any]) -> Any:
    return field.default_factory() if field.default_factory is not MISSING else field.default


def _class(hint: Any) -> type:
    assert isinstance(hint, type)  # noqa: S101 - narrows for the type checker; model.py holds classes only
    return hint
