"""Pages as a person sees them, in a real browser: what `usage --html` writes, and the documentation in both languages.

The pictures are kept in build/pictures for whoever wants to look.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from testbed import browser, tenants
from tests.support.operator_log import a_month

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "build/pictures"
# What a page needs at the least, so that it is more than text on white.
COLOURS = 30


@pytest.fixture(scope="module", autouse=True)
def _browser() -> None:
    browser.install()
    PICTURES.mkdir(parents=True, exist_ok=True)


def test_the_page_of_usage_shows_every_part(tmp_path: Path) -> None:
    page = tmp_path / "usage.html"
    log = a_month(tmp_path / "driver.jsonl")
    command = [str(tenants.COMMAND), "usage", "--log", str(log), "--html", str(page)]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    shown = browser.built(page)
    assert (shown.count("<svg"), shown.count("<section>")) == (12, 2)
    # Bars and points have sizes, and nothing has run out of its plot.
    assert len(re.findall(r'<rect class="c-good"[^>]* height="\d', shown)) > 30
    assert len(re.findall(r'<circle class="c-one"', shown)) > 30
    assert not re.search(r'(?:height|width)="-', shown)
    colours = browser.picture(page, PICTURES / "usage.png", width=1200, height=900)
    assert len(colours) > COLOURS
    # The green of jobs that went well and the red of others, as the style sheet has them.
    assert {bytes.fromhex("2f9e63"), bytes.fromhex("d1495b")} <= colours


@pytest.mark.parametrize(
    ("config", "page", "words"),
    [
        ("mkdocs.yml", "explanation/architecture.html", ("The four stages", "Explanation")),
        ("mkdocs.ru.yml", "explanation/architecture.html", ("Четыре стадии", "Объяснения")),
    ],
    ids=["english", "russian"],
)
def test_the_documentation_shows_its_navigation_and_pictures(
    tmp_path: Path, config: str, page: str, words: tuple[str, ...]
) -> None:
    command = [str(Path(sys.executable).parent / "mkdocs"), "build", "--quiet", "--config-file", config]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    subprocess.run(
        [*command, "--site-dir", str(tmp_path)], cwd=ROOT, env=environment, check=True, capture_output=True, timeout=300
    )
    shown = browser.built(tmp_path / page)
    assert all(word in shown for word in words)
    assert 'src="architecture.svg"' in shown
    # Nothing is asked of the internet.
    assert not re.search(r'(?:src|href)="https?://(?!docs\.gitlab\.com|docs\.astral\.sh|github\.com|squidfunk)', shown)
    colours = browser.picture(tmp_path / page, PICTURES / f"docs-{config}.png")
    # The blue of the driver's own box in the diagram.
    assert bytes.fromhex("e4ecff") in colours
