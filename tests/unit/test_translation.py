"""The Russian documentation says what the English one says now: no page is missing, none is of an older text."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.translation import ENGLISH, MADE, RUSSIAN, digest, digest_of, put_together, strings

ROOT = Path(__file__).parents[2]
PAGES = sorted(path.relative_to(ENGLISH).as_posix() for path in ENGLISH.rglob("*.md"))
BY_HAND = [page for page in PAGES if page not in MADE]
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def test_both_languages_have_the_same_pages_and_pictures() -> None:
    def files(folder: Path) -> list[str]:
        return sorted(one.relative_to(folder).as_posix() for one in folder.rglob("*") if one.suffix in {".md", ".svg"})

    assert files(RUSSIAN) == files(ENGLISH)
    plot = "reference/performance.svg"
    assert (RUSSIAN / plot).read_bytes() == (ENGLISH / plot).read_bytes(), f"copy docs/en/{plot} to docs/ru/{plot}"


@pytest.mark.parametrize("page", BY_HAND)
def test_a_page_is_translated_from_the_english_text_that_stands_there_now(page: str) -> None:
    english = (ENGLISH / page).read_text(encoding="utf-8")
    how = f"bring docs/ru/{page} into step, then: PYTHONPATH=scripts python -m testbed.translation {page}"
    assert digest_of((RUSSIAN / page).read_text(encoding="utf-8")) == digest(english), how


@pytest.mark.parametrize("page", BY_HAND)
def test_a_translation_has_the_parts_of_the_english_page(page: str) -> None:
    def parts(folder: Path) -> dict[str, int]:
        text = (folder / page).read_text(encoding="utf-8")
        bare = FENCED.sub("", text)
        return {
            "headings": len(re.findall(r"^#+ ", bare, re.MULTILINE)),
            "blocks of code": len(FENCED.findall(text)),
            "lines of tables": len(re.findall(r"^\|", bare, re.MULTILINE)),
            "pictures": len(re.findall(r"!\[", bare)),
            "items": len(re.findall(r"^[-*] ", bare, re.MULTILINE)),
        }

    assert parts(RUSSIAN) == parts(ENGLISH)


@pytest.mark.parametrize("page", MADE)
def test_a_page_made_from_the_program_is_whole_and_fresh_in_russian(page: str) -> None:
    text, missing = put_together((ENGLISH / page).read_text(encoding="utf-8"), strings())
    assert missing == [], "docs/ru/strings.json lacks the Russian of these"
    how = "make it fresh: PYTHONPATH=scripts python -m testbed.translation"
    assert (RUSSIAN / page).read_text(encoding="utf-8") == text, how


def test_every_string_is_used() -> None:
    unused = dict(strings())
    for page in MADE:
        for piece in list(unused):
            if piece in re.sub(r"\s+", " ", (ENGLISH / page).read_text(encoding="utf-8")):
                del unused[piece]
    assert unused == {}


def test_the_russian_site_is_built_without_a_warning(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).parent / "mkdocs"), "build", "--strict", "--config-file", "mkdocs.ru.yml"]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        [*command, "--site-dir", str(tmp_path)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


def test_a_page_is_put_together_from_its_pieces() -> None:
    code = "```sh\nas it is\n```\n"
    english = f"# One\n\nSome words\nover two lines.\n\n{code}| a bc | `code` |\n| --- | --- |\n| 5 | two words |\n"
    known = {"One": "UN", "Some words over two lines.": "MOTS.", "a bc": "A B", "two words": "DEUX"}
    text, missing = put_together(english, known)
    assert missing == []
    assert text == f"# UN\n\nMOTS.\n\n{code}| A B | `code` |\n| --- | --- |\n| 5 | DEUX |\n"
    assert put_together("New text.\n", {}) == ("New text.\n", ["New text."])
