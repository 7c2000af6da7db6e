"""Waiting for room in the quota, against a namespace that counts its pods as a cluster does."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from executor.errors import ClusterRefused, PodNotStarted, PodRejected, RunnerGone
from executor.stages import prepare as stage
from executor.stages import room
from tests.support.jobs import PODS, READY, make_job, pod_state
from tests.support.waiting import until
from tests.unit.stages.test_prepare import Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from executor.job import Connection
    from tests.support.api_server import ApiServer, Exchange

    Change = tuple[int, str, dict[str, Any]]


class Namespace:
    """Holds pods up to its quota and tells watchers of every change, from the version that they name."""

    def __init__(self, server: ApiServer, *, most: int) -> None:
        self.server = server
        self.most = most
        self.pods: dict[str, dict[str, Any]] = {}
        self.changes: list[Change] = []
        self.refused = 0
        self.watches = 0
        self.news = threading.Condition()
        self.on_watch: list[Callable[[Exchange], None]] = []
        server.answers = [self.answer]

    def add(self, name: str, **metadata: Any) -> None:
        with self.news:
            self.pods[name] = {"name": name, **metadata}
            self._tell("ADDED", self.pods[name])

    def remove(self, name: str) -> None:
        with self.news:
            self._tell("DELETED", self.pods.pop(name))

    def _tell(self, kind: str, metadata: dict[str, Any]) -> None:
        version = len(self.changes) + 1
        self.changes.append((version, kind, {"metadata": {**metadata, "resourceVersion": str(version)}}))
        self.news.notify_all()

    def answer(self, exchange: Exchange) -> None:
        query = dict(exchange.query)
        if exchange.method == "POST":
            self.create(exchange)
        elif exchange.method == "DELETE":
            name = exchange.path.rpartition("/")[2]
            self.remove(name) if name in self.pods else exchange.refuse(404, "no pod")
            exchange.json(200, {})
        elif "fieldSelector" in query:
            exchange.start_lines()
            exchange.line({"type": "MODIFIED", "object": pod_state(READY)})
            exchange.end_lines()
        elif "watch" in query and self.on_watch:
            self.on_watch.pop(0)(exchange)
        elif "watch" in query:
            self.watch(exchange, int(query.get("resourceVersion") or 0), float(query["timeoutSeconds"]))
        else:
            kept = [{"metadata": pod} for pod in self.pods.values() if "kept" in pod]
            exchange.json(200, {"metadata": {"resourceVersion": str(len(self.changes))}, "items": kept})

    def create(self, exchange: Exchange) -> None:
        with self.news:
            used = len(self.pods)
            if used < self.most:
                self.add(exchange.body["metadata"]["name"])
        if used < self.most:
            exchange.json(201, pod_state(node=""))
            return
        self.refused += 1
        words = f"exceeded quota: q, requested: pods=1, used: pods={used}, limited: pods={self.most}"
        exchange.refuse(403, f'pods "job" is forbidden: {words}', "Forbidden")

    def watch(self, exchange: Exchange, version: int, seconds: float) -> None:
        exchange.start_lines()
        self.watches += 1
        end = time.monotonic() + seconds
        while not exchange.closing.is_set() and (left := end - time.monotonic()) > 0:
            with self.news:
                if len(self.changes) == version:
                    self.news.wait(min(left, 0.1))
                news = self.changes[version:]
            for change, kind, pod in news:
                exchange.line({"type": kind, "object": pod})
                version = change
        exchange.end_lines()


@pytest.fixture
def namespace(server: ApiServer) -> Namespace:
    """A namespace whose only place is taken."""
    made = Namespace(server, most=1)
    made.add("other")
    return made


@pytest.fixture
def prepare(tmp_path: Path, connection: Connection, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setattr(stage, "_BETWEEN_WATCHES", 0.0)
    monkeypatch.setattr(room, "_RECOUNT", 0.01)
    monkeypatch.setattr(room, "_DRAW", 0.1)
    # Only what is seen of other pods shall lead to a try.
    monkeypatch.setattr(room, "_SHORTEST_PAUSE", 20.0)
    made = Stage(tmp_path, connection)
    yield made
    made.close()


def when(happens: Callable[[], object], then: Callable[[], None]) -> threading.Thread:
    """Do something as soon as something else is so."""

    def wait() -> None:
        until("the moment", happens)
        then()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_a_job_waits_until_another_ones_pod_is_gone(prepare: Stage, namespace: Namespace) -> None:
    helper = when(lambda: namespace.watches, lambda: namespace.remove("other"))
    assert prepare.run() == 0
    helper.join()
    assert prepare.said.count("kaniko-driver: waiting for room: quota q: used pods 1 of 1\n") == 1
    assert prepare.events == ["waiting for room", "pod created", "pod ready"]
    assert not prepare.intent.exists()
    # One more create, one list and one watch are what waiting costs.
    expected = [f"POST {PODS}", f"GET {PODS}", f"GET {PODS}", f"POST {PODS}", f"GET {PODS}"]
    assert namespace.server.requests() == expected


def test_a_pod_that_went_before_the_watch_began_is_not_missed(prepare: Stage, namespace: Namespace) -> None:
    def remove_first(exchange: Exchange) -> None:
        namespace.remove("other")
        namespace.watch(exchange, int(dict(exchange.query)["resourceVersion"]), 5)

    namespace.on_watch = [remove_first]
    assert prepare.run() == 0
    assert namespace.refused == 1


def test_who_sees_another_pod_take_the_place_does_not_try(
    prepare: Stage, namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    draws = iter([3600.0, 0.0])
    monkeypatch.setattr(room.Room, "_draw", lambda _: next(draws))

    def taken_then_free() -> None:
        namespace.remove("other")
        namespace.add("faster")
        namespace.remove("faster")

    helper = when(lambda: namespace.watches, taken_then_free)
    assert prepare.run() == 0
    helper.join()
    assert namespace.refused == 1


def test_who_tried_in_vain_does_not_try_again_at_once(
    prepare: Stage, namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_RECOUNT", 0.5)
    namespace.add("ended")
    tries: list[float] = []

    def create(exchange: Exchange) -> None:
        tries.append(time.monotonic())
        Namespace.create(namespace, exchange)

    monkeypatch.setattr(namespace, "create", create)
    # Its going makes no room: it had ended long ago, and counted no more.
    first = when(lambda: namespace.watches, lambda: namespace.remove("ended"))
    then = when(lambda: len(tries) == 3, lambda: namespace.remove("other"))
    assert prepare.run() == 0
    first.join()
    then.join()
    assert tries[2] - tries[1] >= 0.5


def test_without_any_sign_it_is_tried_again_after_a_while(
    prepare: Stage, namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_SHORTEST_PAUSE", 0.1)

    def more() -> None:
        namespace.most = 2

    helper = when(lambda: namespace.refused >= 2, more)
    assert prepare.run() == 0
    helper.join()
    # The list is read once; each further try costs a create and a watch.
    lists = [one for one in namespace.server.exchanges if "labelSelector" in dict(one.query)]
    assert len(lists) == 1


@pytest.mark.parametrize(
    "fault",
    [
        lambda exchange: exchange.refuse(410, "too old", "Expired"),
        lambda exchange: exchange.refuse(429, "too many requests", "TooManyRequests"),
        lambda exchange: exchange.refuse(503, "apiserver is shutting down", "ServiceUnavailable"),
        lambda exchange: exchange.reset(),
        lambda exchange: exchange.raw(200, b"{"),
        lambda exchange: exchange.raw(200, b'{"type":"ERROR","object":{"code":410}}\n'),
        lambda exchange: exchange.raw(200, b""),
    ],
    ids=["expired", "too many", "restarting", "reset", "garbage", "expired inside", "empty"],
)
def test_a_watch_that_fails_leaves_the_wait_for_the_next_try(
    prepare: Stage, namespace: Namespace, monkeypatch: pytest.MonkeyPatch, fault: Callable[[Exchange], None]
) -> None:
    monkeypatch.setattr(room, "_SHORTEST_PAUSE", 0.2)

    def break_off(exchange: Exchange) -> None:
        namespace.most = 2
        fault(exchange)

    namespace.on_watch = [break_off]
    assert prepare.run() == 0
    assert namespace.refused == 1


def test_a_missing_right_to_watch_is_told(
    prepare: Stage, namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_DENIALS", 1)
    namespace.on_watch = [lambda exchange: exchange.refuse(403, 'cannot watch resource "pods"', "Forbidden")]
    with pytest.raises(ClusterRefused) as refused:
        prepare.run()
    assert "cannot watch" in refused.value.why


@pytest.mark.parametrize("when_full", ["wait", "fail"])
def test_the_oldest_kept_pod_makes_room_first(prepare: Stage, namespace: Namespace, when_full: str) -> None:
    namespace.most = 4
    namespace.add("going", kept=1, creationTimestamp="2026-01-01T00:00:00Z", deletionTimestamp="2026-01-04T00:00:00Z")
    namespace.add("newer", kept=1, creationTimestamp="2026-01-03T00:00:00Z")
    namespace.add("older", kept=1, creationTimestamp="2026-01-02T00:00:00Z")
    assert prepare.run(when_full=when_full) == 0
    assert sorted(namespace.pods) == sorted(["other", "going", "newer", make_job().pod])
    assert "the pod older, kept of a failed job, was deleted to make room" in prepare.said
    (listed,) = [query for query in (dict(one.query) for one in namespace.server.exchanges) if "labelSelector" in query]
    assert listed["labelSelector"] == "kaniko-driver/tenant=tenant-a,kaniko-driver/kept"


def test_a_job_of_a_tenant_that_does_not_wait_fails_at_once(prepare: Stage, namespace: Namespace) -> None:
    with pytest.raises(PodRejected, match="no room for the job pod: quota q: used pods 1 of 1") as rejected:
        prepare.run(when_full="fail")
    assert "exceeded quota: q" in rejected.value.why
    assert "run this one again" in rejected.value.remedy
    assert not prepare.intent.exists()
    assert namespace.refused == 1


def test_the_wait_has_an_end_that_names_the_quota(prepare: Stage, namespace: Namespace) -> None:
    with pytest.raises(PodRejected, match=r"within 1 s \(timeouts.schedule of the tenant\): quota q: used pods 1 of 1"):
        prepare.run(schedule_timeout=1)
    assert namespace.refused == 2
    assert not prepare.intent.exists()


def test_a_job_larger_than_the_whole_quota_does_not_wait(prepare: Stage, namespace: Namespace) -> None:
    namespace.most = 0
    with pytest.raises(PodRejected, match="larger than its whole quota q: pods 1 of 0"):
        prepare.run()
    assert namespace.refused == 1


def test_a_runner_that_is_gone_ends_the_wait(
    prepare: Stage, namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_SHORTEST_PAUSE", 0.1)

    def gone(_: object) -> None:
        raise RunnerGone

    monkeypatch.setattr("executor.stages.cancel.Runner.check", gone)
    with pytest.raises(RunnerGone):
        prepare.run()
    assert namespace.refused == 1


def test_a_refusal_for_another_reason_is_not_waited_for(prepare: Stage, namespace: Namespace) -> None:
    namespace.server.answers = [lambda exchange: exchange.refuse(403, "failed quota: q: must specify limits.cpu")]
    with pytest.raises(PodRejected, match="The cluster refused the job pod"):
        prepare.run()


def test_of_many_that_wait_few_try_for_one_place(
    tmp_path: Path, connection: Connection, namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "_BETWEEN_WATCHES", 0.0)
    monkeypatch.setattr(room, "_SHORTEST_PAUSE", 60.0)
    failures: list[BaseException] = []
    waiting = 8

    def one(number: int) -> None:
        folder = tmp_path / f"job-{number}"
        folder.mkdir()
        made = Stage(folder, connection)
        try:
            made.run(pod=f"job-{number}", manifest={"metadata": {"name": f"job-{number}"}, "spec": {}})
        except (PodRejected, PodNotStarted, ClusterRefused) as error:
            failures.append(error)
        finally:
            made.close()

    jobs = [threading.Thread(target=one, args=(number,)) for number in range(waiting)]
    for job in jobs:
        job.start()
    until("all of them wait", lambda: namespace.watches == waiting)
    for _ in range(waiting):
        namespace.remove(next(iter(namespace.pods)))
        until("one took the place", lambda: len(namespace.pods) == 1)
    for job in jobs:
        job.join()
    assert not failures
    # Each has one watch all the time, tries in between included.
    assert namespace.watches == waiting
    # All at once would be 8 + 7 + 6 + … refused creates; those that lose a draw by a hair are a few.
    assert namespace.refused < waiting + waiting * (waiting - 1) / 2
