"""Programs run to their end, and background services under pid files: with real processes."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from testbed import layout, process
from testbed.errors import BedError
from testbed.process import Service, children, run, run_logged, start_time, stop
from testbed.wait import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """A service that sleeps, without a network namespace around it."""
    monkeypatch.setattr(layout, "ENTER", ())
    monkeypatch.setattr(layout, "STATE", tmp_path)
    monkeypatch.setattr(layout, "RUN", tmp_path / "run")
    monkeypatch.setattr(layout, "LOGS", tmp_path / "log")
    sleeper = Service("sleeper", ("sleep", "1000"))
    yield sleeper
    stop([sleeper])


def test_a_failed_program_is_reported_with_its_words() -> None:
    with pytest.raises(BedError, match=r"^sh -c echo no such disk >&2; exit 3: exit code 3\nno such disk$"):
        run(("sh", "-c", "echo no such disk >&2; exit 3"))


def test_a_missing_program_is_reported_by_name() -> None:
    with pytest.raises(BedError, match=r"^no-such-program: "):
        run(("no-such-program",))


def test_a_long_command_line_is_cut_in_the_report() -> None:
    with pytest.raises(BedError) as caught:
        run(("false", "x" * 5000))
    assert len(str(caught.value)) < 400


def test_a_failed_build_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "build.log"
    with pytest.raises(BedError, match=r"line 99\nline 100$"):
        run_logged(("sh", "-c", "for n in $(seq 100); do echo line $n; done; exit 1"), log)
    assert log.read_text().startswith("line 1\n")


def test_long_work_dies_with_the_process_that_wanted_it(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    script = f"echo $$ >{pid_file}; exec sleep 1000"
    parent = subprocess.Popen(
        (*process.WITH_PARENT, "sh", "-c", 'setpriv --pdeathsig KILL -- sh -c "$0" & wait', script)
    )
    worker = wait_for("the worker", lambda: pid_file.exists() and int(pid_file.read_text() or 0), 5)
    parent.kill()
    parent.wait()
    wait_for("the worker's end", lambda: start_time(worker) is None, 5)


def test_a_service_runs_until_it_is_stopped(service: Service) -> None:
    assert service.start()
    pid = service.pid
    assert pid
    stop([service])
    assert service.pid is None
    assert start_time(pid) is None


def test_starting_a_running_service_changes_nothing(service: Service) -> None:
    service.start()
    pid = service.pid
    assert not service.start()
    assert service.pid == pid


def test_a_changed_environment_replaces_the_process(service: Service) -> None:
    service.start()
    first = service.pid
    changed = Service("sleeper", ("sleep", "1000"), {"SETTING": "another"})
    assert changed.start()
    assert changed.pid not in {None, first}
    assert start_time(first or 0) is None


def test_a_service_with_the_same_identity_is_left_alone(service: Service) -> None:
    Service("sleeper", ("sleep", "1000"), identity="the text of its configuration").start()
    pid = service.pid
    assert not Service("sleeper", ("sleep", "2000"), identity="the text of its configuration").start()
    assert service.pid == pid
    assert Service("sleeper", ("sleep", "1000"), identity="another text").start()
    assert service.pid != pid


def test_a_reused_pid_is_not_taken_for_the_service(service: Service) -> None:
    service.start()
    stop([service])
    # Our own pid, which is certainly in use, with the start time of another process.
    (layout.RUN / "sleeper.pid").write_text(f"{os.getpid()} 1 {'0' * 16}\n")
    assert service.pid is None
    assert service.start()


def test_a_torn_pid_file_is_not_taken_for_a_process(service: Service) -> None:
    layout.RUN.mkdir()
    (layout.RUN / "sleeper.pid").write_text("123")
    assert service.pid is None


def test_what_an_interrupted_stop_left_lingering_is_replaced(service: Service) -> None:
    service.start()
    lingering = service.pid
    service.give_up()
    assert service.start()
    assert service.pid not in {None, lingering}


def test_a_service_that_ignores_the_polite_signal_is_killed(service: Service) -> None:
    stubborn = Service("sleeper", ("sh", "-c", 'trap "" TERM; echo deaf; while :; do sleep 0.1; done'))
    stubborn.start()
    wait_for("the trap", lambda: "deaf" in stubborn.log.read_text(), 5)
    pid = stubborn.pid
    stop([service], patience=0.2)
    assert pid
    assert start_time(pid) is None


def test_stopping_reaches_the_direct_children(service: Service) -> None:
    family = Service("sleeper", ("sh", "-c", "sleep 1000 & wait"))
    family.start()
    pid = family.pid or 0
    (child,) = wait_for("the child", lambda: children(pid), 5)
    stop([service])
    assert start_time(child) is None


def test_a_dead_service_is_reported_with_the_end_of_its_log(service: Service) -> None:
    broken = Service("sleeper", ("sh", "-c", "echo cannot bind; exit 1"))
    broken.start()
    wait_for("its end", lambda: broken.pid is None, 5)
    with pytest.raises(BedError, match=r"sleeper ended; the end of .*/sleeper\.log:\ncannot bind"):
        broken.check()
    assert service.log == broken.log


def test_a_zombie_does_not_run() -> None:
    parent = subprocess.Popen(("sleep", "1000"))
    parent.send_signal(signal.SIGKILL)
    wait_for("the zombie", lambda: start_time(parent.pid) is None, 5)
    parent.wait()
