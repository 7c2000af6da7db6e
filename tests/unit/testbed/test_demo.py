"""The demo says so when something is not as it promised."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from testbed.coordinator_job import JobResult, Timings
from testbed.demo import STORIES, Outcome

HANDED_OUT = datetime(2026, 11, 23, 15, 32, 26, tzinfo=UTC)
TRACE = (
    b"2026-11-23T15:32:27.000000Z 00O section_start:1795447947:step_script\r\x1b[0K\n"
    b"2026-11-23T15:32:27.500000Z 01O $ make\n"
    b"2026-11-23T15:32:30.000000Z 00O section_end:1795447950:step_script\r\x1b[0K\n"
)
RESULT = JobResult(
    ident=1,
    state="success",
    exit_code=0,
    failure_reason="",
    trace=TRACE,
    trace_complete=True,
    artifacts=(),
    timings=Timings(HANDED_OUT - timedelta(seconds=1), HANDED_OUT, HANDED_OUT, HANDED_OUT),
)
COLD, CACHED, OTHER = STORIES
GOOD = Outcome(CACHED, RESULT, node="node1", hits=9, misses=0, digest="sha256:abc")


def test_times_come_from_the_log_itself() -> None:
    assert (GOOD.start_latency, GOOD.build_time) == (1.5, 3.0)


def test_a_log_without_script_has_no_times() -> None:
    empty = replace(GOOD, result=replace(RESULT, trace=b""))
    assert (empty.start_latency, empty.build_time) == (None, None)


def test_a_job_as_promised_has_no_problems() -> None:
    assert GOOD.problems(cacheable=9) == []
    assert replace(GOOD, story=COLD, hits=0, misses=2).problems(cacheable=9) == []


def test_a_second_build_that_is_not_all_cached_is_a_problem() -> None:
    (problem,) = replace(GOOD, hits=8, misses=1).problems(cacheable=9)
    assert "8 of 9" in problem


def test_a_first_build_with_hits_is_a_problem() -> None:
    assert len(replace(GOOD, story=COLD).problems(cacheable=9)) == 1


def test_a_build_that_never_asked_the_cache_is_a_problem() -> None:
    (problem,) = replace(GOOD, story=COLD, hits=0, misses=0).problems(cacheable=9)
    assert "without looking into the cache" in problem


def test_the_wrong_node_a_failure_and_a_missing_image_are_problems() -> None:
    failed = replace(RESULT, state="failed", exit_code=1, failure_reason="script_failure")
    bad = replace(GOOD, story=OTHER, result=failed, hits=0, misses=1, digest="")
    assert len(bad.problems(cacheable=9)) == 3
