"""Where in a TOML text a key or an entry of a list stands.

Python's own reader does not tell. This one only has to find places in texts that tomllib has accepted, so it checks
nothing itself. It runs when there is something to say, never for a job that goes well.
"""

from __future__ import annotations

import re

_WORD = re.compile(
    r'"""(?:\\.|[^\\])*?"""|\'\'\'.*?\'\'\'|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|#[^\n]*|[\[\]{}=,.\n]|[^\s\[\]{}=,.#"\']+',
    re.DOTALL,
)


def line_of(text: str, path: tuple[str, ...]) -> int:
    """Find the line (from 1) where a path is set; entries of lists are counted "0", "1" and so on.

    Where it is not found, the line of the closest table around it; 0 where there is none.
    """
    found = _Scanner(text).places
    for length in range(len(path), 0, -1):
        if path[:length] in found:
            return found[path[:length]]
    return 0


class _Scanner:
    """Reads a whole text once; `places` is path -> line."""

    def __init__(self, text: str) -> None:
        self.places: dict[tuple[str, ...], int] = {}
        self._words: list[tuple[str, int]] = []
        line, end = 1, 0
        for match in _WORD.finditer(text):
            line += text.count("\n", end, match.start())
            end = match.start()
            if not match[0].startswith("#"):
                self._words.append((match[0], line))
        self._words.append(("\n", line))
        self._at = 0
        self._entries: dict[tuple[str, ...], int] = {}
        self._document()

    def _document(self) -> None:
        table: tuple[str, ...] = ()
        while self._at < len(self._words):
            word, line = self._words[self._at]
            if word == "\n":
                self._at += 1
            elif word == "[":
                table = self._header(line)
            else:
                self._pair(table)

    def _header(self, line: int) -> tuple[str, ...]:
        self._at += 1
        several = self._words[self._at][0] == "["
        self._at += several
        table: tuple[str, ...] = ()
        keys = self._keys("]")
        self._at += several
        for number, key in enumerate(keys, 1):
            table = (*table, key)
            if several and number == len(keys):
                self._entries[table] = self._entries.get(table, -1) + 1
                self.places.setdefault(table, line)
            if table in self._entries:
                table = (*table, str(self._entries[table]))
        self.places[table] = line
        return table

    def _pair(self, table: tuple[str, ...]) -> None:
        line = self._words[self._at][1]
        path = (*table, *self._keys("="))
        for length in range(len(table) + 1, len(path) + 1):
            self.places.setdefault(path[:length], line)
        self._value(path)

    def _keys(self, end: str) -> list[str]:
        keys = []
        while (word := self._words[self._at][0]) != end:
            if word != ".":
                keys.append(word.strip("\"'"))
            self._at += 1
        self._at += 1
        return keys

    def _value(self, path: tuple[str, ...]) -> None:
        self._skip_newlines()
        word = self._words[self._at][0]
        if word == "[":
            self._list(path)
        elif word == "{":
            self._inline_table(path)
        else:
            while self._words[self._at][0] not in {",", "]", "}", "\n"}:
                self._at += 1

    def _list(self, path: tuple[str, ...]) -> None:
        self._at += 1
        number = 0
        while True:
            entry = (*path, str(number))
            self._skip_newlines()
            word, line = self._words[self._at]
            if word == "]":
                break
            if word == ",":
                number += 1
                self._at += 1
                continue
            self.places[entry] = line
            self._value(entry)
        self._at += 1

    def _inline_table(self, path: tuple[str, ...]) -> None:
        self._at += 1
        while (word := self._words[self._at][0]) != "}":
            if word in {",", "\n"}:
                self._at += 1
            else:
                self._pair(path)
        self._at += 1

    def _skip_newlines(self) -> None:
        while self._words[self._at][0] == "\n":
            self._at += 1
