"""Section markers have the one form that GitLab folds."""

from __future__ import annotations

import re

import pytest

from executor.runner import sections

# GitLab's lib/gitlab/regex.rb, build_trace_section_regex, with the clearing that follows.
GITLAB = re.compile(
    r"section_((?:start)|(?:end)):(\d+):([a-zA-Z0-9_.-]+)(\[(?:[a-zA-Z0-9_]+=[^\[\],]+,?)*\])?\r\x1b\[0K"
)


@pytest.mark.parametrize("kind", ["pod", "used"])
@pytest.mark.parametrize("one", ["kaniko-job-7-bcdfgh", "step_release-bcdfghjk", "ä漢 [x=y]:\r\x1b", ""])
def test_gitlab_reads_every_marker_back(kind: str, one: str) -> None:
    name = sections.name(kind, one)
    for marker, word, options in (
        (sections.start(name, now=1_800_000_000.9, collapsed=False), "start", None),
        (sections.start(name, now=1_800_000_000.9, collapsed=True), "start", "[collapsed=true]"),
        (sections.end(name, now=1_800_000_000.9), "end", None),
    ):
        found = GITLAB.fullmatch(marker)
        assert found is not None, marker
        assert found.groups() == (word, "1800000000", name, options)


def test_names_of_two_pods_and_of_two_kinds_differ() -> None:
    assert len({sections.name("pod", "a"), sections.name("pod", "b"), sections.name("used", "a")}) == 3
