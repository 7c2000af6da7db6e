"""A container's log is read on from where an earlier reader stopped: every line once, whatever breaks."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from executor.cluster import podlog
from executor.cluster.podlog import Bell, Position
from executor.errors import ClusterRefused, ClusterUnreachable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from executor.job import Connection
    from tests.support.api_server import Answer, ApiServer, Exchange

DAY = "2026-01-02T03:04:"
FIRST, SECOND, THIRD = (f"{DAY}05.00000000{n}Z" for n in (1, 2, 3))


class Reader:
    """Reads the log of one container."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.bell = Bell()
        self.position = Position()

    def lines(self) -> Iterator[str]:
        found = podlog.read(self._connection, pod="job", container="svc-0", after=self.position, bell=self.bell)
        for text, self.position in found:
            yield text

    def all(self) -> list[str]:
        return list(self.lines())


@pytest.fixture
def reader(connection: Connection) -> Iterator[Reader]:
    one = Reader(connection)
    yield one
    one.bell.ring()


def prints(*lines: str) -> Answer:
    return lambda exchange: exchange.raw(200, "".join(f"{line}\n" for line in lines).encode())


def test_lines_come_with_their_time_stamps_and_invalid_bytes_are_replaced(server: ApiServer, reader: Reader) -> None:
    server.answers = [lambda exchange: exchange.raw(200, f"{FIRST} a\n{SECOND} caf".encode() + b"\xe9\r\n")]
    assert reader.all() == [f"{FIRST} a", f"{SECOND} caf�"]
    assert reader.position == Position(SECOND, 1)
    (exchange,) = server.exchanges
    assert exchange.path == "/api/v1/namespaces/tenant-a/pods/job/log"
    assert dict(exchange.query) == {"container": "svc-0", "timestamps": "true", "follow": "true"}
    assert exchange.headers["Authorization"] == "Bearer t0ken"


def test_a_second_reader_asks_for_the_same_second_and_leaves_out_what_was_seen(
    server: ApiServer, reader: Reader
) -> None:
    # CRI-O gives all lines that were printed at once one stamp.
    before = [f"{FIRST} a", f"{SECOND} b", f"{SECOND} b"]
    server.answers = [
        prints(*before),
        prints(*before, f"{SECOND} b", f"{THIRD} c"),
        prints(f"{SECOND} b", f"{THIRD} c"),
    ]
    assert reader.all() == before
    assert reader.all() == [f"{SECOND} b", f"{THIRD} c"]
    assert reader.all() == []
    assert [dict(exchange.query).get("sinceTime") for exchange in server.exchanges] == [None, SECOND, THIRD]


def test_a_clock_that_was_set_back_while_a_reader_reads_loses_nothing(server: ApiServer, reader: Reader) -> None:
    server.answers = [prints(f"{THIRD} late", f"{FIRST} early")]
    assert reader.all() == [f"{THIRD} late", f"{FIRST} early"]


def test_a_node_that_goes_to_winter_time_loses_nothing(server: ApiServer, reader: Reader) -> None:
    summer, winter = f"{DAY}05.000000000+02:00", "2026-01-02T02:04:06.000000000+01:00"
    server.answers = [prints(f"{summer} a"), prints(f"{summer} a", f"{winter} b")]
    assert reader.all() == [f"{summer} a"]
    assert reader.all() == [f"{winter} b"]


def test_a_line_without_an_end_counts_when_the_container_has_ended_and_not_when_the_connection_broke(
    server: ApiServer, reader: Reader
) -> None:
    def breaks(exchange: Exchange) -> None:
        exchange.start_lines()
        exchange.text(f"{FIRST} a\n{SECOND} half a l")
        exchange.drop()

    server.answers = [breaks, lambda exchange: exchange.raw(200, f"{FIRST} a\n{SECOND} half a line".encode())]
    assert reader.all() == [f"{FIRST} a"]
    assert reader.all() == [f"{SECOND} half a line"]


def test_an_endless_line_is_cut(server: ApiServer, reader: Reader) -> None:
    server.answers = [prints(f"{FIRST} {'x' * 100_000}", f"{SECOND} b")]
    long, after = reader.all()
    assert len(long) == 16 * 1024
    assert after == f"{SECOND} b"


def test_the_kubelets_own_words_are_no_line_of_the_container(server: ApiServer, reader: Reader) -> None:
    server.answers = [prints(f"{FIRST} a", "unable to retrieve container logs for containerd://abc")]
    assert reader.all() == [f"{FIRST} a"]


def test_lines_come_as_they_are_printed_until_the_bell_rings(server: ApiServer, reader: Reader) -> None:
    def prints_one(exchange: Exchange) -> None:
        exchange.start_lines()
        exchange.text(f"{FIRST} a\n{SECOND} no")
        exchange.closing.wait()

    server.answers = [prints_one]
    found = reader.lines()
    assert next(found) == f"{FIRST} a"
    threading.Timer(0.1, reader.bell.ring).start()
    assert list(found) == []


def test_with_a_bell_that_has_rung_only_what_is_there_is_read(server: ApiServer, reader: Reader) -> None:
    server.answers = [prints(f"{FIRST} a")]
    reader.bell.ring()
    assert reader.all() == [f"{FIRST} a"]
    assert "follow" not in dict(server.exchanges[0].query)


def test_a_quiet_line_is_left_after_a_while_so_that_it_can_be_made_anew(
    server: ApiServer, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(podlog, "_QUIET_SECONDS", 0.1)
    server.answers = [lambda exchange: exchange.silence()]
    assert reader.all() == []


def test_a_refusal_has_the_servers_words_and_a_broken_connection_is_one(server: ApiServer, reader: Reader) -> None:
    words = 'pods "job" is forbidden: User "x" cannot get resource "pods/log" in API group "" in the namespace "a"'
    server.answers = [
        lambda exchange: exchange.refuse(403, words, "Forbidden"),
        lambda exchange: exchange.reset(),
    ]
    with pytest.raises(ClusterRefused) as refused:
        reader.all()
    assert "verb get on pods/log" in refused.value.remedy
    with pytest.raises(ClusterUnreachable):
        reader.all()
