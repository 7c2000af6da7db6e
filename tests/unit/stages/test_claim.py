"""Exactly one job gets a warm pod, and only one that is as good as a pod of its own."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from executor.cluster.api import Api
from executor.journal import Journal
from executor.pod import names
from executor.stages.claim import claim
from tests.support.jobs import make_job

if TYPE_CHECKING:
    from pathlib import Path

    from executor.job import Connection, Job
    from tests.support.api_server import ApiServer, Exchange

FINGERPRINT = "f" * 16
HOUR_AGO = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 3600))


def waiting(name: str, **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "resourceVersion": "7", "labels": {names.WARM_LABEL: FINGERPRINT}},
        "spec": {
            "nodeName": "node1",
            "containers": [
                {"name": "build", "resources": {"requests": {"cpu": "1", "memory": "2Gi"}}},
                {"name": "helper", "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}}},
                {"name": "bare", "resources": {}},
            ],
        },
        "status": {
            "startTime": HOUR_AGO,
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"name": "build", "restartCount": 0}, {"name": "helper", "restartCount": 0}],
            **status,
        },
    }


class Namespace:
    """Warm pods, and what became of them."""

    def __init__(self, server: ApiServer, *pods: dict[str, Any]) -> None:
        self.pods = list(pods)
        self.taken: set[str] = set()
        self.changes: list[dict[str, Any]] = []
        self.deleted: list[str] = []
        server.answers = [self.answer]

    def answer(self, exchange: Exchange) -> None:
        name = exchange.path.rpartition("/")[2]
        if exchange.method == "GET":
            exchange.json(200, {"items": self.pods})
        elif exchange.method == "DELETE":
            self.deleted.append(name)
            exchange.json(200, {})
        elif name == "resize":
            exchange.refuse(403, "pods/resize is forbidden", "Forbidden")
        elif name in self.taken:
            exchange.refuse(409, "the object has been modified", "Conflict")
        else:
            self.changes.append(exchange.body)
            exchange.json(200, next(pod for pod in self.pods if pod["metadata"]["name"] == name))


class Claimer:
    """A plain job of a tenant with warm pods."""

    def __init__(self, connection: Connection) -> None:
        manifest = {
            "metadata": {"labels": {names.ATTEMPT_LABEL: "a"}, "annotations": {names.DEADLINE_ANNOTATION: "9"}},
            "spec": {
                "activeDeadlineSeconds": 600,
                "containers": [{"name": "build", "resources": {"requests": {"cpu": "1000m", "memory": "2Gi"}}}],
            },
        }
        self.job = make_job(connection, warm=FINGERPRINT, manifest=manifest)
        self.written: list[Job] = []
        self.journal = Journal()

    def claim(self) -> tuple[str, str]:
        """Return the pod's name, and why there was none."""
        with Api(self.job.connection, patience=5) as api:
            found, because = claim(api, self.job, self.journal, self.written.append)
        return (found[0].pod if found else "", because)


@pytest.fixture
def claimer(connection: Connection) -> Claimer:
    return Claimer(connection)


def test_a_claimed_pod_is_the_jobs_in_every_respect(server: ApiServer, claimer: Claimer) -> None:
    namespace = Namespace(server, waiting("one"))
    assert claimer.claim() == ("one", "")
    (change,) = namespace.changes
    assert change["metadata"] == {
        "resourceVersion": "7",
        "labels": {names.ATTEMPT_LABEL: "a", names.WARM_LABEL: None, names.WAS_WARM_LABEL: "true"},
        "annotations": {names.DEADLINE_ANNOTATION: "9"},
        "ownerReferences": None,
    }
    # Counted from the pod's start, an hour ago, with a minute for clocks that differ.
    assert 3600 + 600 <= change["spec"]["activeDeadlineSeconds"] < 3600 + 600 + 3600
    assert [job.pod for job in claimer.written] == ["one"]


def test_what_the_pod_kept_free_while_it_waited_is_written_down(
    server: ApiServer, claimer: Claimer, tmp_path: Path
) -> None:
    Namespace(server, waiting("one"))
    claimer.journal = Journal(str(tmp_path / "log"))
    chosen = claimer.job.pod
    claimer.claim()
    line = json.loads((tmp_path / "log").read_text())
    assert (line["event"], line["pod"], line["instead_of"]) == ("warm pod claimed", "one", chosen)
    assert (line["cpu_request_millicores"], line["memory_request_bytes"]) == (1100, (2048 + 128) * 2**20)
    assert 3600 <= line["waited_seconds"] < 7200


def test_a_pod_that_may_not_grow_is_given_up_and_the_job_keeps_the_name_of_its_own(
    server: ApiServer, claimer: Claimer
) -> None:
    small = waiting("small")
    small["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "10m"
    namespace = Namespace(server, small, waiting("large"))
    namespace.taken = {"large"}
    found, because = claimer.claim()
    assert (found, "403 pods/resize is forbidden" in because) == ("", True)
    assert namespace.deleted == ["small"]
    assert [job.pod for job in claimer.written] == ["small", claimer.job.pod]


def test_whoever_comes_second_takes_the_next_one(server: ApiServer, claimer: Claimer) -> None:
    namespace = Namespace(server, waiting("one"), waiting("two"), waiting("three"))
    namespace.taken = {"one", "three"}
    assert claimer.claim() == ("two", "")


def test_a_pod_that_is_not_ready_or_is_being_deleted_is_left_alone(server: ApiServer, claimer: Claimer) -> None:
    going = waiting("going")
    going["metadata"]["deletionTimestamp"] = HOUR_AGO
    namespace = Namespace(server, waiting("starting", conditions=[{"type": "Ready", "status": "False"}]), going)
    found, because = claimer.claim()
    assert not found
    assert "is starting, or was faster claimed" in because
    assert (namespace.changes, namespace.deleted) == ([], [])


def test_a_pod_that_has_restarted_is_replaced(server: ApiServer, claimer: Claimer) -> None:
    statuses = [{"name": "build", "restartCount": 1}, {"name": "helper", "restartCount": 0}]
    namespace = Namespace(server, waiting("restarted", containerStatuses=statuses))
    assert claimer.claim()[0] == ""
    assert namespace.deleted == ["restarted"]


def test_pods_of_other_settings_are_not_claimed_and_the_remedy_is_named(server: ApiServer, claimer: Claimer) -> None:
    old = waiting("old")
    old["metadata"]["labels"][names.WARM_LABEL] = "0" * 16
    namespace = Namespace(server, old)
    found, because = claimer.claim()
    assert not found
    assert "kaniko-driver tenant apply" in because
    assert namespace.changes == []


def test_without_any_the_job_does_not_wait(server: ApiServer, claimer: Claimer) -> None:
    Namespace(server)
    assert claimer.claim() == ("", "no pod waits at this moment")
    assert claimer.written == []
