"""One exec over a WebSocket: bytes arrive by channel, and every way to break is told apart."""

from __future__ import annotations

import json
import random
import socket
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from executor.cluster import credentials
from executor.cluster.stream import STATUS, STDERR, STDOUT, ExecStream
from executor.errors import ClusterRefused, ClusterUnreachable
from tests.support.api_server import frame_bytes
from tests.support.tls import make_certificate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from executor.job import Connection
    from tests.support.api_server import Answer, ApiServer, Exchange, Peer
    from tests.support.proxy import Proxy

BINARY, TEXT, PONG = 2, 1, 10


class Client:
    """Opens streams and closes them at the end."""

    def __init__(self) -> None:
        self.streams: list[ExecStream] = []

    def open(self, connection: Connection, *command: str, seconds: float = 15) -> ExecStream:
        context = credentials.tls_context(connection)
        words = list(command) or ["true"]
        stream = ExecStream(connection, context, pod="job", container="build", command=words, seconds=seconds)
        self.streams.append(stream)
        return stream


@pytest.fixture
def client() -> Iterator[Client]:
    made = Client()
    yield made
    for stream in made.streams:
        stream.close()


def accepts(talk: Callable[[Peer], None]) -> Answer:
    return lambda exchange: talk(exchange.websocket())


def hangs_on(peer: Peer) -> None:
    assert peer.receive() is None


def received(stream: ExecStream) -> dict[int, bytes]:
    """Everything until the command's end, by channel."""
    data = {STDOUT: b"", STDERR: b"", STATUS: b""}
    while (frame := stream.receive(10)) is not None:
        data[frame[0]] += frame[1]
    return data


def test_the_command_and_its_container_arrive_word_by_word(
    server: ApiServer, connection: Connection, client: Client
) -> None:
    server.answers = [accepts(hangs_on)]
    words = ["/driver/tools/busybox", "sh", "a b", "", "ä&=?#%", "--x=1\n2"]
    client.open(connection, *words)
    (exchange,) = server.exchanges
    assert exchange.path == "/api/v1/namespaces/tenant-a/pods/job/exec"
    assert [value for name, value in exchange.query if name == "command"] == words
    assert {name: value for name, value in exchange.query if name != "command"} == {
        "container": "build",
        "stdin": "true",
        "stdout": "true",
        "stderr": "true",
    }
    assert exchange.headers["Authorization"] == "Bearer t0ken"
    assert "v5.channel.k8s.io" in exchange.headers["Sec-WebSocket-Protocol"]


def test_stdin_arrives_whole_and_in_bounded_frames(server: ApiServer, connection: Connection, client: Client) -> None:
    payload = random.Random(6).randbytes(1_000_000)
    arrived: list[bytes] = []
    done = threading.Event()

    def talk(peer: Peer) -> None:
        arrived.append(peer.received(len(payload)))
        done.set()
        hangs_on(peer)

    server.answers = [accepts(talk)]
    client.open(connection).send(payload)
    assert done.wait(60)
    assert arrived == [payload]


def test_output_arrives_by_channel_byte_for_byte(server: ApiServer, connection: Connection, client: Client) -> None:
    some = random.Random(7)
    out, err = some.randbytes(400_000) + b"\0\xff\r\n", b"kd1 started\n\xff"

    def talk(peer: Peer) -> None:
        position = 0
        peer.send(STDERR, err[:5])
        while position < len(out):
            size = some.choice((1, 120, 125, 126, 127, 65535, 65536, 100_000))
            peer.send(STDOUT, out[position : position + size])
            position += size
        peer.send(STDERR, err[5:])
        peer.close()

    server.answers = [accepts(talk)]
    assert received(client.open(connection)) == {STDOUT: out, STDERR: err, STATUS: b""}


def test_what_is_no_output_is_passed_over(server: ApiServer, connection: Connection, client: Client) -> None:
    status = json.dumps({"status": "Failure", "message": "what became of the command"}).encode()

    def talk(peer: Peer) -> None:
        for channel in (STDOUT, STDERR):
            # Kubernetes opens each channel with an empty message.
            peer.send(channel, b"")
        peer.ping()
        peer.frame(PONG, b"x")
        peer.frame(BINARY, b"")
        peer.send(STATUS, status)
        peer.send(77, b"unknown channel")
        peer.send(STDOUT, b"output")
        peer.close()

    server.answers = [accepts(talk)]
    assert received(client.open(connection)) == {STDOUT: b"output", STDERR: b"", STATUS: status}


def test_silence_is_a_time_out_and_the_stream_goes_on(
    server: ApiServer, connection: Connection, client: Client
) -> None:
    go = threading.Event()

    def talk(peer: Peer) -> None:
        assert go.wait(60)
        peer.send(STDOUT, b"late")
        peer.close()

    server.answers = [accepts(talk)]
    stream = client.open(connection)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            stream.receive(0.02)
    go.set()
    assert received(stream)[STDOUT] == b"late"


def test_a_frame_that_arrives_in_pieces_across_time_outs_stays_whole(
    server: ApiServer, connection: Connection, client: Client
) -> None:
    turn = threading.Semaphore(0)
    payload = bytes([STDOUT]) + bytes(range(256)) * 4

    def talk(peer: Peer) -> None:
        frame = frame_bytes(BINARY, payload)
        for start, end in ((0, 1), (1, 3), (3, 5), (5, 700), (700, len(frame))):
            assert turn.acquire(timeout=60)
            peer.raw(frame[start:end])
        peer.close()

    server.answers = [accepts(talk)]
    stream = client.open(connection)
    for _ in range(4):
        turn.release()
        with pytest.raises(TimeoutError):
            stream.receive(0.05)
    turn.release()
    assert received(stream)[STDOUT] == payload[1:]


class TestBreaking:
    @pytest.mark.parametrize("end", ["reset", "drop"])
    def test_a_connection_that_breaks_is_told(
        self, server: ApiServer, connection: Connection, client: Client, end: str
    ) -> None:
        def answer(exchange: Exchange) -> None:
            exchange.websocket().send(STDOUT, b"some")
            getattr(exchange, end)()

        server.answers = [answer]
        stream = client.open(connection)
        with pytest.raises(ClusterUnreachable) as broken:
            received(stream)
        assert broken.value.why
        assert "run it again" in broken.value.remedy

    def test_garbage_is_a_broken_connection(self, server: ApiServer, connection: Connection, client: Client) -> None:
        def talk(peer: Peer) -> None:
            # A frame with its reserved bits set.
            peer.raw(b"\xf2\x02" + bytes([STDOUT]) + b"x")
            hangs_on(peer)

        server.answers = [accepts(talk)]
        with pytest.raises(ClusterUnreachable):
            received(client.open(connection))

    def test_sending_into_a_broken_connection_is_told(
        self, server: ApiServer, connection: Connection, client: Client
    ) -> None:
        def answer(exchange: Exchange) -> None:
            exchange.websocket()
            exchange.reset()

        server.answers = [answer]
        stream = client.open(connection)
        with pytest.raises(ClusterUnreachable):
            stream.send(b"x" * 50_000_000)

    def test_a_server_that_never_answers_the_upgrade_is_given_up(
        self, server: ApiServer, connection: Connection, client: Client
    ) -> None:
        server.answers = [lambda exchange: exchange.silence()]
        with pytest.raises(ClusterUnreachable):
            client.open(connection, seconds=0.5)

    def test_a_port_that_accepts_and_says_nothing_is_given_up(self, connection: Connection, client: Client) -> None:
        with socket.create_server(("127.0.0.1", 0)) as hole:
            lost = replace(connection, server=f"https://127.0.0.1:{hole.getsockname()[1]}")
            with pytest.raises(ClusterUnreachable):
                client.open(lost, seconds=0.5)

    def test_a_closed_port_is_told(self, server: ApiServer, connection: Connection, client: Client) -> None:
        server.answers = []
        server.close()
        with pytest.raises(ClusterUnreachable) as unreachable:
            client.open(connection)
        assert "refused" in unreachable.value.why

    def test_closing_twice_is_harmless(self, server: ApiServer, connection: Connection, client: Client) -> None:
        server.answers = [accepts(hangs_on)]
        stream = client.open(connection)
        stream.close()
        stream.close()


class TestRefusals:
    def refused(self, server: ApiServer, connection: Connection, client: Client, answer: Answer) -> ClusterRefused:
        server.answers = [answer]
        with pytest.raises(ClusterRefused) as refused:
            client.open(connection)
        return refused.value

    def test_a_missing_right_is_told_with_both_verbs(
        self, server: ApiServer, connection: Connection, client: Client
    ) -> None:
        words = 'pods "job" is forbidden: User "kaniko-driver" cannot get resource "pods/exec" in API group ""'
        error = self.refused(server, connection, client, lambda exchange: exchange.refuse(403, words, "Forbidden"))
        assert error.status == 403
        assert words in error.why
        assert "get and create on pods/exec" in error.remedy

    @pytest.mark.parametrize(
        ("status", "words"),
        [
            (404, 'pods "job" not found'),
            (400, "container build is not valid for pod job"),
            (500, "container not found (build)"),
            (503, "overloaded"),
        ],
    )
    def test_a_refusal_keeps_status_and_words(
        self, server: ApiServer, connection: Connection, client: Client, status: int, words: str
    ) -> None:
        error = self.refused(server, connection, client, lambda exchange: exchange.refuse(status, words))
        assert (error.status, words in error.why) == (status, True)

    @pytest.mark.parametrize("body", [b"", b"<html>\xff bad gateway</html>", b"[]", b"5", b'{"message": 5}'])
    def test_a_refusal_that_is_no_status_is_told_as_it_is(
        self, server: ApiServer, connection: Connection, client: Client, body: bytes
    ) -> None:
        error = self.refused(server, connection, client, lambda exchange: exchange.raw(502, body))
        assert error.status == 502
        assert "502" in error.why

    def test_a_redirect_is_no_way_to_take_the_token_elsewhere(
        self, server: ApiServer, connection: Connection, client: Client
    ) -> None:
        server.answers = [lambda exchange: exchange.raw(302, b"", Location=f"{server.url}/elsewhere")]
        with pytest.raises(ClusterUnreachable, match="Redirect"):
            client.open(connection)
        assert len(server.exchanges) == 1


class TestRenewing:
    def test_an_expired_token_is_renewed_once(self, server: ApiServer, numbered: Connection, client: Client) -> None:
        server.answers = [lambda exchange: exchange.refuse(401, "Unauthorized"), accepts(hangs_on)]
        client.open(numbered)
        assert [one.headers["Authorization"] for one in server.exchanges] == ["Bearer token-1", "Bearer token-2"]

    def test_a_token_that_stays_refused_is_told(self, server: ApiServer, numbered: Connection, client: Client) -> None:
        server.answers = [lambda exchange: exchange.refuse(401, "Unauthorized")]
        with pytest.raises(ClusterRefused) as refused:
            client.open(numbered)
        assert refused.value.status == 401
        assert len(server.exchanges) == 2

    def test_a_plain_token_is_not_tried_twice(self, server: ApiServer, connection: Connection, client: Client) -> None:
        server.answers = [lambda exchange: exchange.refuse(401, "Unauthorized")]
        with pytest.raises(ClusterRefused):
            client.open(connection)
        assert len(server.exchanges) == 1


class TestProxy:
    def test_the_stream_goes_through_it(
        self, server: ApiServer, connection: Connection, client: Client, proxy: Proxy
    ) -> None:
        server.answers = [accepts(hangs_on)]
        client.open(replace(connection, proxy=f"http://u%20ser:p%40ss@127.0.0.1:{proxy.port}"))
        (request,) = proxy.requests
        assert request.startswith(f"CONNECT {server.url.removeprefix('https://')} ")

    def test_the_server_is_verified_through_it(
        self, server: ApiServer, connection: Connection, client: Client, proxy: Proxy
    ) -> None:
        server.answers = [accepts(hangs_on)]
        through = replace(connection, proxy=f"http://u%20ser:p%40ss@127.0.0.1:{proxy.port}")
        with pytest.raises(ClusterUnreachable, match="somebody"):
            client.open(replace(through, tls_server_name="somebody.else"))
        assert server.exchanges == []
        client.open(replace(through, tls_server_name="127.0.0.1"))

    def test_a_proxy_that_refuses_is_told(
        self, server: ApiServer, connection: Connection, client: Client, proxy: Proxy
    ) -> None:
        server.answers = []
        with pytest.raises(ClusterUnreachable):
            client.open(replace(connection, proxy=f"http://127.0.0.1:{proxy.port}"))
        assert server.exchanges == []

    def test_the_environments_proxies_were_decided_before(
        self, server: ApiServer, connection: Connection, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("https_proxy", "HTTPS_PROXY", "http_proxy", "all_proxy"):
            monkeypatch.setenv(name, "http://127.0.0.1:1")
        monkeypatch.delenv("no_proxy", raising=False)
        server.answers = [accepts(hangs_on)]
        client.open(connection)
        assert len(server.exchanges) == 1


def test_a_server_below_a_path_is_asked_there(server: ApiServer, connection: Connection, client: Client) -> None:
    server.answers = [accepts(hangs_on)]
    client.open(replace(connection, server=f"{server.url}/k8s/clusters/c-1"))
    assert server.exchanges[0].path == "/k8s/clusters/c-1/api/v1/namespaces/tenant-a/pods/job/exec"


class TestTrust:
    """Exec verifies the server as every other request does: what runs in a pod gets registry logins on its stdin."""

    def test_a_server_of_another_authority_gets_nothing(
        self, server: ApiServer, connection: Connection, client: Client, tmp_path: Path
    ) -> None:
        server.answers = [accepts(hangs_on)]
        other = make_certificate(tmp_path / "other")
        with pytest.raises(ClusterUnreachable) as refused:
            client.open(replace(connection, ca_file=str(other.certificate)))
        assert "CERTIFICATE_VERIFY_FAILED" in refused.value.why
        assert server.exchanges == []

    def test_nor_does_one_of_another_name(self, server: ApiServer, connection: Connection, client: Client) -> None:
        server.answers = [accepts(hangs_on)]
        with pytest.raises(ClusterUnreachable):
            client.open(replace(connection, tls_server_name="kubernetes.example.com"))
        assert server.exchanges == []
