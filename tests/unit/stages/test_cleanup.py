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
        self.patches: list[dict[str, Any]] = []
        self.said = b"kd1 held\n"
        server.answers = [self.answer]

    def answer(self, exchange: Exchange) -> None:
        name = exchange.path.rsplit("/", 1)[-1]
        if exchange.method == "DELETE":
            if name == POD and not self.exists:
                exchange.refuse(404, "not found")
                return
            self.deleted.append(name)
            exchange.json(200, {})
        elif exchange.method == "PATCH":
            assert (name, exchange.headers["Content-Type"]) == (POD, "application/merge-patch+json")
            self.patches.append(exchange.body["metadata"])
            exchange.json(200, {})
        elif name == "exec":
            assert ("container", "build") in exchange.query
            peer = exchange.websocket()
            peer.send(2, self.said)
            peer.close()
        elif ("watch", "true") in exchange.query:
            exchange.start_lines()
            if self.lands:
                self.exists = True
                exchange.line({"type": "ADDED", "object": {"metadata": {"name": POD}}})
            exchange.closing.wait(float(dict(exchange.query)["timeoutSeconds"]))
            exchange.end_lines()
        else:
            selector = dict(exchange.query)["labelSelector"]
            assert selector.split(",")[0] == "kaniko-driver/tenant=tenant-a"
            kept = [pod for pod in self.others if "kaniko-driver/kept" in pod["metadata"].get("labels", {})]
            exchange.json(200, {"items": kept if selector.endswith(",kaniko-driver/kept") else self.others})


def run(folder: Path, connection: Connection, **changes: Any) -> list[dict[str, Any]]:
    """Run the stage; returns what it left in the operator log."""
    journal = folder / "journal"
    job = make_job(connection, **changes)
    marks = {"intent": "creating", "keep_mark": "keep", "lost_mark": "lost", "unreachable_mark": "unreachable"}
    assert cleanup(job, Journal(str(journal)), **{name: str(folder / mark) for name, mark in marks.items()}) == 0
    return [json.loads(line) for line in journal.read_text().splitlines()]


def test_the_pod_is_deleted_by_name(tmp_path: Path, connection: Connection, server: ApiServer) -> None:
    cluster = Cluster(server)
    assert [event["event"] for event in run(tmp_path, connection)] == ["pod deleted"]
    assert cluster.deleted == [POD]
    assert server.requests() == [f"DELETE {PODS}/{POD}", f"GET {PODS}"]


def test_the_pod_of_a_node_that_is_lost_goes_without_waiting_for_its_kubelet(
    tmp_path: Path, connection: Connection, server: ApiServer
) -> None:
    Cluster(server)
    (tmp_path / "lost").touch()
    assert [event["event"] for event in run(tmp_path, connection)] == ["pod of a lost node deleted"]
    assert server.exchanges[0].body == {"gracePeriodSeconds": 0}


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
    leaving = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 20))
    terminating = leftover("y", until=EXPIRED, deletionTimestamp=leaving)
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
    assert time.monotonic() - started < 25


def test_a_silent_api_that_prepare_has_waited_for_is_not_waited_for_again(
    tmp_path: Path, connection: Connection, server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("executor.stages.cleanup._BRIEF_PATIENCE", 0.5)
    server.answers = [lambda exchange: exchange.silence()]
    (tmp_path / "unreachable").touch()
    started = time.monotonic()
    events = [event["event"] for event in run(tmp_path, connection, connection_timeout=60)]
    assert events[-1] == "cleanup left something behind"
    assert time.monotonic() - started < 30


def test_a_token_that_is_gone_is_noted_too(tmp_path: Path, connection: Connection, server: ApiServer) -> None:
    server.answers = []
    (tmp_path / "token").unlink()
    (last,) = run(tmp_path, connection)
    assert "token" in last["exception"]


class TestKeeping:
    """After `run` has left its mark."""

    @pytest.fixture(autouse=True)
    def _marked(self, tmp_path: Path) -> None:
        (tmp_path / "keep").write_text(POD)

    def keep(self, folder: Path, connection: Connection, **changes: Any) -> list[str]:
        return [event["event"] for event in run(folder, connection, keep_failed=1800, keep_failed_most=2, **changes)]

    def test_the_pod_is_scrubbed_and_marked_and_stays(
        self, tmp_path: Path, connection: Connection, server: ApiServer
    ) -> None:
        cluster = Cluster(server, kept(POD, 3))
        before = int(time.time())
        assert self.keep(tmp_path, connection) == ["pod kept"]
        (patch,) = cluster.patches
        assert patch["labels"] == {"kaniko-driver/kept": "true"}
        assert before + 1800 <= int(patch["annotations"]["kaniko-driver/delete-after"]) <= time.time() + 1800
        assert cluster.deleted == []
        assert server.requests()[:2] == [f"GET {PODS}/{POD}/exec", f"PATCH {PODS}/{POD}"]

    def test_secrets_of_the_job_go_although_its_pod_stays(
        self, tmp_path: Path, connection: Connection, server: ApiServer
    ) -> None:
        cluster = Cluster(server)
        self.keep(tmp_path, connection, secrets=({"metadata": {"name": "pull-secret"}},))
        assert cluster.deleted == ["pull-secret"]

    def test_the_oldest_go_where_there_are_too_many(
        self, tmp_path: Path, connection: Connection, server: ApiServer
    ) -> None:
        leaving = kept("leaving", 0)
        leaving["metadata"]["deletionTimestamp"] = "2999-08-01T10:00:00Z"
        cluster = Cluster(server, kept(POD, 9), kept("young", 8), leaving, kept("oldest", 1), kept("old", 2))
        self.keep(tmp_path, connection)
        assert sorted(cluster.deleted) == ["old", "oldest"]

    @pytest.mark.parametrize("said", [b"", b"kd1 error full\n", b"sh: no such program\n"])
    def test_a_pod_that_keeps_its_secrets_is_deleted(
        self, tmp_path: Path, connection: Connection, server: ApiServer, said: bytes
    ) -> None:
        cluster = Cluster(server)
        cluster.said = said
        not_kept, deleted = run(tmp_path, connection, keep_failed=1800, keep_failed_most=2)
        assert (not_kept["event"], deleted["event"]) == ("the pod of the failed job is not kept", "pod deleted")
        assert "scrubbed of its secrets" in not_kept["reason"]
        assert (cluster.patches, cluster.deleted) == ([], [POD])

    def test_without_the_right_to_mark_it_the_pod_is_deleted(
        self, tmp_path: Path, connection: Connection, server: ApiServer
    ) -> None:
        cluster = Cluster(server)

        def answer(exchange: Exchange) -> None:
            exchange.refuse(403, "no") if exchange.method == "PATCH" else cluster.answer(exchange)

        server.answers = [answer]
        assert self.keep(tmp_path, connection)[-1] == "pod deleted"
        assert cluster.deleted == [POD]

    def test_a_kept_pod_whose_time_is_over_is_swept(
        self, tmp_path: Path, connection: Connection, server: ApiServer
    ) -> None:
        (tmp_path / "keep").unlink()
        over = kept("over", 1)
        over["metadata"]["annotations"] = {"kaniko-driver/delete-after": EXPIRED}
        cluster = Cluster(server, over, kept("young", 2))
        run(tmp_path, connection)
        assert cluster.deleted == [POD, "over"]


def kept(name: str, hour: int) -> dict[str, Any]:
    """A pod of a failed job, made at that hour."""
    pod = leftover(name, creationTimestamp=f"2026-08-01T{hour:02d}:00:00Z")
    pod["metadata"]["labels"]["kaniko-driver/kept"] = "true"
    return pod
