"""Change single values in a settings file and leave every other byte as a person wrote it. Pure."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any

from executor.errors import SettingsInvalid
from executor.settings.lines import line_of
from executor.settings.writer import value_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from executor.settings.reader import Path


def with_values(text: str, values: Mapping[Path, str]) -> str:
    """Return the text with these texts at these keys, added where they are missing.

    Raises:
        SettingsInvalid: the file is written in a way that this cannot change; the key is named.
    """
    for path, value in values.items():
        changed = _with_value(text, path, value)
        if _table(changed) != _set(_table(text), path, value):
            raise SettingsInvalid(
                f"{'.'.join(path)} cannot be changed in the way this file is written.",
                remedy=f"Change it by hand: {path[-1]} = {value_text(value)}",
            )
        text = changed
    return text


def _with_value(text: str, path: Path, value: str) -> str:
    lines = text.splitlines(keepends=True)
    if _has(_table(text), path):
        at = line_of(text, path) - 1
        pair = re.compile(rf"""(\b{re.escape(path[-1])}["']?\s*=\s*)("[^"\n]*"|'[^'\n]*')""")
        lines[at] = pair.sub(lambda found: found[1] + value_text(value), lines[at], count=1)
        return "".join(lines)
    own = f"{path[-1]} = {value_text(value)}\n"
    dotted = r"\s*\.\s*".join(map(re.escape, path[:-1]))
    header = re.compile(rf"\s*\[\s*{dotted}\s*\]\s*(#.*)?")
    for at, line in enumerate(lines):
        if header.fullmatch(line.rstrip("\n")):
            last = _last_of_table(lines, at)
            lines[last] = lines[last] if lines[last].endswith("\n") else f"{lines[last]}\n"
            return "".join((*lines[: last + 1], own, *lines[last + 1 :]))
    end = "" if text.endswith("\n") else "\n"
    return f"{text}{end}\n[{'.'.join(path[:-1])}]\n{own}"


def _last_of_table(lines: list[str], header: int) -> int:
    """Return the index of the last line of a table that sets something; comments after it may be the next one's."""
    last = header
    for at in range(header + 1, len(lines)):
        bare = lines[at].strip()
        if bare.startswith("["):
            break
        if bare and not bare.startswith("#"):
            last = at
    return last


def _table(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return {}


def _has(table: Mapping[str, Any], path: Path) -> bool:
    value: Any = table
    for key in path:
        if not isinstance(value, dict) or key not in value:
            return False
        value = value[key]
    return True


def _set(table: dict[str, Any], path: Path, value: str) -> dict[str, Any]:
    if len(path) == 1:
        return table | {path[0]: value}
    below = table.get(path[0], {})
    return table | {path[0]: _set(below if isinstance(below, dict) else {}, path[1:], value)}
