"""What a WebSocket server may send and what it may not; everyday use is tested by test_stream.py."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from executor.cluster import credentials
from executor.cluster.websocket import Refused, WebSocket
from tests.support.api_server import frame_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from executor.job import Connection
    from tests.support.api_server import ApiServer, Exchange, Peer

    Opener = Callable[[Callable[[Peer], None]], WebSocket]

CONTINUATION, BINARY, CLOSE, PING, PONG = 0, 2, 8, 9, 10


@pytest.fixture
def opened(server: ApiServer, connection: Connection) -> Iterator[Opener]:
    """A function that opens a connection to a server that talks so."""
    made: list[WebSocket] = []

    def connect(talk: Callable[[Peer], None]) -> WebSocket:
        server.answers = [lambda exchange: talk(exchange.websocket())]
        made.append(dial(connection))
        return made[-1]

    yield connect
    for one in made:
        one.close()


def dial(connection: Connection) -> WebSocket:
    context = credentials.tls_context(connection)
    return WebSocket(connection, context, "/x", headers=[("X-Own", "1")], protocols="v5.channel.k8s.io", seconds=5)


def part(opcode: int, payload: bytes, *, last: bool) -> bytes:
    """A frame that may have a continuation."""
    frame = bytearray(frame_bytes(opcode, payload))
    frame[0] = (0x80 if last else 0) | opcode
    return bytes(frame)


def test_a_message_in_parts_with_a_ping_between_them_is_one(opened: Opener) -> None:
    def talk(peer: Peer) -> None:
        peer.raw(part(BINARY, b"\1one ", last=False) + part(PING, b"are you there", last=True))
        peer.raw(part(CONTINUATION, b"two ", last=False) + part(CONTINUATION, b"three", last=True))
        peer.frame(BINARY, b"\1next")
        peer.close()

    stream = opened(talk)
    assert [stream.receive(5), stream.receive(5), stream.receive(5)] == [b"\1one two three", b"\1next", None]


def test_a_ping_is_answered_with_its_own_words(opened: Opener) -> None:
    heard: list[bytes] = []

    def talk(peer: Peer) -> None:
        peer.frame(PING, b"who")
        head = peer._handler.rfile.read(2)
        mask, payload = peer._handler.rfile.read(4), peer._handler.rfile.read(head[1] & 0x7F)
        heard.append(bytes([head[0]]) + bytes(a ^ b for a, b in zip(payload, mask, strict=False)))
        peer.close()

    assert opened(talk).receive(5) is None
    assert heard == [bytes([0x80 | PONG]) + b"who"]


def test_what_was_read_and_not_returned_is_pending(opened: Opener) -> None:
    def talk(peer: Peer) -> None:
        peer.raw(frame_bytes(BINARY, b"\1one") + frame_bytes(BINARY, b"\1two"))
        assert peer.receive() is None

    stream = opened(talk)
    assert not stream.pending()
    assert (stream.receive(5), stream.pending()) == (b"\1one", True)
    assert (stream.receive(5), stream.pending()) == (b"\1two", False)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\xf2\x02xx",
        b"\x82\x82maskxx",
        b"\x82\x7f" + (1 << 40).to_bytes(8, "big"),
        part(BINARY, b"x" * 40_000_000, last=False) * 2,
    ],
)
def test_what_is_no_frame_or_has_no_end_breaks_the_connection(opened: Opener, garbage: bytes) -> None:
    def talk(peer: Peer) -> None:
        with suppress(OSError):
            peer.raw(garbage)
            peer.receive()

    stream = opened(talk)
    with pytest.raises(ConnectionError, match="the server sent"):
        stream.receive(10)
    stream.close()


def test_an_answer_to_somebody_else_is_no_upgrade(server: ApiServer, connection: Connection) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.headers.replace_header("Sec-WebSocket-Key", "bm90IHRoZSBrZXkhISEhIQ==")
        exchange.websocket()

    server.answers = [answer]
    with pytest.raises(ConnectionError, match="no WebSocket server"):
        dial(connection)


@pytest.mark.parametrize(
    "words", [b"SSH-2.0-OpenSSH_9\r\n\r\n", b"HTTP/1.1 ok\r\n\r\n", b"\r\n\r\n", b"x" * 200_000, b""]
)
def test_a_proxy_that_speaks_no_http_is_told(connection: Connection, words: bytes) -> None:
    def talk() -> None:
        with suppress(OSError), listener.accept()[0] as client:
            client.recv(1000)
            client.sendall(words)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=talk)
        thread.start()
        with pytest.raises(ConnectionError):
            dial(replace(connection, proxy=f"http://127.0.0.1:{listener.getsockname()[1]}"))
        thread.join()


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"Transfer-Encoding": "chunked"}, b'4\r\n{"me\r\ne;x=y\r\nssage": "no"}\n\r\n0\r\n\r\n'),
        ({"Content-Length": "18"}, b'{"message": "no"}\n'),
        ({"Connection": "close"}, b'{"message": "no"}\n'),
    ],
)
def test_a_refusal_is_read_however_its_length_is_told(
    server: ApiServer, connection: Connection, headers: dict[str, str], body: bytes
) -> None:
    def answer(exchange: Exchange) -> None:
        handler = exchange._handler
        handler.send_response(500)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    server.answers = [answer]
    with pytest.raises(Refused) as refused:
        dial(connection)
    assert (refused.value.status, refused.value.body) == (500, b'{"message": "no"}\n')
