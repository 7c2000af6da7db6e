"""A pod that accepts scripts is found by asking it, before the kubelet says so; the watch decides beside that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from executor.cluster.api import Api
from executor.stages import probe as module
from executor.stages.probe import Probe
from tests.support.jobs import CREATING, POD, READY, make_job, pod_state

if TYPE_CHECKING:
    from collections.abc import Callable

    from executor.job import Connection
    from tests.support.api_server import ApiServer, Exchange

BINARY = 2
STARTING = pod_state({"build": CREATING, "helper": CREATING, "tools": CREATING}, version=2)


class Pod:
    """Answers the watch, and each exec in its turn."""

    def __init__(self, server: ApiServer, *execs: Callable[[Exchange], None]) -> None:
        self.server = server
        self.execs = list(execs)
        self.tries = 0
        self.ready_after_tries = 0
        server.answers = [self.answer]

    def answer(self, exchange: Exchange) -> None:
        if exchange.path.endswith("/exec"):
            self.tries += 1
            self.execs.pop(0)(exchange)
            return
        exchange.start_lines()
        exchange.line({"type": "MODIFIED", "object": STARTING})
        while self.ready_after_tries and self.tries < self.ready_after_tries:
            exchange.closing.wait(0.01)
        if self.ready_after_tries:
            exchange.line({"type": "MODIFIED", "object": pod_state(READY, version=3)})
        exchange.closing.wait(20)


def says_ready(exchange: Exchange) -> None:
    exchange.websocket().frame(BINARY, b"\1kd1-ready\n")


def says_it_does_not_run(exchange: Exchange) -> None:
    peer = exchange.websocket()
    peer.frame(BINARY, b'\3{"status": "Failure", "message": "container not found"}')
    peer.close()


def refuses(exchange: Exchange) -> None:
    exchange.refuse(500, "container not found")


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOMENTS", (0.0, 0.05, 0.1))
    # The machine of the tests may be slow, and it is not the node.
    monkeypatch.setattr(module, "_BUSY_SECONDS", 60.0)


def states(connection: Connection, **job: Any) -> list[tuple[Any, bool]]:
    """Follow a pod until it is known to be ready, one way or the other."""
    seen = []
    with (
        Api(connection, patience=10) as api,
        api.watch_pod(POD, resource_version="1", seconds=20) as watch,
        Probe(make_job(connection, **job)) as probe,
    ):
        for pod, accepts in probe.states(watch, pod_state(node=""), 20):
            seen.append((pod["metadata"]["resourceVersion"], accepts))
            if accepts or pod["metadata"]["resourceVersion"] == "3":
                break
    return seen


def test_the_pod_itself_is_faster_than_its_status(server: ApiServer, connection: Connection) -> None:
    pod = Pod(server, says_ready)
    assert states(connection)[-1] == ("2", True)
    assert pod.tries == 1


@pytest.mark.parametrize("not_yet", [says_it_does_not_run, refuses])
def test_a_container_that_does_not_run_yet_is_asked_again(
    server: ApiServer, connection: Connection, not_yet: Callable[[Exchange], None]
) -> None:
    pod = Pod(server, not_yet, not_yet, says_ready)
    assert states(connection)[-1] == ("2", True)
    assert pod.tries == 3


def test_the_tries_are_few_and_the_watch_decides_after_them(server: ApiServer, connection: Connection) -> None:
    pod = Pod(server, refuses, refuses, refuses)
    pod.ready_after_tries = 3
    assert states(connection)[-1] == ("3", False)
    assert pod.tries == 3


def test_a_probe_that_says_nothing_does_not_keep_the_watch_from_deciding(
    server: ApiServer, connection: Connection
) -> None:
    def says_nothing(exchange: Exchange) -> None:
        exchange.websocket()
        exchange.closing.wait(20)

    pod = Pod(server, says_nothing)
    pod.ready_after_tries = 1
    assert states(connection)[-1] == ("3", False)


def test_a_pod_with_services_waits_for_the_kubelets_look(server: ApiServer, connection: Connection) -> None:
    pod = Pod(server)
    pod.ready_after_tries = -1
    services = {"metadata": {"name": POD}, "spec": {"initContainers": [{"name": "svc-0"}]}}
    assert states(connection, manifest=services)[-1] == ("3", False)
    assert pod.tries == 0


def test_a_node_that_was_slow_to_take_the_pod_is_not_asked(
    server: ApiServer, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BUSY_SECONDS", -1.0)
    pod = Pod(server)
    pod.ready_after_tries = -1
    assert states(connection)[-1] == ("3", False)
    assert pod.tries == 0
