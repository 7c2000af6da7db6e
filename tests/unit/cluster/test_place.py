"""What became of a container, and why: also where the kubelet tells the one some seconds before the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from executor.cluster.place import Place
from executor.cluster.script import Fate
from executor.errors import PodLost
from tests.support.jobs import CREATING, RUNNING, pod_state

if TYPE_CHECKING:
    from executor.job import Connection
    from tests.support.api_server import Answer, ApiServer

ENDED: dict[str, Any] = {"terminated": {"exitCode": 0, "reason": "Completed"}}
KILLED: dict[str, Any] = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
EVICTED = {
    "phase": "Failed",
    "reason": "Evicted",
    "message": 'Usage of EmptyDir volume "stages" exceeds the limit "2Gi".',
}


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses between looks, not waited for."""
    taken: list[float] = []
    monkeypatch.setattr("executor.cluster.place.time.sleep", taken.append)
    return taken


def says(states: dict[str, dict[str, Any]], **status: Any) -> Answer:
    pod = pod_state(states)
    pod["status"] |= status
    return lambda exchange: exchange.json(200, pod)


def tells(*events: dict[str, str]) -> Answer:
    return lambda exchange: exchange.json(200, {"items": list(events)})


def place(connection: Connection) -> Place:
    return Place(connection, pod="job", container="build")


def test_a_running_container_is_told_at_once(server: ApiServer, connection: Connection, naps: list[float]) -> None:
    server.answers = [says({"build": RUNNING, "helper": RUNNING})]
    assert place(connection).look() is Fate.RUNNING
    assert naps == []


def test_a_container_that_is_not_reported_yet_runs_all_the_same(server: ApiServer, connection: Connection) -> None:
    # It took a script, or nobody would look for it.
    server.answers = [says({"build": CREATING, "helper": CREATING}, phase="Pending")]
    assert place(connection).look() is Fate.RUNNING


def test_a_container_that_was_started_again_counts_as_ended(server: ApiServer, connection: Connection) -> None:
    pod = pod_state({"build": RUNNING, "helper": RUNNING})
    build = next(one for one in pod["status"]["containerStatuses"] if one["name"] == "build")
    build |= {"restartCount": 1, "lastState": KILLED}
    server.answers = [lambda exchange: exchange.json(200, pod)]
    one = place(connection)
    assert one.look() is Fate.ENDED
    assert "memory" in str(one.explain())


def test_a_reason_that_comes_later_is_waited_for(server: ApiServer, connection: Connection, naps: list[float]) -> None:
    server.answers = [
        says({"build": ENDED, "helper": RUNNING}),
        says({"build": ENDED, "helper": ENDED}),
        tells(),
        lambda exchange: exchange.refuse(503, "busy"),
        says({"build": ENDED, "helper": ENDED}, **EVICTED),
    ]
    build = place(connection)
    assert build.look() is Fate.ENDED
    assert "stages" in str(build.explain())
    assert len(naps) == 3


def test_an_eviction_that_only_an_event_tells_is_found(
    server: ApiServer, connection: Connection, naps: list[float]
) -> None:
    """Its containers end with 0 when they are told to, and then the pod counts as one that succeeded."""
    state = says({"build": ENDED, "helper": ENDED}, phase="Succeeded")
    server.answers = [
        state,
        state,
        tells({"reason": "Scheduled"}, {"reason": "Evicted", "message": EVICTED["message"]}),
    ]
    with pytest.raises(PodLost, match="stages"):
        place(connection).look()
    assert sum(naps) == 0


def test_a_reason_that_never_comes_holds_nobody_up(
    server: ApiServer, connection: Connection, naps: list[float]
) -> None:
    server.answers = [says({"build": ENDED, "helper": ENDED})]
    with pytest.raises(PodLost, match="ended under the script"):
        place(connection).look()
    assert sum(naps) < 10


def test_a_cause_that_is_known_needs_no_second_look(
    server: ApiServer, connection: Connection, naps: list[float]
) -> None:
    server.answers = [says({"build": KILLED, "helper": ENDED})]
    with pytest.raises(PodLost):
        place(connection).look()
    assert (naps, len(server.exchanges)) == ([], 1)


@pytest.mark.parametrize(
    ("event", "category"),
    [
        ({"reason": "Preempted", "message": "Preempted by pod x on node n"}, "preempted"),
        ({"reason": "TaintManagerEviction", "message": "Marking for deletion Pod tenant-a/job"}, "node_lost"),
        ({"reason": "Killing", "message": "Stopping container build"}, "pod_deleted"),
    ],
)
def test_why_a_pod_is_gone_is_asked_of_its_events_once(
    server: ApiServer, connection: Connection, naps: list[float], event: dict[str, str], category: str
) -> None:
    server.answers = [lambda exchange: exchange.refuse(404, "not found"), lambda e: e.json(200, {"items": [event]})]
    with pytest.raises(PodLost) as lost:
        place(connection).look()
    assert (lost.value.category, naps, len(server.exchanges)) == (category, [], 2)


@pytest.mark.parametrize("states", [{}, {"build": {"waiting": {"reason": "ContainerCreating"}}}])
def test_a_container_of_which_the_kubelet_has_said_nothing_yet_is_at_work(
    server: ApiServer, connection: Connection, states: dict[str, Any]
) -> None:
    """Scripts begin when the pod itself says so, which a kubelet that is restarted tells the API server later."""
    server.answers = [lambda exchange: exchange.json(200, pod_state(states, phase="Pending"))]
    assert place(connection).look() is Fate.RUNNING


@pytest.mark.parametrize("status", [{"phase": "Failed"}, {"phase": "Running", "reason": "Evicted", "message": "x"}])
def test_but_not_in_a_pod_that_is_over(
    server: ApiServer, connection: Connection, naps: list[float], status: dict[str, Any]
) -> None:
    server.answers = [lambda exchange: exchange.json(200, pod_state({}, **status))]
    with pytest.raises(PodLost):
        place(connection).look()
    assert sum(naps) < 10
