"""Answers of HTTP servers, however they are framed and wherever the network cuts them."""

from __future__ import annotations

import socket
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from executor.cluster.wire import Answer, Ended, Wire

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNKS = b'8\r\n{"a": 1}\r\n5;x=y\r\n\n{"b"\r\n5\r\n: 2}\n\r\n0\r\nTrailer: x\r\n\r\n'
FRAMINGS = [
    CHUNKED + CHUNKS,
    b'HTTP/1.1 200 OK\r\ncontent-length: 18\r\n\r\n{"a": 1}\n{"b": 2}\n',
    b'HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\n{"a": 1}\n{"b": 2}\n',
]


@pytest.fixture
def ends() -> Iterator[tuple[Wire, socket.socket]]:
    """A wire without TLS, and the server's end of it."""
    ours, theirs = socket.socketpair()
    wire = Wire.__new__(Wire)
    wire.host, wire.buffer, wire.socket = "server", bytearray(), ours  # type: ignore[assignment]
    with closing(ours), closing(theirs):
        yield wire, theirs


@pytest.mark.parametrize("framing", FRAMINGS)
def test_a_body_is_read_to_its_end_and_no_further(ends: tuple[Wire, socket.socket], framing: bytes) -> None:
    wire, server = ends
    server.sendall(framing + b"HTTP/1.1 204 No Content\r\n\r\n")
    answer = Answer(wire)
    assert (answer.status, answer.read(), answer.is_last) == (200, b'{"a": 1}\n{"b": 2}\n', False)
    following = Answer(wire)
    assert (following.status, following.read()) == (204, b"")


@pytest.mark.parametrize("framing", FRAMINGS)
def test_a_line_that_comes_byte_by_byte_survives_every_time_out(
    ends: tuple[Wire, socket.socket], framing: bytes
) -> None:
    wire, server = ends
    head = framing.rindex(b"\r\n\r\n", 0, framing.index(b"{")) + 4
    server.sendall(framing[:head])
    answer, lines = Answer(wire), []
    wire.wait_at_most(0.001)
    for byte in framing[head:]:
        server.sendall(bytes([byte]))
        try:
            lines.append(answer.line())
        except TimeoutError:
            continue
    assert [line for line in lines if line] == [b'{"a": 1}\n', b'{"b": 2}\n']


def test_without_a_length_the_end_of_the_connection_ends_the_body(ends: tuple[Wire, socket.socket]) -> None:
    wire, server = ends
    server.sendall(b"HTTP/1.0 500 Oops\r\n\r\nwords")
    server.close()
    answer = Answer(wire)
    assert (answer.status, answer.read(), answer.is_last) == (500, b"words", True)


def test_a_body_that_is_cut_is_no_body(ends: tuple[Wire, socket.socket]) -> None:
    wire, server = ends
    server.sendall(CHUNKED + CHUNKS[:20])
    server.close()
    answer = Answer(wire)
    with pytest.raises(Ended):
        answer.read()
    assert bytes(answer.body) == b'{"a": 1}'


@pytest.mark.parametrize("chunk", [b"zz\r\n", b"-1\r\n", b"fffffffff\r\n", b"1" * 2000])
def test_a_chunk_without_a_sensible_size_breaks_the_connection(ends: tuple[Wire, socket.socket], chunk: bytes) -> None:
    wire, server = ends
    server.sendall(CHUNKED + chunk)
    with pytest.raises(ConnectionError, match="the server sent a chunk"):
        Answer(wire).read()


@pytest.mark.parametrize("status", ["9" * 5000, "20", "2000", "-20", ""])
def test_a_status_that_is_none_breaks_the_connection(ends: tuple[Wire, socket.socket], status: str) -> None:
    wire, server = ends
    server.sendall(f"HTTP/1.1 {status} OK\r\n\r\n".encode())
    with pytest.raises(ConnectionError, match="speaks no HTTP"):
        Answer(wire)


def test_a_length_of_any_number_of_digits_is_only_long(ends: tuple[Wire, socket.socket]) -> None:
    wire, server = ends
    server.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\nhalf")
    server.close()
    with pytest.raises(Ended):
        Answer(wire).read()


def test_an_endless_answer_is_given_up(ends: tuple[Wire, socket.socket]) -> None:
    wire, server = ends
    server.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 5000)
    with pytest.raises(ConnectionError, match="too long"):
        Answer(wire).read(1000)
