"""The job path's API calls against a server that fails in every way an API server does."""

from __future__ import annotations

import json
import socket
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from executor.cluster import api as api_module
from executor.cluster.api import Api
from executor.errors import ClusterRefused, ClusterUnreachable
from tests.support.tls import make_certificate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from executor.job import Connection
    from tests.support.api_server import Answer, ApiServer, Exchange
    from tests.support.proxy import Proxy

POD = {"metadata": {"name": "job", "resourceVersion": "7"}, "spec": {}}
PODS = "/api/v1/namespaces/tenant-a/pods"


class Client(Api):
    """Remembers what it tried again."""

    def __init__(self, connection: Connection) -> None:
        self.told: list[BaseException] = []
        super().__init__(connection, on_retry=self.told.append, patience=60)


@pytest.fixture
def api(connection: Connection) -> Iterator[Client]:
    """A client of that server, which leaves no connection open."""
    with Client(connection) as client:
        yield client


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the client slept between tries; it does not really sleep."""
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    return slept


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A short time-out, for servers that never answer."""
    monkeypatch.setattr(api_module, "_READ_SECONDS", 0.2)


def says(document: object, status: int = 200) -> Answer:
    return lambda exchange: exchange.json(status, document)


def refuses(status: int, message: str = "no", reason: str = "", **headers: str) -> Answer:
    return lambda exchange: exchange.refuse(status, message, reason, **headers)


def silent(exchange: Exchange) -> None:
    exchange.silence()


def resets(exchange: Exchange) -> None:
    exchange.reset()


def cuts(exchange: Exchange) -> None:
    """Answer with half a document."""
    exchange.raw(200, json.dumps(POD).encode()[:-9], content_type="application/json")


class TestReading:
    def test_a_pod_is_read_with_the_token_and_as_one_request(self, server: ApiServer, api: Client) -> None:
        server.answers = [says(POD)]
        assert api.get_pod("job") == POD
        (request,) = server.exchanges
        assert (request.method, request.path) == ("GET", f"{PODS}/job")
        assert request.headers["Authorization"] == "Bearer t0ken"

    def test_one_connection_serves_many_calls(self, server: ApiServer, api: Client) -> None:
        server.answers = [says(POD)]
        for _ in range(5):
            api.get_pod("job")
        assert server.connections == 1

    def test_a_pod_that_is_absent_is_none_and_no_error(self, server: ApiServer, api: Client) -> None:
        server.answers = [refuses(404)]
        assert api.get_pod("job") is None
        assert len(server.exchanges) == 1

    def test_lists_carry_metadata_only(self, server: ApiServer, api: Client) -> None:
        server.answers = [says({"items": [{"metadata": {"name": "a"}}]})]
        assert api.list_pod_metadata("kaniko-driver/tenant=a", limit=3) == [{"name": "a"}]
        (request,) = server.exchanges
        assert dict(request.query) == {"labelSelector": "kaniko-driver/tenant=a", "limit": "3"}
        assert "PartialObjectMetadataList" in request.headers["Accept"]

    @pytest.mark.parametrize("listed", [{"items": None}, {"items": []}, {}])
    def test_an_empty_list_is_empty(self, server: ApiServer, api: Client, listed: dict[str, Any]) -> None:
        server.answers = [says(listed)]
        assert api.list_pod_metadata("a=b", limit=3) == []
        assert api.events_of("job") == []

    def test_events_are_those_of_the_pod(self, server: ApiServer, api: Client) -> None:
        server.answers = [says({"items": [{"reason": "FailedMount"}]})]
        assert api.events_of("job") == [{"reason": "FailedMount"}]
        assert ("fieldSelector", "involvedObject.name=job,involvedObject.kind=Pod") in server.exchanges[0].query


class TestDeleting:
    def test_a_pod_is_deleted(self, server: ApiServer, api: Client) -> None:
        server.answers = [says({"kind": "Status"})]
        assert api.delete_pod("job") is True
        assert server.requests() == [f"DELETE {PODS}/job"]

    def test_an_absent_pod_is_success_of_another_kind(self, server: ApiServer, api: Client) -> None:
        server.answers = [refuses(404)]
        assert api.delete_pod("job") is False

    def test_a_grace_is_passed_on(self, server: ApiServer, api: Client) -> None:
        server.answers = [says({})]
        api.delete_pod("job", grace_seconds=0)
        assert server.exchanges[0].body == {"gracePeriodSeconds": 0}


class TestSecretsAndGates:
    SECRETS = "/api/v1/namespaces/tenant-a/secrets"

    def test_a_secret_is_created_in_the_tenants_namespace(self, server: ApiServer, api: Client) -> None:
        server.answers = [says({}, 201)]
        api.create_secret({"metadata": {"name": "s"}})
        assert server.requests() == [f"POST {self.SECRETS}"]
        assert server.exchanges[0].body == {"metadata": {"name": "s"}}

    def test_one_that_an_earlier_try_made_is_ours(self, server: ApiServer, api: Client, naps: list[float]) -> None:
        server.answers = [
            lambda exchange: exchange.reset(),
            lambda exchange: exchange.refuse(409, "exists", "AlreadyExists"),
        ]
        api.create_secret({"metadata": {"name": "s"}})
        assert len(server.exchanges) == 2
        assert len(naps) <= 1

    def test_a_missing_right_is_told(self, server: ApiServer, api: Client) -> None:
        server.answers = [lambda exchange: exchange.refuse(403, "cannot create resource secrets", "Forbidden")]
        with pytest.raises(ClusterRefused, match="refused") as refused:
            api.create_secret({"metadata": {"name": "s"}})
        assert "cannot create resource secrets" in refused.value.why


class TestTryingAgain:
    def test_whoever_tries_again_himself_asks_once(
        self, server: ApiServer, connection: Connection, naps: list[float]
    ) -> None:
        server.answers = [refuses(503)]
        with pytest.raises(ClusterRefused), Api(connection, patience=60, tries=1) as api:
            api.get_pod("job")
        assert (len(server.exchanges), naps) == (1, [])

    @pytest.mark.parametrize("fault", [refuses(500), refuses(503), refuses(504), refuses(429), resets, cuts])
    def test_a_passing_fault_is_tried_again(
        self, server: ApiServer, api: Client, naps: list[float], fault: Answer
    ) -> None:
        server.answers = [fault, fault, says(POD)]
        assert api.get_pod("job") == POD
        assert len(server.exchanges) == 3
        assert len(api.told) == 2
        assert len(naps) <= 2

    @pytest.mark.usefixtures("impatient")
    def test_a_server_that_never_answers_is_tried_again(
        self, server: ApiServer, api: Client, naps: list[float]
    ) -> None:
        server.answers = [silent, says(POD)]
        assert api.get_pod("job") == POD
        assert naps == []

    def test_pauses_grow_and_end(self, server: ApiServer, api: Client, naps: list[float]) -> None:
        server.answers = [refuses(500, "etcdserver: request timed out")]
        with pytest.raises(ClusterRefused) as refused:
            api.get_pod("job")
        # The clock of this test stands still, so that the number of tries ends it and not the patience.
        assert len(server.exchanges) == 12
        assert naps[:5] == sorted(naps[:5])
        assert all(nap <= 16 for nap in naps)
        assert "etcdserver: request timed out" in refused.value.why
        assert "again later" in refused.value.remedy

    def test_a_server_that_says_when_is_not_asked_earlier(
        self, server: ApiServer, api: Client, naps: list[float]
    ) -> None:
        server.answers = [refuses(429, "slow down", Retry_After="7"), refuses(429, Retry_After="9"), says(POD)]
        assert api.get_pod("job") == POD
        first, second = naps
        assert first >= 7
        assert second >= 9

    @pytest.mark.parametrize("asked", ["86400", "soon", "-1", "Wed, 21 Oct 2026 07:28:00 GMT"])
    def test_an_unreasonable_wish_to_wait_is_bounded(
        self, server: ApiServer, api: Client, naps: list[float], asked: str
    ) -> None:
        server.answers = [refuses(429, Retry_After=asked), says(POD)]
        assert api.get_pod("job") == POD
        assert sum(naps) <= 60

    @pytest.mark.parametrize("message", ['User "u" cannot get resource "pods" in API group ""', ""])
    def test_a_server_that_has_just_started_knows_neither_tokens_nor_rights(
        self, server: ApiServer, api: Client, naps: list[float], message: str
    ) -> None:
        no = refuses(403, message, "Forbidden") if message else refuses(401, "Unauthorized")
        server.answers = [no, no, says(POD)]
        assert api.get_pod("job") == POD
        assert sum(naps) < 5

    def test_a_right_that_stays_missing_is_told_soon(self, server: ApiServer, api: Client, naps: list[float]) -> None:
        server.answers = [refuses(403, 'User "u" cannot get resource "pods"', "Forbidden")]
        with pytest.raises(ClusterRefused, match="cannot get"):
            api.get_pod("job")
        assert len(server.exchanges) == 4
        assert sum(naps) < 10

    @pytest.mark.parametrize("status", [400, 403, 422])
    def test_a_clear_no_is_not_asked_twice(self, server: ApiServer, api: Client, status: int) -> None:
        server.answers = [refuses(status, "no right", "Forbidden")]
        with pytest.raises(ClusterRefused) as refused:
            api.get_pod("job")
        assert len(server.exchanges) == 1
        assert (refused.value.status, refused.value.reason) == (status, "Forbidden")
        assert f"{status} no right" in refused.value.why

    @pytest.mark.usefixtures("naps")
    def test_an_answer_that_is_no_json_is_told_by_its_status(self, server: ApiServer, api: Client) -> None:
        server.answers = [lambda exchange: exchange.raw(502, b"<html>bad gateway</html>")]
        with pytest.raises(ClusterRefused, match="502") as refused:
            api.get_pod("job")
        assert refused.value.status == 502

    @pytest.mark.parametrize("answer", [b"null", b"[]", b"5", b'"pod"', b"[" * 100_000, b"", b"\xff"])
    def test_an_answer_that_is_no_object_is_none(
        self, server: ApiServer, connection: Connection, answer: bytes
    ) -> None:
        # Above all no pod that is gone, which would fail a job that runs.
        server.answers = [lambda exchange: exchange.raw(200, answer)]
        with Api(connection, patience=5, tries=1) as api, pytest.raises(ClusterUnreachable):
            api.get_pod("job")

    def test_a_refusal_that_is_nested_without_end_is_told_by_its_status(self, server: ApiServer, api: Client) -> None:
        server.answers = [lambda exchange: exchange.raw(403, b"[" * 100_000)]
        with pytest.raises(ClusterRefused, match="HTTP 403"):
            api.get_pod("job")

    def test_a_connection_that_the_server_closed_while_idle_costs_no_call(
        self, server: ApiServer, api: Client, naps: list[float]
    ) -> None:
        def answer_and_close(exchange: Exchange) -> None:
            exchange.json(200, POD)
            exchange.reset()

        server.answers = [answer_and_close, says(POD)]
        assert api.get_pod("job") == POD
        assert api.get_pod("job") == POD
        assert naps == []


class TestCreating:
    def test_a_pod_is_created_once(self, server: ApiServer, api: Client) -> None:
        server.answers = [says(POD, 201)]
        assert api.create_pod(POD) == POD
        assert server.requests() == [f"POST {PODS}"]
        assert server.exchanges[0].body == POD

    @pytest.mark.usefixtures("naps", "impatient")
    @pytest.mark.parametrize("fault", [silent, resets, cuts, refuses(500), refuses(504, "Timeout")])
    def test_after_an_unclear_answer_the_pod_is_looked_for_and_found(
        self, server: ApiServer, api: Client, fault: Answer
    ) -> None:
        server.answers = [fault, says(POD)]
        assert api.create_pod(POD) == POD
        assert server.requests() == [f"POST {PODS}", f"GET {PODS}/job"]

    @pytest.mark.usefixtures("naps")
    def test_a_pod_that_did_not_land_is_created_again(self, server: ApiServer, api: Client) -> None:
        server.answers = [refuses(500), refuses(404), says(POD, 201)]
        assert api.create_pod(POD) == POD
        assert server.requests() == [f"POST {PODS}", f"GET {PODS}/job", f"POST {PODS}"]

    @pytest.mark.usefixtures("naps")
    def test_a_pod_that_lands_between_look_and_second_try_is_ours(self, server: ApiServer, api: Client) -> None:
        server.answers = [
            refuses(500),
            refuses(404),
            refuses(409, 'pods "job" already exists', "AlreadyExists"),
            says(POD),
        ]
        assert api.create_pod(POD) == POD
        assert server.requests()[-2:] == [f"POST {PODS}", f"GET {PODS}/job"]

    def test_a_name_that_was_taken_before_is_refused(self, server: ApiServer, api: Client) -> None:
        server.answers = [refuses(409, 'pods "job" already exists', "AlreadyExists")]
        with pytest.raises(ClusterRefused) as refused:
            api.create_pod(POD)
        assert refused.value.status == 409
        assert len(server.exchanges) == 1

    @pytest.mark.usefixtures("naps")
    def test_a_quota_that_changed_meanwhile_is_no_refusal(self, server: ApiServer, api: Client) -> None:
        """Quota admission answers so when two pods are created at once, and asks for another try."""
        conflict = 'Operation cannot be fulfilled on resourcequotas "q": the object has been modified; please apply'
        server.answers = [refuses(409, conflict, "Conflict"), refuses(404), says(POD, 201)]
        assert api.create_pod(POD) == POD

    def test_a_quota_that_is_used_up_is_told_in_the_servers_words(self, server: ApiServer, api: Client) -> None:
        server.answers = [refuses(403, 'pods "job" is forbidden: exceeded quota: q', "Forbidden")]
        with pytest.raises(ClusterRefused, match="POST") as refused:
            api.create_pod(POD)
        assert "exceeded quota: q" in refused.value.why
        assert len(server.exchanges) == 1


def event(kind: str, **metadata: str) -> dict[str, Any]:
    return {"type": kind, "object": {"metadata": {"name": "job", **metadata}}}


class TestWatching:
    def watch(self, api: Client) -> list[dict[str, Any]]:
        with api.watch_pod("job", resource_version="7", seconds=30) as watch:
            return [pod for _, pod in iter(watch.next, None)]

    def lines(self, *documents: object, end: str = "clean") -> Answer:
        def answer(exchange: Exchange) -> None:
            exchange.start_lines()
            for document in documents:
                exchange.line(document)
            exchange.end_lines() if end == "clean" else exchange.drop()

        return answer

    def test_new_states_arrive_as_they_happen(self, server: ApiServer, api: Client) -> None:
        seen = threading.Event()

        def answer(exchange: Exchange) -> None:
            exchange.start_lines()
            exchange.line(event("ADDED", resourceVersion="8"))
            assert seen.wait(60), "the first state must arrive before the second is sent"
            exchange.line(event("MODIFIED", resourceVersion="9"))
            exchange.end_lines()

        server.answers = [answer]
        versions = []
        with api.watch_pod("job", resource_version="7", seconds=30) as watch:
            for _, pod in iter(watch.next, None):
                versions.append(pod["metadata"]["resourceVersion"])
                seen.set()
        assert versions == ["8", "9"]
        query = dict(server.exchanges[0].query)
        assert query == {
            "watch": "true",
            "fieldSelector": "metadata.name=job",
            "resourceVersion": "7",
            "timeoutSeconds": "30",
        }

    def test_a_deleted_pod_is_yielded_as_deleted(self, server: ApiServer, api: Client) -> None:
        server.answers = [self.lines(event("DELETED"))]
        (pod,) = self.watch(api)
        assert pod["metadata"]["deletionTimestamp"]

    def test_an_expired_version_is_told(self, server: ApiServer, api: Client) -> None:
        expired = {
            "type": "ERROR",
            "object": {"kind": "Status", "code": 410, "message": "too old", "reason": "Expired"},
        }
        server.answers = [self.lines(event("ADDED"), expired)]
        with pytest.raises(ClusterRefused) as refused:
            self.watch(api)
        assert refused.value.status == 410

    @pytest.mark.parametrize("broken", [["x"], [event("ADDED"), {"type": "ADDED"}], [5], [{}]])
    def test_nonsense_is_a_broken_connection(self, server: ApiServer, api: Client, broken: list[object]) -> None:
        server.answers = [self.lines(*broken)]
        with pytest.raises(ClusterUnreachable):
            self.watch(api)

    def test_a_watch_that_breaks_keeps_what_came_and_ends(self, server: ApiServer, api: Client) -> None:
        server.answers = [self.lines(event("ADDED"), end="drop")]
        with api.watch_pod("job", resource_version="7", seconds=30) as watch:
            change = watch.next()
            assert change is not None
            assert change[1]["metadata"]["name"] == "job"
            assert watch.next() is None

    def test_a_watch_that_falls_silent_ends(
        self, server: ApiServer, api: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(api_module, "_WATCH_SLACK_SECONDS", 0.1)

        def answer(exchange: Exchange) -> None:
            exchange.start_lines()
            exchange.silence()

        server.answers = [answer]
        with api.watch_pod("job", resource_version="7", seconds=0.1) as watch, pytest.raises(ClusterUnreachable):
            watch.next()

    def test_other_calls_during_a_watch_do_not_disturb_it(self, server: ApiServer, api: Client) -> None:
        server.answers = [self.lines(event("ADDED"), event("MODIFIED")), says({}), says(POD)]
        with api.watch_pod("job", resource_version="7", seconds=30) as watch:
            watch.next()
            assert api.delete_pod("job") is True
            assert api.get_pod("job") == POD
            assert len(list(iter(watch.next, None))) == 1
        assert len(server.exchanges) == 3


@pytest.mark.usefixtures("naps")
class TestReachingTheServer:
    def test_a_closed_port_is_told_with_the_servers_address(
        self, api: Client, connection: Connection, server: ApiServer
    ) -> None:
        server.answers = []
        server.close()
        with pytest.raises(ClusterUnreachable) as unreachable:
            api.create_pod(POD)
        assert connection.server in unreachable.value.what
        assert "refused" in unreachable.value.why
        assert "run it again" in unreachable.value.remedy

    def test_patience_bounds_all_tries_of_a_server_that_never_answers(
        self, server: ApiServer, connection: Connection
    ) -> None:
        server.answers = [silent]
        started = time.monotonic()
        with pytest.raises(ClusterUnreachable) as unreachable:
            Api(connection, patience=0.3).get_pod("job")
        assert time.monotonic() - started < 20
        assert "timed out" in unreachable.value.why

    def test_patience_bounds_a_port_that_accepts_and_speaks_no_tls(
        self, connection: Connection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(api_module, "_CONNECT_SECONDS", 60)
        with socket.create_server(("127.0.0.1", 0)) as hole:
            started = time.monotonic()
            lost = replace(connection, server=f"https://127.0.0.1:{hole.getsockname()[1]}")
            with pytest.raises(ClusterUnreachable) as unreachable:
                Api(lost, patience=0.3).create_pod(POD)
            assert time.monotonic() - started < 30
            assert "timed out" in unreachable.value.why

    def test_another_authority_is_no_server_of_ours(
        self, server: ApiServer, connection: Connection, tmp_path: Path
    ) -> None:
        other = make_certificate(tmp_path)
        server.answers = []
        with pytest.raises(ClusterUnreachable, match="does not answer") as unreachable:
            Api(replace(connection, ca_file=str(other.certificate)), patience=0.5).get_pod("job")
        assert "CERTIFICATE_VERIFY_FAILED" in unreachable.value.why
        assert server.exchanges == []

    def test_a_name_that_the_certificate_lacks_is_refused_unless_the_kubeconfig_says_which_to_expect(
        self, server: ApiServer, connection: Connection
    ) -> None:
        server.answers = [says(POD)]
        by_name = replace(connection, tls_server_name="kubernetes.example.com")
        with pytest.raises(ClusterUnreachable, match="does not answer"):
            Api(by_name, patience=0.5).get_pod("job")
        with Client(replace(connection, tls_server_name="localhost")) as client:
            assert client.get_pod("job") == POD

    def test_an_insecure_kubeconfig_is_taken_at_its_word(
        self, server: ApiServer, connection: Connection, tmp_path: Path
    ) -> None:
        server.answers = [says(POD)]
        other = make_certificate(tmp_path)
        with Client(replace(connection, ca_file=str(other.certificate), insecure=True)) as client:
            assert client.get_pod("job") == POD

    def test_a_server_below_a_path_is_asked_there(self, server: ApiServer, connection: Connection) -> None:
        server.answers = [says(POD)]
        with Client(replace(connection, server=f"{server.url}/k8s/clusters/c-1")) as client:
            client.get_pod("job")
            client.list_pod_metadata("a=b", limit=1)
        prefix = "/k8s/clusters/c-1/api/v1/namespaces/tenant-a/pods"
        assert server.requests() == [f"GET {prefix}/job", f"GET {prefix}"]


class TestProxy:
    def test_calls_go_through_it_with_its_login(self, server: ApiServer, connection: Connection, proxy: Proxy) -> None:
        server.answers = [says(POD)]
        through = replace(connection, proxy=f"http://u%20ser:p%40ss@127.0.0.1:{proxy.port}")
        with Client(through) as client:
            assert client.get_pod("job") == POD
        (request,) = proxy.requests
        assert request.startswith(f"CONNECT {server.url.removeprefix('https://')} ")
        assert "Proxy-Authorization" not in server.exchanges[0].headers

    def test_a_proxy_that_refuses_is_told(self, connection: Connection, proxy: Proxy) -> None:
        without_login = replace(connection, proxy=f"http://127.0.0.1:{proxy.port}")
        with pytest.raises(ClusterUnreachable) as unreachable, Api(without_login, patience=0.3) as api:
            api.get_pod("job")
        assert "407" in unreachable.value.why


class TestRenewing:
    def test_an_expired_token_is_renewed_once(self, server: ApiServer, numbered: Connection) -> None:
        server.answers = [refuses(401, "Unauthorized"), says(POD)]
        with Client(numbered) as client:
            assert client.get_pod("job") == POD
            assert client.get_pod("job") == POD
        sent = [exchange.headers["Authorization"] for exchange in server.exchanges]
        assert sent == ["Bearer token-1", "Bearer token-2", "Bearer token-2"]

    @pytest.mark.usefixtures("naps")
    def test_a_token_that_stays_refused_is_told(self, server: ApiServer, numbered: Connection) -> None:
        server.answers = [refuses(401, "Unauthorized")]
        with pytest.raises(ClusterRefused) as refused, Client(numbered) as client:
            client.get_pod("job")
        assert "renew the kubeconfig's token" in refused.value.remedy
        # Six tries, and the token is renewed at each.
        assert len(server.exchanges) == 12


@pytest.mark.parametrize(
    ("message", "remedy"),
    [
        ('secrets is forbidden: User "u" cannot create resource "secrets"', "the verb create on secrets"),
        ('secrets "x" is forbidden: exceeded quota: q, requested: count/secrets=1', "raise the quota"),
    ],
)
def test_a_refusal_says_whether_a_right_or_room_is_missing(
    server: ApiServer, api: Client, message: str, remedy: str
) -> None:
    server.answers = [refuses(403, message, "Forbidden")]
    with pytest.raises(ClusterRefused) as refused:
        api.create_secret({"metadata": {"name": "x"}})
    assert message in refused.value.why
    assert remedy in refused.value.remedy
