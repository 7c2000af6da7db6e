"""Arguments and environment of a stage, with words for every way to get them wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from executor.errors import ClusterUnreachable, ContractBroken
from executor.journal import Journal
from executor.runner.contract import Contract
from executor.stages import entry
from executor.stages.joblog import JobLog
from tests.support.jobs import make_job

CONTRACT = Contract(build_failure=43, system_failure=44, exit_code_file=None)


def call(name: str, *arguments: str, journal: Journal | None = None) -> int:
    return entry.stage(name, list(arguments))(CONTRACT, journal or Journal(), JobLog(2))


@pytest.mark.parametrize(
    ("arguments", "settings", "tenant"),
    [
        (["--tenant", "a"], "/etc/kaniko-driver", "a"),
        (["--settings", "/s", "--tenant", "a"], "/s", "a"),
        (["--tenant=a", "--settings=/s"], "/s", "a"),
        (["--tenant", "a", "--settings=/with=sign"], "/with=sign", "a"),
        (["--tenant-by", "root-namespace"], "/etc/kaniko-driver", None),
        (["--tenant-by=root-namespace", "--settings=/s"], "/s", None),
    ],
)
def test_config_takes_its_options_in_both_spellings(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], settings: str, tenant: str | None
) -> None:
    seen: list[str | None] = []

    def config(folder: str, name: str | None, _: Journal, __: JobLog) -> int:
        seen.extend((folder, name))
        return 0

    monkeypatch.setattr("executor.stages.config.config", config)
    assert call("config", *arguments) == 0
    assert seen == [settings, tenant]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--tenant-by", "project"], "cannot find tenants by 'project'"),
        (["--tenant-by", "root-namespace", "--tenant", "a"], "told twice whose runner this is"),
        ([], "was not told whose runner this is"),
    ],
)
def test_config_wants_to_know_whose_runner_it_is_once(arguments: list[str], words: str) -> None:
    with pytest.raises(ContractBroken, match=words) as refused:
        call("config", *arguments)
    assert "config_args" in refused.value.remedy


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--settings", "/s"],
        ["--tenant"],
        ["--tenant="],
        ["--tenant", ""],
        ["--tenat", "a"],
        ["--tenant", "a", "--settigns", "/s"],
        ["--tenant", "a", "--settings"],
        ["tenant-a"],
        ["--tenant", "a", "more"],
        ["--tenant", "--settings", "/s"],
        ["-t", "a"],
    ],
)
def test_config_tells_what_it_would_take(arguments: list[str]) -> None:
    with pytest.raises(ContractBroken) as broken:
        call("config", *arguments)
    assert "config_args = [" in broken.value.remedy


@pytest.mark.parametrize("arguments", [[], ["script"], ["script", "build_script", "more"]])
def test_run_tells_what_it_would_take(arguments: list[str]) -> None:
    with pytest.raises(ContractBroken, match=f"not {len(arguments)} arguments") as broken:
        call("run", *arguments)
    assert 'run_args = ["run"]' in broken.value.remedy


@pytest.mark.parametrize("name", ["prepare", "cleanup"])
def test_the_others_take_nothing(name: str) -> None:
    with pytest.raises(ContractBroken, match="takes no arguments; given: x y"):
        call(name, "x", "y")


@pytest.mark.parametrize(("name", "arguments"), [("prepare", ()), ("run", ("script", "build_script"))])
def test_a_stage_without_its_job_tells_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, name: str, arguments: tuple[str, ...]
) -> None:
    monkeypatch.delenv("KANIKO_DRIVER_JOB_FILE", raising=False)
    with pytest.raises(ContractBroken, match="does not know its job") as broken:
        call(name, *arguments)
    assert "config_exec" in broken.value.remedy


def test_cleanup_without_a_job_has_nothing_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KANIKO_DRIVER_JOB_FILE", raising=False)
    assert call("cleanup") == 0


def test_lines_of_the_operator_log_know_their_job(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "kaniko-driver.json"
    make_job(journal=str(tmp_path / "journal")).write(str(path))
    monkeypatch.setenv("KANIKO_DRIVER_JOB_FILE", str(path))
    intents: list[str] = []

    def prepare(*_: object, intent: str, **__: object) -> int:
        intents.append(intent)
        return 0

    monkeypatch.setattr("executor.stages.prepare.prepare", prepare)
    journal = Journal()
    assert call("prepare", journal=journal) == 0
    assert journal.path == str(tmp_path / "journal")
    assert journal.context == {"job": 7, "tenant": "tenant-a", "pod": "kaniko-job-7-bcdfgh"}
    assert intents == [str(tmp_path / "kaniko-driver.creating")]


def test_cleanup_learns_that_prepare_waited_for_the_api_server_in_vain(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "kaniko-driver.json"
    make_job().write(str(path))
    monkeypatch.setenv("KANIKO_DRIVER_JOB_FILE", str(path))
    seen: list[bool] = []

    def prepare(*_: object, **__: object) -> int:
        raise ClusterUnreachable("no answer")

    def cleanup(*_: object, unreachable_mark: str, **__: object) -> int:
        seen.append(Path(unreachable_mark).exists())
        return 0

    monkeypatch.setattr("executor.stages.prepare.prepare", prepare)
    monkeypatch.setattr("executor.stages.cleanup.cleanup", cleanup)
    assert call("cleanup") == 0
    with pytest.raises(ClusterUnreachable):
        call("prepare")
    assert call("cleanup") == 0
    assert seen == [False, True]


@pytest.mark.parametrize(
    ("sub_stage", "job", "kept", "runs"),
    [
        ("cleanup_file_variables", {}, False, False),
        ("cleanup_file_variables", {}, True, True),
        ("cleanup_file_variables", {"service_logs": {"svc-0": "db"}}, False, True),
        ("after_script", {}, False, True),
    ],
)
def test_only_what_goes_with_its_pod_is_not_taken_away_from_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sub_stage: str, job: dict[str, Any], *, kept: bool, runs: bool
) -> None:
    path = tmp_path / "kaniko-driver.json"
    make_job(**job).write(str(path))
    monkeypatch.setenv("KANIKO_DRIVER_JOB_FILE", str(path))
    if kept:
        (tmp_path / "kaniko-driver.keep").touch()
    ran: list[str] = []

    def run(*arguments: Any) -> int:
        ran.append(arguments[-1].sub_stage)
        return 0

    monkeypatch.setattr("executor.stages.run.run", run)
    assert call("run", "script", sub_stage) == 0
    assert ran == [sub_stage] * runs
