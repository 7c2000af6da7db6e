"""Values -> TOML text, for files that the driver writes for a person to go on with. Pure.

The standard library reads TOML and does not write it. What is written here is plain: keys, then the tables below them.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def write(table: Mapping[str, Any], comments: Mapping[tuple[str, ...], str] | None = None) -> str:
    """Write a table; empty tables and lists of tables are left out.

    Args:
        table: texts, whole numbers, booleans, lists of those, tables and lists of tables, in the order of writing.
        comments: path of a key or table -> what to say in the lines above it.
    """
    return "".join(_table(table, (), comments or {})).lstrip("\n")


def _table(table: Mapping[str, Any], path: tuple[str, ...], comments: Mapping[tuple[str, ...], str]) -> list[str]:
    own, below = [], []
    for key, value in table.items():
        here = (*path, key)
        said = "".join(f"# {line}\n" for line in comments.get(here, "").splitlines())
        if isinstance(value, dict):
            below += _below(f"[{_dotted(here)}]", value, here, comments, said)
        elif isinstance(value, (list, tuple)) and value and isinstance(value[0], dict):
            for entry in value:
                below += _below(f"[[{_dotted(here)}]]", entry, here, comments, said)
                said = ""
        else:
            own.append(f"{said}{_key(key)} = {_value(value)}\n")
    return own + below


def _below(
    heading: str,
    table: Mapping[str, Any],
    path: tuple[str, ...],
    comments: Mapping[tuple[str, ...], str],
    said: str,
) -> list[str]:
    inside = _table(table, path, comments)
    # A table of tables needs no heading of its own.
    if not said and heading[:2] != "[[" and (not inside or inside[0].startswith("\n")):
        return inside
    return [f"\n{said}{heading}\n", *inside]


def _dotted(path: tuple[str, ...]) -> str:
    return ".".join(map(_key, path))


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _text(key)


def value_text(value: Any) -> str:
    """Write one value in one line; tables as inline tables."""
    return _value(value)


def _value(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, dict):
        inside = ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, str):
        return _text(value)
    return json.dumps(value)


def _text(text: str) -> str:
    # JSON's escapes are TOML's too; DEL is the one character that JSON leaves and TOML forbids.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
