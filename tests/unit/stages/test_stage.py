"""Every end of a stage becomes words for the job log, an exit code of the runner's, and a line in the operator log."""

from __future__ import annotations

import inspect
import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from executor import errors
from executor.errors import Cancelled, ClusterRefused, DriverError, JobRefused, OwnContainerFailed, RunnerGone
from executor.stages.stage import carry_out

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from executor.journal import Journal
    from executor.runner.contract import Contract
    from executor.stages.joblog import JobLog

ERRORS = [
    one
    for _, one in inspect.getmembers(errors, inspect.isclass)
    if issubclass(one, DriverError) and one is not DriverError
]


@pytest.fixture(autouse=True)
def contract(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUILD_FAILURE_EXIT_CODE", "43")
    monkeypatch.setenv("SYSTEM_FAILURE_EXIT_CODE", "44")


@pytest.fixture(autouse=True)
def own_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test process keeps its own handling of SIGTERM and Ctrl-C."""
    monkeypatch.setattr("executor.stages.cancel.listen", lambda: None)
    monkeypatch.setattr("executor.stages.cancel.over", lambda: None)


class Outcome:
    """One stage that ends as it is told."""

    def __init__(self, journal: Path, capfd: pytest.CaptureFixture[str], name: str, end: Callable[[], int]) -> None:
        def stage(_: Contract, operator_log: Journal, __: JobLog) -> int:
            operator_log.path = str(journal)
            return end()

        self.code = carry_out(name, stage)
        self.out, self.err = capfd.readouterr()
        written = journal.read_text().splitlines() if journal.exists() else []
        self.journal: list[dict[str, Any]] = [json.loads(line) for line in written]


def ends(tmp_path: Path, capfd: pytest.CaptureFixture[str], error: BaseException | int, name: str = "run") -> Outcome:
    def end() -> int:
        if isinstance(error, int):
            return error
        raise error

    return Outcome(tmp_path / "journal", capfd, name, end)


def test_the_code_of_a_stage_that_went_well_passes(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    done = ends(tmp_path, capfd, 0)
    assert (done.code, done.out, done.err, done.journal) == (0, "", "", [])


@pytest.mark.parametrize("error", ERRORS)
def test_every_error_has_its_words_its_code_and_its_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], error: type[DriverError]
) -> None:
    more: dict[str, Any] = {"status": 403} if issubclass(error, ClusterRefused) else {}
    done = ends(tmp_path, capfd, error("What happened.", why="Why.", remedy="Do this.", **more))
    assert done.code == (43 if error in {JobRefused, OwnContainerFailed} else 44)
    assert done.out == "kaniko-driver: What happened.\n  Why.\n  Do this.\n"
    assert done.err == ""
    (line,) = done.journal
    assert (line["level"], line["kind"], line["stage"]) == ("error", error.__name__, "run")
    assert "Traceback" in line["exception"]


def test_a_bug_is_told_without_its_traceback_which_the_operator_gets(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    done = ends(tmp_path, capfd, ZeroDivisionError("s3cret of the driver"))
    assert done.code == 44
    assert "An error in kaniko-driver itself ended the job: ZeroDivisionError" in done.out
    assert "no fault of the job" in done.out
    assert "Traceback" not in done.out + done.err
    assert "s3cret" not in done.out + done.err
    (line,) = done.journal
    assert "ZeroDivisionError: s3cret of the driver" in line["exception"]


@pytest.mark.parametrize(
    ("error", "words"), [(Cancelled(), "kaniko-driver: cancelled by the runner\n"), (RunnerGone(), "")]
)
def test_a_runner_that_gives_up_is_a_system_failure(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], error: BaseException, words: str
) -> None:
    done = ends(tmp_path, capfd, error)
    assert (done.code, done.out, done.err) == (44, words, "")


@pytest.mark.parametrize(
    ("name", "stream"), [("config", "err"), ("cleanup", "err"), ("prepare", "out"), ("run", "out")]
)
def test_words_go_where_the_runner_keeps_them(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str, stream: str
) -> None:
    done = ends(tmp_path, capfd, JobRefused("No."), name)
    assert getattr(done, stream) == "kaniko-driver: No.\n"
    assert getattr(done, "err" if stream == "out" else "out") == ""


@pytest.mark.parametrize("missing", ["BUILD_FAILURE_EXIT_CODE", "SYSTEM_FAILURE_EXIT_CODE"])
def test_without_the_runners_codes_the_stage_does_not_begin(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.delenv(missing)
    done = ends(tmp_path, capfd, 0)
    assert done.code == 2
    assert missing in done.out
    assert "gitlab-runner" in done.out


def test_a_job_log_that_nobody_reads_hides_no_exit_code(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    monkeypatch.setattr("executor.stages.stage.STDOUT", writing)
    done = ends(tmp_path, capfd, JobRefused("No."))
    os.close(writing)
    assert done.code == 43
