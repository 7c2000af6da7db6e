"""The Russian documentation: which English text each page was translated from, and pages that are put together.

A page that a person translated names the digest of the English one in its first line. Pages that are made from the
program are translated piece by piece: docs/ru/strings.json has the Russian for each paragraph and each cell of a table,
so that a new setting needs one new line there and nothing else.

`python -m testbed.translation` writes the pages that are put together and says what has no Russian yet;
`python -m testbed.translation PAGE…` notes that these pages are translated as the English ones stand now.
"""

from __future__ import annotations

import json
import re
import sys
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

ROOT = Path(__file__).resolve().parents[2]
ENGLISH, RUSSIAN = ROOT / "docs/en", ROOT / "docs/ru"
STRINGS = RUSSIAN / "strings.json"
MADE = tuple(
    f"reference/{name}.md"
    for name in (
        "cli",
        "exit-codes",
        "kubernetes-executor-settings",
        "metrics",
        "operator-log",
        "performance",
        "settings",
    )
)
"""Pages that are made from the program, or mostly tables of figures."""
_HEAD = re.compile(r"<!-- en: sha256 ([0-9a-f]{16}) -->\n")
_CELL = re.compile(r"(?<!\\)\|")
_RANGE = re.compile(r"(\d+: [\d.]+) to ([\d.]+)")
_CODE = re.compile(r"`[^`]*`|\]\([^)]*\)|\\[a-z]")


def digest(english: str) -> str:
    """Name the state of an English page."""
    return sha256(english.encode()).hexdigest()[:16]


def digest_of(russian: str) -> str:
    """Return which state of the English page a translation is of; empty where it does not say."""
    match = _HEAD.match(russian)
    return match[1] if match else ""


def stamp(page: str) -> None:
    """Note in a Russian page that it says what the English one says now."""
    path = RUSSIAN / page
    text = _HEAD.sub("", path.read_text(encoding="utf-8"), count=1)
    english = (ENGLISH / page).read_text(encoding="utf-8")
    path.write_text(f"<!-- en: sha256 {digest(english)} -->\n{text}", encoding="utf-8")


def strings() -> dict[str, str]:
    """Return the Russian of each piece of the pages that are made."""
    found: dict[str, str] = json.loads(STRINGS.read_text(encoding="utf-8"))
    return found


def put_together(english: str, known: Mapping[str, str]) -> tuple[str, list[str]]:
    """Return a Russian page made of known pieces, and the pieces that have no Russian."""
    missing: list[str] = []

    def russian(piece: str) -> str:
        if found := _RANGE.fullmatch(piece):
            return f"{found[1]}-{found[2]}"
        if not re.search(r"[A-Za-z]{2}", _CODE.sub("", piece)):
            return piece
        if piece not in known:
            missing.append(piece)
        return known.get(piece, piece)

    return "\n".join(_blocks(english.rstrip("\n").split("\n"), russian)) + "\n", missing


def _blocks(lines: list[str], russian: Callable[[str], str]) -> Iterator[str]:
    at = 0
    while at < len(lines):
        line = lines[at]
        if line.startswith("```"):
            end = lines.index("```", at + 1)
            yield from lines[at : end + 1]
            at = end + 1
        elif line.startswith("|"):
            cells = [cell.strip() for cell in _CELL.split(line)[1:-1]]
            yield f"| {' | '.join(cell if set(cell) == {'-'} else russian(cell) for cell in cells)} |"
            at += 1
        elif line.startswith("#"):
            level, _, text = line.partition(" ")
            yield f"{level} {russian(text)}"
            at += 1
        elif not line:
            yield ""
            at += 1
        else:
            end = next((one for one in range(at + 1, len(lines)) if _begins_another(lines[one])), len(lines))
            yield russian(" ".join(lines[at:end]))
            at = end


def _begins_another(line: str) -> bool:
    return not line or line[0] in "#|" or line.startswith("```")


def main() -> None:
    """Do what the module says."""
    if sys.argv[1:]:
        for page in sys.argv[1:]:
            stamp(page)
        return
    known, missing = strings(), []
    for page in MADE:
        text, more = put_together((ENGLISH / page).read_text(encoding="utf-8"), known)
        missing += more
        (RUSSIAN / page).parent.mkdir(parents=True, exist_ok=True)
        (RUSSIAN / page).write_text(text, encoding="utf-8")
    if missing:
        print(json.dumps(dict.fromkeys(missing, ""), indent=0, ensure_ascii=False))
        sys.exit(1)


if __name__ == "__main__":
    main()
