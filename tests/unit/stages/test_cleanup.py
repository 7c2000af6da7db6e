"""cleanup: deletes this attempt's pod and a few leftovers, and never fails a job."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from executor.journal import Journal
from executor.stages.cleanup import cleanup
from tests.support.jobs import ATTEMPT, POD, PODS, make_job

if TYPE_CHECKING:
    from pathlib import Path

    from executor.job import Connection
    from tests.support.api_server import ApiServer, Exchange

EXPIRED, ALIVE = str(int(time.time()) - 10), str(int(time.time()) + 3600)


def leftover(name: str, *, attempt: str = "other", until: str | None = ALIVE, **metadata: Any) -> dict[str, Any]:
    annotations = {"kaniko-driver/delete-after": until} if until is not None else {}
    return {
        "metadata": {"name": name, "labels": {"kaniko-driver/attempt": attempt}, "annotations": annotations, **metadata}
    }


class Cluster:
    """Pods by name; deletes are remembered."""

    def __init__(self, server: ApiServer, *others: dict[str, Any], exists: bool = True) -> None:
        self.others = list(others)
        self.exists = exists
        self.lands = False
        self.deleted: list[str] = []
        server.answers = [self.answer]

    def answer(self, exchange: Exchange) -> None:
        name = exchange.path.rsplit("/", 1)[-1]
        if exchange.method == "DELETE":
            if name == POD and not self.exists:
                exchange.refuse(404, "not found")
                return
            self.deleted.append(name)
            exchange.json(200, {})
        elif ("watch", "true") in exchange.query:
            exchange.start_lines()
            if self.lands:
                self.exists = True
                exchange.line({"type": "ADDED", "object": {"metadata": {"name": POD}}})
            exchange.closing.wait(float(dict(exchange.query)["timeoutSeconds"]))
            exchange.end_lines()
        else:
            assert dict(exchange.query)["labelSelector"] == "kaniko-driver/tenant=tenant-a"
            exchange.json(200, {"items": self.others})


def run(folder: Path, connection: Connection, **changes: Any) -> list[dict[str, Any]]:
    """Run the stage; returns what it left in the operator log."""
    journal = folder / "journal"
    job = make_job(connection, **changes)
    assert cleanup(job, Journal(str(journal)), intent=str(folder / "creating")) == 0
    return [json.loads(line) for line in journal.read_text().splitlines()]


def test_the_pod_is_deleted_by_name(tmp_path: Path, connection: Connection, server: ApiServer) -> None:
    cluster = Cluster(server)
    assert [event["event"] for event in run(tmp_path, connection)] == ["pod deleted"]
    assert cluster.deleted == [POD]
    assert server.requests() == [f"DELETE {PODS}/{POD}", f"GET {PODS}"]


def test_a_pod_that_is_not_there_is_success(tmp_path: Path, connection: Connection, server: ApiServer) -> None:
    cluster = Cluster(server, exists=False)
    assert [event["event"] for event in run(tmp_path, connection)] == ["no pod to delete"]
    assert cluster.deleted == []
    # One request to delete and one to look for leftovers: nothing was in flight, so nothing is waited for.
    assert len(server.requests()) == 2


def test_another_attempt_of_the_same_job_survives(tmp_path: Path, connection: Connection, server: ApiServer) -> None:
    alive = leftover("kaniko-job-7-xxxxxx", attempt="another")
    cluster = Cluster(server, alive, leftover("kaniko-job-7-zzzzzz", attempt=ATTEMPT))
    run(tmp_path, connection)
    assert cluster.deleted == [POD, "kaniko-job-7-zzzzzz"]


def test_expired_leftovers_of_the_tenant_go_and_doubtful_ones_stay(
    tmp_path: Path, connection: Connection, server: ApiServer
) -> None:
    doubtful = [leftover(f"x{n}", until=until) for n, until in enumerate((None, "", "soon", "-5", "1e3", ALIVE))]
    terminating = leftover("y", until=EXPIRED, deletionTimestamp="2026-08-01T10:00:00Z")
    bare = {"metadata": {"name": "z"}}
    cluster = Cluster(server, *doubtful, terminating, bare, leftover("old", until=EXPIRED))
    run(tmp_path, connection)
    assert cluster.deleted == [POD, "old"]


def test_a_job_pays_for_a_few_leftovers_only(tmp_path: Path, connection: Connection, server: ApiServer) -> None:
    cluster = Cluster(server, *(leftover(f"old{n}", until=EXPIRED) for n in range(50)))
    run(tmp_path, connection)
    assert cluster.deleted == [POD, *(f"old{n}" for n in range(5))]


def test_a_create_that_was_in_flight_is_waited_for_and_deleted(
    tmp_path: Path, connection: Connection, server: ApiServer
) -> None:
    cluster = Cluster(server, exists=False)
    cluster.lands = True
    (tmp_path / "creating").write_text(POD)
    assert run(tmp_path, connection)[0]["event"] == "pod deleted"
    assert cluster.deleted == [POD]


def test_a_create_that_never_lands_is_waited_for_briefly(
    tmp_path: Path, connection: Connection, server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("executor.stages.cleanup._LANDING_SECONDS", 0.1)
    Cluster(server, exists=False)
    (tmp_path / "creating").write_text(POD)
    assert run(tmp_path, connection)[0]["event"] == "no pod to delete"


@pytest.mark.parametrize("status", [401, 403, 500])
def test_a_failing_api_is_noted_for_the_operator_and_no_failure(
    tmp_path: Path, connection: Connection, server: ApiServer, status: int
) -> None:
    server.answers = [lambda exchange: exchange.refuse(status, "no")]
    *_, last = run(tmp_path, connection, connection_timeout=1)
    assert last["event"] == "cleanup left something behind"
    assert f"{status} no" in last["exception"]


def test_a_silent_api_does_not_hold_the_job_up(tmp_path: Path, connection: Connection, server: ApiServer) -> None:
    server.answers = [lambda exchange: exchange.silence()]
    started = time.monotonic()
    run(tmp_path, connection, connection_timeout=1)
    assert time.monotonic() - started < 5


def test_a_token_that_is_gone_is_noted_too(tmp_path: Path, connection: Connection, server: ApiServer) -> None:
    server.answers = []
    (tmp_path / "token").unlink()
    (last,) = run(tmp_path, connection)
    assert "token" in last["exception"]
