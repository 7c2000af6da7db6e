"""Lines of an attempt -> spans: what is inside what, how long, and how it ended."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from executor.figures.spans import Span, link_of, of_job, result_of
from tests.support.operator_log import BEGIN, job, line

if TYPE_CHECKING:
    from collections.abc import Iterator

WHO: dict[str, Any] = {"tenant": "team-blue", "job": 7, "pod": "kaniko-job-7-aaaaaa"}
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def read(*made: dict[str, Any]) -> Span:
    """Make spans of lines as the reader gives them."""
    return of_job([one | {"time": datetime.fromisoformat(one["timestamp"]).timestamp()} for one in made])


def a_job(**configured: Any) -> list[dict[str, Any]]:
    """Make the lines of a job with all that the stages say, in processes of their own."""
    who = dict(WHO)
    script = who | {"sub_stage": "build_script", "process": 4}
    return [
        line(BEGIN, "config", "configured", **who, project="group/sub/app", name="build", namespace="ns", image="k:1")
        | {"seconds": 0.2, "process": 1}
        | configured,
        line(BEGIN + 0.5, "prepare", "waiting for room", **who, quota="cpu") | {"process": 2},
        line(BEGIN + 2.5, "prepare", "pod created", **who) | {"process": 2},
        line(BEGIN + 3, "prepare", "pod scheduled", **who, node="node-1") | {"process": 2},
        line(BEGIN + 7, "prepare", "pod ready", **who, seconds=6.8, node="node-1", warm=False) | {"process": 2},
        line(BEGIN + 9, "run", "script ended", **who, sub_stage="get_sources", code=0, seconds=1.5) | {"process": 3},
        line(BEGIN + 20, "run", "exec stream lost", "warning", **script, reason="broken pipe"),
        line(BEGIN + 70, "run", "script ended", **script, code=0, seconds=60, oom_kills=0, category=""),
        line(BEGIN + 70, "run", "resources used", **script, seconds=60, memory_bytes=5, cache_hits=3),
        line(BEGIN + 71, "cleanup", "pod deleted", **who, seconds=0.5) | {"process": 5},
    ]


def shape(span: Span) -> dict[str, tuple[float, float]]:
    """Return name -> begin and end after the job's beginning, of a span's children."""
    return {one.name: (round(one.begin - BEGIN, 1), round(one.end - BEGIN, 1)) for one in span.children}


def every(span: Span) -> Iterator[Span]:
    yield span
    for child in span.children:
        yield from every(child)


def test_a_job_has_its_stages_and_they_have_what_they_waited_for() -> None:
    span = read(*a_job())
    assert (span.name, round(span.begin - BEGIN, 1), span.end - BEGIN, span.failure) == ("build", -0.2, 71, "")
    assert shape(span) == {
        "config": (-0.2, 0),
        "prepare": (0.2, 7),
        "get_sources": (7.5, 9),
        "build_script": (10, 70),
        "cleanup": (70.5, 71),
    }
    prepare = span.children[1]
    assert shape(prepare) == {"waiting for room": (0.5, 2.5), "scheduling": (2.5, 3), "starting": (3, 7)}


def test_attributes_are_those_of_the_conventions() -> None:
    span = read(*a_job())
    assert span.attributes == {
        "cicd.pipeline.task.name": "build",
        "cicd.pipeline.task.run.id": "7",
        "cicd.pipeline.task.run.result": "success",
        "cicd.pipeline.task.type": "build",
        "vcs.provider.name": "gitlab",
        "vcs.owner.name": "group/sub",
        "vcs.repository.name": "app",
        "k8s.namespace.name": "ns",
        "k8s.pod.name": "kaniko-job-7-aaaaaa",
        "k8s.node.name": "node-1",
        "container.image.name": "k:1",
        "kaniko_driver.tenant": "team-blue",
    }
    script = span.children[3]
    assert script.attributes["kaniko_driver.memory_bytes"] == 5
    assert script.attributes["kaniko_driver.cache_hits"] == 3
    assert script.attributes["kaniko_driver.code"] == 0
    assert script.moments == ((BEGIN + 20, "exec stream lost", "broken pipe"),)


def test_a_pod_that_did_not_start_fails_prepare_and_the_wait_that_it_ended_in() -> None:
    made = a_job()[:4]
    failed = line(BEGIN + 60, "prepare", "stage failed", "error", **WHO, kind="PodNotStarted", category="image_denied")
    over = line(BEGIN + 61, "cleanup", "pod deleted", **WHO, seconds=0.2) | {"process": 5}
    span = read(*made, failed | {"process": 2}, over)
    prepare = span.children[1]
    assert (span.failure, prepare.failure) == ("image_denied", "image_denied")
    assert [(one.name, one.failure) for one in prepare.children][-1] == ("starting", "image_denied")
    # Its own beginning is told by no line: it follows on config.
    assert (prepare.begin, prepare.end) == (BEGIN, BEGIN + 60)
    assert span.attributes["cicd.pipeline.task.run.result"] == "error"


def test_a_job_that_never_had_a_pod_is_one_stage() -> None:
    span = read(line(BEGIN, "config", "stage failed", "error", tenant="t", kind="SettingsInvalid", category="settings"))
    assert (span.name, span.failure, [one.name for one in span.children]) == ("job", "settings", ["config"])
    assert "k8s.pod.name" not in span.attributes


def test_a_warm_pod_is_named_as_the_one_that_the_job_ran_in() -> None:
    span = read(*job(1, waited=600))
    assert (span.attributes["k8s.pod.name"], span.attributes["cicd.pipeline.task.run.result"]) == (
        "kaniko-warm-1",
        "success",
    )
    assert span.children[1].attributes["kaniko_driver.waited_seconds"] == 600


def test_no_piece_ends_before_it_begins_or_reaches_out_of_the_job() -> None:
    for made in (a_job(), job(1), job(2, waited=60), job(3, code=1), job(4, failure={"kind": "PodNotStarted"})):
        whole = read(*made)
        for span in every(whole):
            assert whole.begin <= span.begin <= span.end <= whole.end, span.name


def test_a_traceback_and_what_else_is_not_named_stays_in_the_log() -> None:
    secret = {"exception": "Traceback s3cret", "token": "s3cret", "event_of_tomorrow": "s3cret"}
    assert "s3cret" not in repr(read(*(one | secret for one in a_job())))


@pytest.mark.parametrize(
    ("failure", "result"),
    [
        ("", "success"),
        ("cancelled", "cancellation"),
        ("deadline", "timeout"),
        ("script_failed", "failure"),
        ("kaniko_dockerfile", "failure"),
        ("node_lost", "error"),
        ("unfinished", "error"),
    ],
)
def test_results_are_words_of_the_conventions(failure: str, result: str) -> None:
    assert result_of(failure) == result


def test_the_authors_trace_is_known_by_the_first_line_that_has_one() -> None:
    assert (link_of(a_job(traceparent=TRACE)), link_of(a_job())) == (TRACE, "")
