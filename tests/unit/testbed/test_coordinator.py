"""The coordinator answers as GitLab does, asked with the requests that gitlab-runner sends."""

from __future__ import annotations

import http.client
import json
import threading
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from testbed.errors import BedError
from testbed.jobs import JobSpec

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.coordinator import Coordinator
    from testbed.coordinator_job import SubmittedJob

BOUNDARY = "a1b2c3"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """Speaks like gitlab-runner's `network/gitlab.go`."""

    def __init__(self, coordinator: Coordinator) -> None:
        self._address = coordinator.url.removeprefix("http://")

    def send(self, method: str, path: str, body: Any = b"", **headers: str) -> Answer:
        connection = http.client.HTTPConnection(self._address, timeout=60)
        try:
            data = json.dumps(body).encode() if isinstance(body, dict) else body
            named = {key.replace("_", "-"): value for key, value in headers.items()}
            connection.request(method, f"/api/v4/{path}", data, named, encode_chunked=not isinstance(data, bytes))
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            connection.close()

    def request_job(self, token: str) -> Answer:
        return self.send("POST", "jobs/request", {"token": token, "info": {}}, RUNNER_TOKEN=token)

    def patch(self, job: SubmittedJob, start: int, data: bytes) -> Answer:
        end = start + len(data) - 1
        return self.send(
            "PATCH",
            f"jobs/{job.ident}/trace?debug_trace=false",
            data,
            JOB_TOKEN=job.given.token,
            Content_Range=f"{start}-{end}",
        )

    def update(self, job: SubmittedJob, state: str, trace: bytes = b"", **more: Any) -> Answer:
        output = {"checksum": f"crc32:{zlib.crc32(trace):08x}", "bytesize": len(trace)}
        body = {"token": job.given.token, "state": state, "output": output, **more}
        return self.send("PUT", f"jobs/{job.ident}", body, JOB_TOKEN=job.given.token)

    def upload(self, job: SubmittedJob, content: bytes, name: str = "artifacts.zip", kind: str = "archive") -> Answer:
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode()
        pieces = iter((head, content, f"\r\n--{BOUNDARY}--\r\n".encode()))
        return self.send(
            "POST",
            f"jobs/{job.ident}/artifacts?artifact_format=zip&artifact_type={kind}",
            pieces,
            JOB_TOKEN=job.given.token,
            Content_Type=f"multipart/form-data; boundary={BOUNDARY}",
            Transfer_Encoding="chunked",
        )


@pytest.fixture
def client(coordinator: Coordinator) -> Client:
    return Client(coordinator)


@pytest.fixture
def job(coordinator: Coordinator, client: Client) -> SubmittedJob:
    """A job of tenant-a that its runner has taken."""
    submitted = coordinator.submit(JobSpec("tenant-a", script=("make",)))
    assert client.request_job(coordinator.runner_token("tenant-a")).status == 201
    return submitted


# ---- runners


def test_a_known_runner_is_verified_and_an_unknown_one_is_not(coordinator: Coordinator, client: Client) -> None:
    known = client.send("POST", "runners/verify", {"token": coordinator.runner_token("tenant-a")})
    assert (known.status, known.json["id"]) == (200, 1)
    assert client.send("POST", "runners/verify", {"token": "glrt-other"}).status == 403


def test_a_job_goes_to_the_runner_of_its_tenant_only(coordinator: Coordinator, client: Client) -> None:
    submitted = coordinator.submit(JobSpec("tenant-b", script=("make",)))
    assert client.request_job(coordinator.runner_token("tenant-a")).status == 204
    handed = client.request_job(coordinator.runner_token("tenant-b"))
    assert (handed.status, handed.json["id"]) == (201, submitted.ident)
    assert handed.json["steps"][0]["script"] == ["make"]


def test_a_job_is_handed_out_once(coordinator: Coordinator, client: Client, job: SubmittedJob) -> None:
    assert job.running
    assert client.request_job(coordinator.runner_token("tenant-a")).status == 204


def test_an_unknown_runner_gets_no_job(coordinator: Coordinator, client: Client) -> None:
    coordinator.submit(JobSpec("tenant-a"))
    assert client.request_job("glrt-other").status == 403


def test_a_tenant_nobody_serves_is_refused_at_submission(coordinator: Coordinator) -> None:
    with pytest.raises(BedError, match="tenant-x"):
        coordinator.submit(JobSpec("tenant-x"))


# ---- trace


def test_a_log_arrives_in_pieces(client: Client, job: SubmittedJob) -> None:
    answer = client.patch(job, 0, b"one\n")
    assert (answer.status, answer.headers["Range"], answer.headers["Job-Status"]) == (202, "0-4", "running")
    assert answer.headers["X-GitLab-Trace-Update-Interval"] == "1"
    assert client.patch(job, 4, b"two\n").status == 202
    assert job.trace == b"one\ntwo\n"


@pytest.mark.parametrize("start", [2, 9])
def test_a_piece_that_does_not_fit_is_sent_again_from_where_the_log_ends(
    client: Client, job: SubmittedJob, start: int
) -> None:
    client.patch(job, 0, b"one\n")
    answer = client.patch(job, start, b"two\n")
    assert (answer.status, answer.headers["Range"]) == (416, "0-4")
    assert job.trace == b"one\n"


def test_a_piece_without_its_place_is_refused(client: Client, job: SubmittedJob) -> None:
    assert client.send("PATCH", f"jobs/{job.ident}/trace", b"x", JOB_TOKEN=job.given.token).status == 400


def test_a_wrong_job_token_is_refused(client: Client, job: SubmittedJob) -> None:
    assert client.send("PATCH", f"jobs/{job.ident}/trace", b"x", JOB_TOKEN="other", Content_Range="0-0").status == 403
    assert client.send("PUT", "jobs/4711", {"state": "running"}, JOB_TOKEN="other").status == 404


def test_a_follower_sees_the_log_as_it_comes(client: Client, job: SubmittedJob) -> None:
    seen: list[bytes] = []
    first = threading.Event()

    def follow() -> None:
        for piece in job.follow(silence=60):
            seen.append(piece)
            first.set()

    follower = threading.Thread(target=follow)
    follower.start()
    client.patch(job, 0, b"one\n")
    assert first.wait(60)
    client.patch(job, 4, b"two\n")
    client.update(job, "success", b"one\ntwo\n")
    follower.join(60)
    assert b"".join(seen) == b"one\ntwo\n"


def test_a_silent_log_is_an_error_for_its_follower(job: SubmittedJob) -> None:
    with pytest.raises(BedError, match="silent"):
        next(job.follow(silence=0.05))


# ---- the end of a job


def test_success(client: Client, job: SubmittedJob) -> None:
    client.patch(job, 0, b"fine\n")
    assert client.update(job, "success", b"fine\n").status == 200
    result = job.wait(60)
    assert (result.state, result.exit_code, result.failure_reason) == ("success", 0, "")
    assert (result.trace, result.trace_complete) == (b"fine\n", True)
    assert result.timings.handed_out is not None
    assert result.timings.first_trace is not None
    assert result.timings.finished is not None
    assert result.timings.submitted <= result.timings.handed_out <= result.timings.first_trace
    assert result.timings.first_trace <= result.timings.finished


def test_a_failure_comes_with_its_exit_code_and_reason(client: Client, job: SubmittedJob) -> None:
    client.update(job, "failed", exit_code=37, failure_reason="script_failure")
    result = job.wait(60)
    assert (result.state, result.exit_code, result.failure_reason) == ("failed", 37, "script_failure")


def test_a_running_update_ends_nothing(client: Client, job: SubmittedJob) -> None:
    answer = client.update(job, "running")
    assert (answer.status, answer.headers["Job-Status"]) == (200, "running")
    assert job.result is None


def test_a_log_with_another_checksum_is_asked_for_again(client: Client, job: SubmittedJob) -> None:
    client.patch(job, 0, b"fane\n")
    assert client.update(job, "success", b"fine\n").status == 412
    assert job.result is None
    assert client.patch(job, 0, b"fine\n").status == 202
    assert client.update(job, "success", b"fine\n").status == 200
    assert job.wait(60).trace_complete


def test_a_log_that_stays_wrong_ends_the_job_as_incomplete(client: Client, job: SubmittedJob) -> None:
    statuses = [client.update(job, "success", b"never sent").status for _ in range(4)]
    assert statuses == [412, 412, 412, 200]
    assert not job.wait(60).trace_complete


def test_a_finished_job_takes_nothing_more(client: Client, job: SubmittedJob) -> None:
    client.update(job, "success")
    answer = client.patch(job, 0, b"late")
    assert (answer.status, answer.headers["Job-Status"]) == (403, "success")


def test_a_job_that_does_not_end_says_how_far_it_came(client: Client, job: SubmittedJob) -> None:
    client.patch(job, 0, b"compiling\n")
    with pytest.raises(BedError, match="compiling"):
        job.wait(0.05)


def test_a_job_without_runner_says_so(coordinator: Coordinator) -> None:
    with pytest.raises(BedError, match="no runner has asked"):
        coordinator.submit(JobSpec("tenant-a")).wait(0.05)


def test_waiting_for_a_text_ends_when_the_job_does(client: Client, job: SubmittedJob) -> None:
    client.patch(job, 0, b"begin\n")
    job.wait_for("begin", 1)
    client.update(job, "failed", b"begin\n")
    with pytest.raises(BedError, match="never"):
        job.wait_for("never", 60)


# ---- cancelling


def test_a_cancelled_job_goes_on_until_the_runner_ends_it(client: Client, job: SubmittedJob) -> None:
    job.cancel()
    answer = client.patch(job, 0, b"after_script\n")
    assert (answer.status, answer.headers["Job-Status"]) == (202, "canceling")
    client.update(job, "failed", b"after_script\n", failure_reason="job_canceled")
    assert job.wait(60).state == "canceled"


def test_an_aborted_job_takes_no_more_log(client: Client, job: SubmittedJob) -> None:
    job.abort()
    job.cancel()
    answer = client.patch(job, 0, b"late\n")
    assert (answer.status, answer.headers["Job-Status"]) == (403, "canceled")
    assert client.update(job, "failed", b"late\n").status == 403
    result = job.wait(60)
    assert (result.state, result.trace) == ("canceled", b"")


def test_cancel_when_answers_the_very_request_that_brought_the_text(client: Client, job: SubmittedJob) -> None:
    job.cancel_when("$ sleep")
    assert client.patch(job, 0, b"$ make\n").headers["Job-Status"] == "running"
    assert client.patch(job, 7, b"$ sleep 60\n").headers["Job-Status"] == "canceling"


def test_a_job_cancelled_before_anyone_took_it_is_never_handed_out(coordinator: Coordinator, client: Client) -> None:
    submitted = coordinator.submit(JobSpec("tenant-a"))
    submitted.cancel()
    assert submitted.wait(60).state == "canceled"
    assert client.request_job(coordinator.runner_token("tenant-a")).status == 204


# ---- artifacts and dependencies


def test_an_upload_of_many_pieces_is_stored_as_it_was(client: Client, job: SubmittedJob) -> None:
    content = bytes(range(256)) * 20_000
    assert client.upload(job, content).status == 201
    (stored,) = job.artifacts
    assert (stored.name, stored.kind, stored.path.read_bytes()) == ("artifacts.zip", "archive", content)


def test_a_later_job_waits_for_the_one_it_needs_and_gets_its_archive(
    coordinator: Coordinator, client: Client, job: SubmittedJob
) -> None:
    token = coordinator.runner_token("tenant-a")
    coordinator.submit(JobSpec("tenant-a", dependencies=(job,)))
    assert client.request_job(token).status == 204
    client.upload(job, b"report", kind="junit", name="report.gz")
    client.upload(job, b"zipped")
    client.update(job, "success")
    (needed,) = client.request_job(token).json["dependencies"]
    assert needed["artifacts_file"] == {"filename": "artifacts.zip", "size": 6}
    got = client.send("GET", f"jobs/{needed['id']}/artifacts?direct_download=true", JOB_TOKEN=needed["token"])
    assert (got.status, got.body) == (200, b"zipped")


def test_archives_are_given_to_their_own_token_only(client: Client, job: SubmittedJob) -> None:
    assert client.send("GET", f"jobs/{job.ident}/artifacts", JOB_TOKEN=job.given.token).status == 404
    client.upload(job, b"zipped")
    assert client.send("GET", f"jobs/{job.ident}/artifacts", JOB_TOKEN="other").status == 403


def test_a_broken_upload_stores_nothing(coordinator: Coordinator, client: Client, job: SubmittedJob) -> None:
    with pytest.raises(http.client.HTTPException):
        client.send(
            "POST",
            f"jobs/{job.ident}/artifacts",
            b"--a1b2c3\r\nhalf",
            JOB_TOKEN=job.given.token,
            Content_Type=f"multipart/form-data; boundary={BOUNDARY}",
        )
    assert job.artifacts == ()
    assert client.request_job(coordinator.runner_token("tenant-a")).status == 204


# ---- attempts


def test_two_attempts_of_one_job_are_told_apart_by_their_tokens(
    coordinator: Coordinator, client: Client, tmp_path: Path
) -> None:
    first, second = (coordinator.submit(JobSpec("tenant-a", ident=41)) for _ in range(2))
    for _ in range(2):
        assert client.request_job(coordinator.runner_token("tenant-a")).json["id"] == 41
    client.patch(second, 0, b"second\n")
    client.update(first, "failed")
    assert first.result is not None
    assert second.running
    assert (second.trace, first.trace) == (b"second\n", b"")
    assert (tmp_path / "jobs" / "41-attempt-2" / "trace.log").read_bytes() == b"second\n"


def test_numbers_go_on_after_a_given_one(coordinator: Coordinator) -> None:
    idents = [coordinator.submit(JobSpec("tenant-a", ident=ident)).ident for ident in (None, 41, None)]
    assert idents == [1, 41, 42]


def test_an_unknown_address_is_not_found(client: Client) -> None:
    assert client.send("GET", "projects").status == 404
