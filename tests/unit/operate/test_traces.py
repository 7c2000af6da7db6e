"""traces: what arrives at a collector over real HTTP, and what happens where none is there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from executor.operate.commands import cli
from tests.support import operator_log
from tests.support.collector import Collector, attributes
from tests.support.operator_log import written
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


NOW = time.time() - 3600


def job(number: int, *, at: float = NOW, **facts: Any) -> list[dict[str, Any]]:
    """Make the lines of a job of today: what began days ago and never ended would be given up."""
    return operator_log.job(number, at=at, **facts)


class Host:
    """A runner host with its log."""

    def __init__(self, folder: Path, url: str) -> None:
        self.log = folder / "driver.jsonl"
        self.log.touch()
        self.words = ["--log", str(self.log), "--state", str(folder / "traces.json")]
        self.environment: dict[str, str | None] = {
            **dict.fromkeys([name for name in os.environ if name.startswith("OTEL_")]),
            "OTEL_EXPORTER_OTLP_ENDPOINT": url,
            # What is refused is tried again by the library itself, for as long.
            "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
        }

    def ran(self, *jobs: list[dict[str, Any]]) -> None:
        with self.log.open("a") as file:
            file.writelines(json.dumps(one) + "\n" for lines in jobs for one in lines)

    def send(self, *words: str, **environment: str) -> Result:
        return CliRunner().invoke(cli, ["traces", "send", *self.words, *words], env=self.environment | environment)


@pytest.fixture
def host(tmp_path: Path, collector: Collector) -> Host:
    made = Host(tmp_path, collector.url)
    # The first look finds the log's end.
    assert made.send().exit_code == 0
    return made


def test_a_job_arrives_as_one_trace_with_what_the_environment_says(host: Host, collector: Collector) -> None:
    host.ran(job(7))
    done = host.send(
        OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20t0ken",
        OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=test,service.version=mine",
        OTEL_EXPORTER_OTLP_COMPRESSION="gzip",
    )
    assert (done.exit_code, done.stderr) == (0, "sent: 1 job in 8 spans\n")
    ((headers, request),) = collector.requests
    assert headers["authorization"] == "Bearer t0ken"
    resource = attributes(request.resource_spans[0].resource)
    assert (resource["service.name"], resource["service.version"]) == ("kaniko-driver", "mine")
    assert resource["deployment.environment.name"] == "test"
    (whole,) = collector.jobs
    assert len({span.trace_id for span in collector.spans}) == 1
    assert len({span.span_id for span in collector.spans}) == 8
    of_job = [span.name for span in collector.spans if span.parent_span_id == whole.span_id]
    assert of_job == ["config", "prepare", "get_sources", "build_script", "cleanup"]
    assert whole.end_time_unix_nano - whole.start_time_unix_nano == pytest.approx(62e9, abs=1e7)
    assert attributes(whole)["cicd.pipeline.task.run.id"] == "7"
    assert whole.status.code == whole.status.STATUS_CODE_UNSET


def test_the_service_has_the_name_that_the_environment_gives(host: Host, collector: Collector) -> None:
    host.ran(job(1))
    host.send(OTEL_SERVICE_NAME="builds")
    ((_, request),) = collector.requests
    assert attributes(request.resource_spans[0].resource)["service.name"] == "builds"


def test_a_failed_job_is_an_error_with_its_category_and_a_cancelled_one_is_none(
    host: Host, collector: Collector
) -> None:
    cancelled = job(2)
    cancelled.insert(-1, cancelled[-2] | {"event": "cancelled"})
    host.ran(job(1, failure={"kind": "PodNotStarted", "category": "image_denied"}), cancelled)
    assert host.send().exit_code == 0
    failed, stopped = collector.jobs
    assert (failed.status.code, failed.status.message) == (failed.status.STATUS_CODE_ERROR, "image denied")
    assert attributes(failed)["error.type"] == "image_denied"
    assert attributes(stopped)["cicd.pipeline.task.run.result"] == "cancellation"
    assert stopped.status.code == stopped.status.STATUS_CODE_UNSET


def test_the_authors_trace_is_linked_and_not_joined(host: Host, collector: Collector) -> None:
    lines = job(1)
    lines[0]["traceparent"] = TRACE
    host.ran(lines)
    host.send()
    (whole,) = collector.jobs
    assert [link.trace_id.hex() for link in whole.links] == [TRACE.split("-")[1]]
    assert whole.trace_id.hex() != TRACE.split("-")[1]


def test_what_a_collector_does_not_take_is_kept_and_sent_once(host: Host, collector: Collector) -> None:
    host.ran(job(1))
    collector.status = 401
    refused = host.send()
    assert refused.exit_code == 1
    assert "did not take the spans; they are kept" in refused.output
    assert "401" in refused.output
    host.ran(job(2))
    collector.status = 200
    assert host.send().exit_code == 0
    assert host.send().exit_code == 0
    assert [attributes(one)["cicd.pipeline.task.run.id"] for one in collector.jobs] == ["1", "2"]


def test_a_collector_that_is_not_there_is_told_without_a_traceback(host: Host) -> None:
    host.ran(job(1))
    done = host.send(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")
    assert (done.exit_code, "did not take the spans" in done.output) == (1, True)
    assert "Traceback" not in done.output
    assert isinstance(done.exception, SystemExit)


def test_sending_again_after_a_lost_answer_makes_the_same_trace(host: Host, collector: Collector) -> None:
    host.ran(job(1))
    state = Path(host.words[-1])
    before = state.read_text()
    host.send()
    state.write_text(before)
    host.send()
    first, second = collector.jobs
    assert (first.trace_id, first.span_id) == (second.trace_id, second.span_id)


def test_a_job_is_sent_when_it_is_over_though_its_lines_come_in_pieces_and_the_log_is_rotated(
    host: Host, collector: Collector
) -> None:
    lines = job(1)
    host.ran(lines[:3])
    host.send()
    assert collector.jobs == []
    host.log.rename(f"{host.log}.1")
    host.log.touch()
    host.ran(lines[3:], job(2))
    host.send()
    assert [attributes(one)["cicd.pipeline.task.run.id"] for one in collector.jobs] == ["1", "2"]


def test_a_job_that_claims_a_warm_pod_is_one_trace(host: Host, collector: Collector) -> None:
    first, *rest = job(1, waited=60)
    host.ran([first])
    host.send()
    host.ran(rest)
    host.send()
    (whole,) = collector.jobs
    assert attributes(whole)["k8s.pod.name"] == "kaniko-warm-1"
    assert {span.trace_id for span in collector.spans} == {whole.trace_id}


def test_a_long_queue_is_sent_in_pieces(host: Host, collector: Collector) -> None:
    host.ran(*(job(number) for number in range(1, 121)))
    assert host.send().stderr == "sent: 120 jobs in 960 spans\n"
    assert len(collector.requests) == 3
    assert len({one.trace_id for one in collector.jobs}) == 120


def test_the_first_call_begins_where_it_is_told_to(tmp_path: Path, collector: Collector) -> None:
    host = Host(tmp_path, collector.url)
    written(host.log, job(1, at=NOW - 9000), job(2))
    host.send("--since", "2h")
    assert [attributes(one)["cicd.pipeline.task.run.id"] for one in collector.jobs] == ["2"]


@pytest.mark.parametrize("variable", ["OTEL_SDK_DISABLED=true", "OTEL_TRACES_EXPORTER=none"])
def test_traces_are_turned_off_by_the_usual_variables(host: Host, collector: Collector, variable: str) -> None:
    host.ran(job(1))
    name, value = variable.split("=")
    assert host.send(**{name: value}).exit_code == 0
    assert collector.requests == []


@pytest.mark.parametrize(
    ("variable", "words"),
    [
        ("OTEL_TRACES_EXPORTER=zipkin", "otlp, console or none"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"),
    ],
)
def test_what_cannot_be_done_is_told_with_what_can(host: Host, variable: str, words: str) -> None:
    name, value = variable.split("=")
    done = host.send(**{name: value})
    assert (done.exit_code, words in done.output) == (1, True)


def test_a_sampler_of_the_environment_leaves_jobs_out(host: Host, collector: Collector) -> None:
    host.ran(job(1))
    assert host.send(OTEL_TRACES_SAMPLER="always_off").stderr == "sent: 1 job in 0 spans\n"
    assert collector.requests == []


def test_without_the_library_it_is_told_how_to_install_it(host: Host) -> None:
    code = "import sys; sys.modules['opentelemetry'] = None; from executor.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "traces", "send", *host.words], capture_output=True, text=True, check=False
    )
    assert (done.returncode, "kaniko-driver[traces]" in done.stderr, "Traceback" in done.stderr) == (1, True, False)


def test_following_sends_as_jobs_end_outlasts_a_collector_that_is_away_and_ends_at_sigterm(
    host: Host, collector: Collector
) -> None:
    collector.status = 503
    words = ["traces", "follow", *host.words, "--interval", "1"]
    environment = {name: value for name, value in {**os.environ, **host.environment}.items() if value is not None}
    code = "from executor.cli import main; main()"
    process = subprocess.Popen([sys.executable, "-c", code, *words], env=environment, stderr=subprocess.PIPE, text=True)
    try:
        host.ran(job(1))
        assert process.stderr is not None
        assert "did not take the spans" in process.stderr.readline()
        collector.status = 200
        assert process.stderr.readline() == "The collector takes spans again.\n"
        host.ran(job(2))
        until("the second job has a trace", lambda: len(collector.jobs) == 2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 0
        assert process.stderr.read() == ""
    finally:
        process.kill()
        process.communicate()


def test_a_log_that_is_not_there_is_told_and_waited_for(host: Host) -> None:
    host.log.unlink()
    done = host.send()
    assert done.exit_code == 0
    assert f"{host.log} is not there" in done.stderr
