"""A claimed pod that waited small: it has the room of a job before the job begins, or the job starts one of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from executor.cluster.api import Api
from executor.stages.growing import grow
from tests.support.jobs import POD

if TYPE_CHECKING:
    from executor.job import Connection
    from tests.support.api_server import ApiServer, Exchange

SMALL, JOBS = {"cpu": "10m", "memory": "32Mi", "ephemeral-storage": "1Gi"}, {"cpu": "1000m", "memory": "2Gi"}
LIMITS = {"cpu": "2", "memory": "4Gi"}
MANIFEST = {"spec": {"containers": [{"name": name, "resources": {"requests": JOBS}} for name in ("tools", "build")]}}


def pod(requests: dict[str, str], **status: Any) -> dict[str, Any]:
    build = {"name": "build", "image": "k", "resources": {"requests": requests, "limits": LIMITS}}
    return {
        "metadata": {"name": POD, "resourceVersion": "7", "generation": 2},
        "spec": {"containers": [build]},
        "status": status,
    }


class Node:
    """A node's kubelet: what it says of the pod, one state after another; the server's refusal instead."""

    def __init__(self, server: ApiServer, *says: dict[str, Any], refuses: int = 0) -> None:
        self.says, self.refuses = says, refuses
        self.asked: list[list[dict[str, Any]]] = []
        server.answers = [self.answer]

    def answer(self, exchange: Exchange) -> None:
        if exchange.method == "PATCH":
            assert exchange.path.endswith(f"/pods/{POD}/resize")
            self.asked.append(exchange.body["spec"]["containers"])
            exchange.refuse(self.refuses, "no") if self.refuses else exchange.json(200, pod(JOBS))
            return
        exchange.start_lines()
        for state in self.says:
            exchange.line({"type": "MODIFIED", "object": pod(JOBS, **state)})
        exchange.end_lines()


def grown(connection: Connection, requests: dict[str, str]) -> str:
    with Api(connection, patience=5) as api:
        return grow(api, pod(requests), MANIFEST)


def pending(reason: str, generation: int = 2) -> dict[str, Any]:
    condition = {"type": "PodResizePending", "status": "True", "reason": reason, "message": "too little cpu"}
    return {"conditions": [condition | {"observedGeneration": generation}], "observedGeneration": generation}


def test_it_requests_what_a_job_does_and_keeps_all_else(server: ApiServer, connection: Connection) -> None:
    node = Node(server, {"observedGeneration": 1}, {"observedGeneration": 2})
    assert grown(connection, SMALL) == ""
    (containers,) = node.asked
    requests = JOBS | {"ephemeral-storage": "1Gi"}
    assert containers == [{"name": "build", "image": "k", "resources": {"requests": requests, "limits": LIMITS}}]


def test_the_same_in_other_words_is_no_growth(server: ApiServer, connection: Connection) -> None:
    node = Node(server)
    assert grown(connection, {"cpu": "1", "memory": "2048Mi"}) == ""
    assert node.asked == []


def test_a_cluster_that_tells_no_generation_tells_that_it_is_at_work(server: ApiServer, connection: Connection) -> None:
    Node(server, {}, {"conditions": [{"type": "PodResizeInProgress", "status": "True"}]})
    assert grown(connection, SMALL) == ""


@pytest.mark.parametrize("reason", ["Deferred", "Infeasible"])
def test_a_node_without_room_says_so(server: ApiServer, connection: Connection, reason: str) -> None:
    Node(server, pending(reason))
    assert grown(connection, SMALL) == f"its node has no room for it to grow ({reason}: too little cpu)"


def test_a_word_about_an_earlier_wish_is_not_waited_for(server: ApiServer, connection: Connection) -> None:
    Node(server, pending("Deferred", generation=1), {"observedGeneration": 2})
    assert grown(connection, SMALL) == ""


def test_a_node_that_says_nothing_does_not_get_the_job(server: ApiServer, connection: Connection) -> None:
    Node(server, {"observedGeneration": 1})
    assert grown(connection, SMALL) == "its node did not say within 5 s whether the pod may grow"


@pytest.mark.parametrize("status", [403, 404, 422])
def test_a_cluster_that_refuses_is_quoted(server: ApiServer, connection: Connection, status: int) -> None:
    Node(server, refuses=status)
    assert f"{status} no" in grown(connection, SMALL)
