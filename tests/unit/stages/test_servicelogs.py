"""CI_DEBUG_SERVICES: the lines of services are in the job log, each once, and none tears a line of the script."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from executor.errors import Cancelled, PodLost
from executor.journal import Journal
from executor.stages import servicelogs
from executor.stages.joblog import JobLog
from tests.support.jobs import POD, PODS, make_job
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from executor.job import Connection
    from tests.support.api_server import ApiServer, Exchange

FORBIDDEN = 'pods "x" is forbidden: User "y" cannot get resource "pods/log" in API group "" in the namespace "z"'


def stamped(second: int, text: str) -> str:
    return f"2026-01-02T03:04:{second:02d}.000000000Z {text}\n"


def marked(name: str, second: int, text: str) -> str:
    return f"\x1b[0;37m[service:{name}] {stamped(second, text).rstrip()}\x1b[0;m\n"


class Services:
    """What each service has printed so far, as the API server gives it: followers get what comes."""

    def __init__(self, server: ApiServer) -> None:
        self.printed: dict[str, str] = {"svc-0": ""}
        self.refuses = False
        self.breaks = 0
        server.answers = [self.answer]

    def answer(self, exchange: Exchange) -> None:
        query = dict(exchange.query)
        assert exchange.path == f"{PODS}/{POD}/log"
        if self.refuses:
            exchange.refuse(403, FORBIDDEN, "Forbidden")
            return
        if "follow" not in query:
            exchange.raw(200, self.printed[query["container"]].encode())
            return
        exchange.start_lines()
        sent = 0
        while not exchange.closing.wait(0.01):
            text = self.printed[query["container"]]
            exchange.text(text[sent:]) if text[sent:] else None
            sent = len(text)
            if self.breaks:
                self.breaks -= 1
                exchange.drop()
                return


class Stage:
    """Stages of one attempt, which show the services of its job."""

    def __init__(self, folder: Path, connection: Connection) -> None:
        self._connection = connection
        self._output = folder / "log"
        self._file = folder / "services"
        self.journal = folder / "journal"
        self._descriptor = os.open(self._output, os.O_WRONLY | os.O_CREAT, 0o600)
        self.log = JobLog(self._descriptor)
        self.checks = 0

    def close(self) -> None:
        os.close(self._descriptor)

    def shown(self, **names: str) -> AbstractContextManager[Callable[[], None]]:
        job = make_job(self._connection, service_logs=names or {"svc-0": "postgres-db"})
        journal = Journal(str(self.journal))
        return servicelogs.shown(job, journal, self.log, str(self._file), self._check)

    def _check(self) -> None:
        self.checks += 1

    def script(self, text: str) -> None:
        self.log.script_output(memoryview(text.encode()))

    def said(self) -> str:
        return self._output.read_bytes().decode()

    def await_text(self, tick: Callable[[], None], text: str) -> None:
        def is_there() -> bool:
            tick()
            return text in self.said()

        until(f"{text!r} in the job log", is_there)


@pytest.fixture
def services(server: ApiServer) -> Services:
    return Services(server)


@pytest.fixture
def stage(tmp_path: Path, connection: Connection) -> Iterator[Stage]:
    one = Stage(tmp_path, connection)
    yield one
    one.close()


def test_lines_are_marked_with_the_services_name_and_come_while_the_script_runs(
    services: Services, stage: Stage
) -> None:
    services.printed |= {"svc-0": stamped(1, "a"), "svc-1": stamped(2, "b")}
    with stage.shown(**{"svc-0": "postgres-db", "svc-1": "redis"}) as tick:
        stage.await_text(tick, marked("postgres-db", 1, "a"))
        stage.await_text(tick, marked("redis", 2, "b"))
        services.printed["svc-1"] += stamped(3, "c")
        stage.await_text(tick, marked("redis", 3, "c"))
    assert stage.checks
    assert stage.said().count("[service:") == 3


def test_none_stands_within_a_line_of_the_script(services: Services, stage: Stage) -> None:
    with stage.shown() as tick:
        stage.script("half a ")
        services.printed["svc-0"] = stamped(1, "a")
        until("a line that waits", lambda: (tick(), stage.log.holds_back())[1])
        stage.script("line\nnext")
        stage.script(" line\n")
        assert stage.said() == f"half a line\n{marked('postgres-db', 1, 'a')}next line\n"


def test_the_next_stage_goes_on_where_the_last_one_ended(services: Services, stage: Stage) -> None:
    services.printed["svc-0"] = stamped(1, "a") + stamped(1, "a")
    with stage.shown():
        stage.script("no newline")
    services.printed["svc-0"] += stamped(1, "a") + stamped(2, "b")
    with stage.shown():
        pass
    one, last = marked("postgres-db", 1, "a"), marked("postgres-db", 2, "b")
    assert stage.said() == f"no newline\n{one}{one}{one}{last}"


def test_a_connection_that_breaks_loses_and_doubles_nothing(
    services: Services, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servicelogs, "_FIRST_PAUSE", 0.01)
    services.printed["svc-0"] = stamped(1, "a")
    services.breaks = 3
    with stage.shown() as tick:
        stage.await_text(tick, " a")
        until("three broken connections", lambda: not services.breaks)
        services.printed["svc-0"] += stamped(2, "b")
        stage.await_text(tick, " b")
    assert stage.said() == marked("postgres-db", 1, "a") + marked("postgres-db", 2, "b")


def test_what_services_said_is_shown_before_a_failure_and_not_waited_for_after_a_cancel(
    services: Services, stage: Stage
) -> None:
    services.printed["svc-0"] = stamped(1, "last words")
    with pytest.raises(PodLost), stage.shown():
        raise PodLost("gone")
    assert "last words" in stage.said()
    with pytest.raises(Cancelled), stage.shown():
        raise Cancelled


def test_without_the_right_it_is_said_once_in_a_job_with_who_can_mend_it(
    services: Services, stage: Stage, server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servicelogs, "_FIRST_PAUSE", 0.01)
    services.refuses = True
    with stage.shown() as tick:
        stage.await_text(tick, "verb get on pods/log")
    asked = len(server.exchanges)
    with stage.shown() as tick:
        tick()
    assert stage.said().count("the logs of the services are not shown") == 1
    assert len(server.exchanges) == asked
    assert "cannot be read" in stage.journal.read_text()


def test_a_disk_without_room_for_the_position_fails_no_job(
    services: Services, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "_file", stage.journal.parent / "no such folder" / "services")
    services.printed["svc-0"] = stamped(1, "a")
    with stage.shown():
        pass
    assert stage.said() == marked("postgres-db", 1, "a")


@pytest.mark.usefixtures("services")
def test_an_error_of_a_reader_is_no_traceback_in_the_job_log(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("executor.cluster.podlog.read", lambda *_, **__: 1 / 0)
    with stage.shown():
        pass
    assert "ZeroDivisionError" in stage.said()
    assert "Traceback" not in stage.said() + capfd.readouterr().err
    assert "Traceback" in stage.journal.read_text()
