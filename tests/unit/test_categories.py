"""The names of failures are a promise: all are documented, and none that was promised is gone."""

from __future__ import annotations

import re
from pathlib import Path

from executor.categories import CATEGORIES

PAGE = Path(__file__).parents[2] / "docs/en/explanation/when-things-break.md"


def test_the_page_lists_every_category_and_no_other() -> None:
    table = PAGE.read_text(encoding="utf-8").partition("## Names of failures")[2]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert sorted(re.findall(r"`(\w+)`", " ".join(rows))) == sorted(CATEGORIES)
