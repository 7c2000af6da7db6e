"""The proxy that stands for bad networks: it does what its plan says, and what it lets through is untouched."""

from __future__ import annotations

import random
import socket
import socketserver
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from testbed.faults import Fault, FaultProxy, schedule

if TYPE_CHECKING:
    from collections.abc import Iterator

DATA = random.Random(1).randbytes(1_000_000)


class _Sender(socketserver.BaseRequestHandler):
    """Sends what a client asks for: so many bytes, then an end."""

    def handle(self) -> None:
        try:
            size = int(self.request.recv(20))
            self.request.sendall(DATA[:size])
            if size:
                return
            self.request.recv(1)
        except OSError:
            return


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False


@pytest.fixture
def proxy() -> Iterator[FaultProxy]:
    """A proxy in front of a server that sends as many bytes as it is asked for."""
    with _Server(("127.0.0.1", 0), _Sender) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        with FaultProxy("127.0.0.1", server.server_address[1]) as running:
            yield running
        server.shutdown()
        thread.join()


def fetched(proxy: FaultProxy, size: int = len(DATA)) -> bytes:
    """What arrives until the connection ends."""
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as client:
        client.sendall(b"%d" % size)
        return b"".join(iter(lambda: client.recv(65536), b""))


def test_without_a_plan_everything_passes(proxy: FaultProxy) -> None:
    assert fetched(proxy) == DATA
    assert (proxy.connections, sum(proxy.met.values())) == (1, 0)


@pytest.mark.parametrize("after", [1, 1000, 500_000])
def test_a_cut_is_an_orderly_end_after_so_many_bytes(proxy: FaultProxy, after: int) -> None:
    proxy.plan([Fault("cut", after)])
    assert fetched(proxy) == DATA[:after]
    assert proxy.met == {"cut": 1}
    assert fetched(proxy) == DATA


def test_a_reset_is_none(proxy: FaultProxy) -> None:
    proxy.plan([Fault("reset", 1000)])
    with pytest.raises(ConnectionResetError):
        fetched(proxy)
    assert proxy.met == {"reset": 1}


def test_a_stall_leaves_the_connection_and_passes_nothing_more(proxy: FaultProxy) -> None:
    proxy.plan([Fault("stall", 1000)])
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=60) as client:
        client.sendall(b"5000")
        assert client.recv(1000, socket.MSG_WAITALL) == DATA[:1000]
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.recv(1)


@pytest.mark.parametrize("kind", ["delay", "slow"])
def test_what_is_late_is_whole(proxy: FaultProxy, kind: str) -> None:
    proxy.plan([Fault(kind, 1000, 0.1)])  # type: ignore[arg-type]
    assert fetched(proxy) == DATA
    assert proxy.met == {kind: 1}


@pytest.mark.parametrize("end", ["lifetime", "idle"])
def test_connections_end_that_last_long_or_say_nothing(proxy: FaultProxy, end: str) -> None:
    proxy.plan(**{end: 0.1})  # type: ignore[arg-type]
    with suppress(ConnectionResetError):
        assert fetched(proxy, 0) == b""
    assert proxy.met == {end: 1}


def test_a_seed_decides_everything() -> None:
    assert list(schedule(7, 50, longest=1000)) == list(schedule(7, 50, longest=1000))
    assert list(schedule(7, 50, longest=1000)) != list(schedule(8, 50, longest=1000))
    assert {fault.kind for fault in schedule(7, 50, longest=1000)} == {"cut", "reset", "stall", "delay", "slow"}
