"""Which lines make which job, and how it ended."""

from __future__ import annotations

import random
from datetime import datetime
from typing import Any

import pytest

from executor.figures.attempts import Attempt, attempts
from tests.support.operator_log import BEGIN, GIB, LIMITS, job, line


def read(*made: list[dict[str, Any]]) -> list[Attempt]:
    """Read lines as the reader gives them."""
    return attempts(
        one | {"time": datetime.fromisoformat(one["timestamp"]).timestamp()} for lines in made for one in lines
    )


def test_a_job_that_went_well_has_all_its_figures() -> None:
    (one,) = read(job(7, memory_bytes=5, cache_hits=2, cache_misses=1, cpu_ms=9))
    assert (one.tenant, one.job, one.project, one.node) == ("team-blue", 7, "group/app", "node-1")
    assert (one.result, one.start_seconds, one.build_seconds) == ("success", 2.0, 60.0)
    assert (one.began, one.ended) == (BEGIN, BEGIN + 62)
    assert one.figures == LIMITS | {"memory_bytes": 5, "cache_hits": 2, "cache_misses": 1, "cpu_ms": 9}


def test_several_scripts_add_up_and_the_highest_peak_counts() -> None:
    who: dict[str, Any] = {"tenant": "t", "job": 1, "pod": "p"}
    used = [line(BEGIN + n, "run", "resources used", **who, seconds=2, memory_bytes=n, cpu_ms=10) for n in (5, 9, 3)]
    (one,) = read(used)
    assert (one.build_seconds, one.figures["memory_bytes"], one.figures["cpu_ms"]) == (6.0, 9, 30)


def test_the_order_of_the_lines_does_not_matter() -> None:
    made = job(1, code=1, memory_bytes=5) + job(2, failure={"kind": "PodNotStarted"}) + job(3)
    expected = {one.pod: one for one in read(made)}
    random.Random(3).shuffle(made)
    assert {one.pod: one for one in read(made)} == expected


def test_a_job_that_claims_a_warm_pod_is_one_attempt_whatever_the_order_of_its_lines() -> None:
    made = job(1, waited=600, cache_hits=2)
    for lines in (made, made[::-1]):
        (one,) = read(lines)
        assert (one.pod, one.project, one.result, one.began) == ("kaniko-warm-1", "group/app", "success", BEGIN)
        assert one.pod_began == BEGIN + 0.2
        assert one.figures == LIMITS | {
            "cache_hits": 2,
            "waited_seconds": 600,
            "cpu_request_millicores": 1500,
            "memory_request_bytes": 2 * GIB,
        }


def test_a_job_whose_image_was_pulled_with_other_policies_is_one_attempt() -> None:
    made = job(1)
    moved = [
        line(BEGIN + n, "prepare", "image pulled with the next policy", tenant="t", job=1, pod=pod, instead_of=former)
        for n, (former, pod) in enumerate([(made[0]["pod"], "second"), ("second", "third")])
    ]
    later = [one | {"pod": "third"} for one in made[1:]]
    (one,) = read(made[:1], moved, later)
    assert (one.pod, one.project, one.result, one.began) == ("third", "group/app", "success", BEGIN)


def test_two_attempts_of_one_job_are_two() -> None:
    again = [one | {"pod": "kaniko-job-1-bbbbbb"} for one in job(1, code=1)]
    assert [one.result for one in read(job(1), again)] == ["success", "script_failed"]


@pytest.mark.parametrize(
    ("made", "result"),
    [
        (job(1, code=1), "script_failed"),
        (job(1, code=137, oom_kills=1), "out_of_memory"),
        (
            [*job(1, code=1)[:5], job(1, code=1)[5] | {"category": "kaniko_dockerfile"}, *job(1)[-1:]],
            "kaniko_dockerfile",
        ),
        (job(1, oom_kills=1), "success"),
        (job(1, failure={"kind": "PodNotStarted"}), "pod_not_started"),
        (job(1, failure={"kind": "PodNotStarted", "category": "image"}), "image"),
        (job(1)[:-1], "unfinished"),
    ],
)
def test_how_a_job_ended(made: list[dict[str, Any]], result: str) -> None:
    assert [one.result for one in read(made)] == [result]


WHO: dict[str, Any] = {"tenant": "t", "job": 1, "pod": "p"}
END = line(BEGIN + 9, "cleanup", "pod deleted", **WHO)


def ended(sub_stage: str, code: int) -> dict[str, Any]:
    """Make the line of a script that ended."""
    return line(BEGIN, "run", "script ended", **WHO, sub_stage=sub_stage, code=code)


@pytest.mark.parametrize(
    ("lines", "result"),
    [
        ([ended("get_sources", 1), ended("get_sources", 0), END], "success"),
        ([ended("get_sources", 1), END], "get_sources"),
        ([ended("after_script", 1), ended("archive_cache", 1), END], "success"),
        ([ended("upload_artifacts_on_success", 1), END], "upload_artifacts_on_success"),
        ([ended("step_release", 3), END], "script_failed"),
        ([line(BEGIN, "run", "cancelled", **WHO), ended("after_script", 0), END], "cancelled"),
        ([ended("build_script", 0), END, line(BEGIN, "cleanup", "cancelled", **WHO)], "success"),
        ([END, line(BEGIN, "cleanup", "stage failed", "error", **WHO, kind="X")], "success"),
        ([line(BEGIN, "run", "the runner is gone; its job's pod was deleted", "warning", **WHO)], "runner_gone"),
        ([line(BEGIN, "run", "stage failed unexpectedly", "error", **WHO), END], "internal"),
    ],
)
def test_which_scripts_and_lines_decide(lines: list[dict[str, Any]], result: str) -> None:
    assert [one.result for one in read(lines)] == [result]


def test_a_job_that_failed_before_it_had_a_pod_counts_too() -> None:
    lines = [
        line(BEGIN, "config", "stage failed", "error", tenant="t", kind="JobRefused"),
        line(BEGIN + 1, "config", "stage failed", "error", tenant="t", kind="JobRefused"),
        line(BEGIN + 2, "run", "stage failed", "error", kind="ContractBroken"),
    ]
    assert [(one.tenant, one.result, one.began) for one in read(lines)] == [
        ("t", "job_refused", BEGIN),
        ("t", "job_refused", BEGIN + 1),
    ]


def test_values_of_a_wrong_kind_are_ignored() -> None:
    nasty: dict[str, Any] = {
        "seconds": "1",
        "memory_bytes": -1,
        "cpu_ms": 1e400,
        "cache_hits": True,
        "disk_bytes": None,
    }
    (one,) = read([line(BEGIN, "run", "resources used", **WHO, **nasty), ended("build_script", 0) | {"code": "0"}])
    assert (one.build_seconds, one.figures, one.codes) == (0, {}, {})
