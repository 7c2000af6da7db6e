"""The page loads nothing, runs nothing, and shows what the log says as text."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from executor.figures.page import page
from executor.figures.plot import Series, bars, lines, ranking
from executor.figures.reading import Reading
from executor.figures.totals import by_tenant, totals
from tests.support.operator_log import BEGIN, job
from tests.unit.figures.test_attempts import read

EVIL = '<script>alert("x")</script>&\'"'


class Parsed(HTMLParser):
    """Names of the elements that are open and were seen, and all attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes += attrs
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def shown(*jobs: list[dict[str, object]]) -> Parsed:
    """Make the page of some jobs."""
    groups = by_tenant(read(*jobs))
    found = [totals(name, group) for name, group in groups.items()]
    return Parsed(page(found, groups, Reading(files=["x"], lines=9, broken=2)))


def test_it_is_whole_and_has_every_plot_of_every_tenant() -> None:
    many = [
        job(n, tenant=f"t{n % 2}", at=BEGIN + n * 9000, code=n % 3 == 0, memory_bytes=n, programs_bytes=n, disk_bytes=n)
        for n in range(60)
    ]
    parsed = shown(*many)
    assert parsed.open == []
    assert (parsed.seen.count("section"), parsed.seen.count("svg")) == (2, 12)
    assert "t0" in parsed.words
    assert "broken and left out: 2" in parsed.words


def test_nothing_is_loaded_and_nothing_runs() -> None:
    parsed = shown(job(1))
    assert not {"script", "link", "img", "iframe", "object", "a", "image", "use"} & set(parsed.seen)
    assert not [name for name, _ in parsed.attributes if name.startswith("on") or name in {"href", "src", "style"}]


def test_what_the_log_says_is_text() -> None:
    parsed = shown(job(1, tenant=EVIL, failure={"category": EVIL}))
    assert "script" not in parsed.seen
    assert EVIL in parsed.words


def test_without_jobs_there_is_a_page_all_the_same() -> None:
    assert "no job in that time" in shown().words


@pytest.mark.parametrize("values", [[0], [0.3], [1], [3, 7], [1e9, 5], [None, 2], []])
def test_plots_take_any_values_and_stay_inside_their_frame(values: list[float | None]) -> None:
    labels = [str(number) for number in range(len(values))]
    series = [Series(name="a", colour="c-one", values=values), Series(name="b", colour="c-two", values=values)]
    for drawn in (lines("t", labels, series, str), bars("t", labels, series), ranking("t", [(EVIL, 1.0)])):
        parsed = Parsed(drawn)
        heights = [float(value or 0) for name, value in parsed.attributes if name in {"y", "cy", "height"}]
        assert all(0 <= height <= 240 for height in heights)
        assert not re.search(r"\bnan\b|\binf\b", drawn)
