"""The cache's story says why it was not used, believes no text of the pod, and is silent where all is well."""

from __future__ import annotations

from dataclasses import replace

import pytest

from executor.pod.control import CacheStory
from executor.stages.story import tell
from executor.stages.summary import summarize
from tests.unit.stages.test_summary import ENDED, LIMITS, USED

MIB = 1 << 20
STORY = CacheStory(
    hits=3,
    misses=1,
    lost=0,
    corrupt=0,
    read=34 * MIB,
    written=2 * MIB,
    dropped=0,
    full=0,
    requests=12,
    waited=1400,
    saved=45_300,
    reason=0,
)


def test_the_summary_says_what_was_read_and_written_and_saved_and_what_missed_first() -> None:
    found = summarize(USED, ENDED, LIMITS, seconds=59, cache=tell(STORY, "RUN make"))
    assert found is not None
    assert found.details[-1] == (
        "layer cache: 34 MiB read and 2 MiB written in 12 requests, 1.4 s of waiting for S3, about 45 s saved, "
        "first not found: RUN make"
    )
    assert found.warnings == ()
    assert found.figures["cache_read_bytes"] == 34 * MIB
    assert found.figures["cache_saved_ms"] == 45_300


def test_a_job_without_cache_hears_nothing_of_it() -> None:
    found = summarize(USED, ENDED, LIMITS, seconds=59, cache=tell(None, ""))
    assert found == summarize(USED, ENDED, LIMITS, seconds=59)


@pytest.mark.parametrize("reason", range(1, 8))
def test_a_cache_that_failed_is_one_plain_line(reason: int) -> None:
    (line,) = tell(replace(STORY, hits=0, reason=reason), "").warnings
    assert line.startswith("built without the layer cache: ")
    assert "its registry knows why" not in line


def test_a_bucket_that_can_be_read_and_not_written_is_told_apart() -> None:
    (line,) = tell(replace(STORY, reason=4), "").warnings
    assert line.startswith("nothing new was stored in the layer cache: the bucket takes no more.")


def test_layers_that_were_lost_damaged_or_too_large_are_told() -> None:
    lines = tell(replace(STORY, lost=1, corrupt=1, full=3), "").warnings
    assert [line.split()[0] for line in lines] == ["2", "3"]
    assert "cache.spool" in lines[1]


def test_an_instruction_is_cut_between_words_since_no_half_secret_can_be_masked() -> None:
    instruction = "RUN curl --header 'PRIVATE-TOKEN: " + "s" * 60
    assert tell(STORY, instruction[:80]).detail.endswith("first not found: RUN curl --header 'PRIVATE-TOKEN: …")
    assert tell(STORY, "s" * 80).detail.endswith("first not found:  …")


def test_what_the_pod_says_is_bounded_and_gives_a_terminal_no_orders() -> None:
    found = tell(replace(STORY, read=10**30, reason=10**9), "RUN \x1b[2J" + "x" * 500)
    assert found.figures["cache_read_bytes"] == 10**15
    assert "\x1b" not in found.detail
    assert len(found.detail) < 300
    assert "its registry knows why" in found.warnings[0]
