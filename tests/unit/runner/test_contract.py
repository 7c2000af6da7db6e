"""The environment of a stage, and the exit codes that the runner reads."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import pytest

from executor import errors
from executor.errors import ClusterRefused, ContractBroken, DriverError, JobRefused, OwnContainerFailed
from executor.runner.contract import Contract, job_file_path, required

if TYPE_CHECKING:
    from pathlib import Path

CODES = {"BUILD_FAILURE_EXIT_CODE": "43", "SYSTEM_FAILURE_EXIT_CODE": "44"}
ERRORS = [
    one
    for _, one in inspect.getmembers(errors, inspect.isclass)
    if issubclass(one, DriverError) and one is not DriverError
]


def contract(file: Path | None = None) -> Contract:
    return Contract.read(CODES | ({"BUILD_EXIT_CODE_FILE": str(file)} if file else {}))


def test_the_codes_are_the_runners_and_not_ours() -> None:
    assert (contract().build_failure, contract().system_failure) == (43, 44)


@pytest.mark.parametrize("name", CODES)
def test_a_missing_code_is_told_by_name_with_a_remedy(name: str) -> None:
    with pytest.raises(ContractBroken) as broken:
        Contract.read({key: value for key, value in CODES.items() if key != name})
    assert name in broken.value.what
    assert "gitlab-runner" in broken.value.remedy


@pytest.mark.parametrize("text", ["", "two", "-1", "1.5", " 1", "0x2"])
def test_a_code_that_is_no_number_is_told(text: str) -> None:
    with pytest.raises(ContractBroken, match="SYSTEM_FAILURE_EXIT_CODE"):
        Contract.read(CODES | {"SYSTEM_FAILURE_EXIT_CODE": text})


def test_any_other_missing_variable_is_told_by_name() -> None:
    assert required({"JOB_RESPONSE_FILE": "/x"}, "JOB_RESPONSE_FILE") == "/x"
    with pytest.raises(ContractBroken, match="JOB_RESPONSE_FILE"):
        required({}, "JOB_RESPONSE_FILE")


@pytest.mark.parametrize("code", [1, 37, 127, 137, 255])
def test_the_scripts_code_is_an_integer_on_the_first_line(tmp_path: Path, code: int) -> None:
    file = tmp_path / "code"
    assert contract(file).script_failed(code) == 43
    first, *rest = file.read_bytes().split(b"\n")
    assert first == str(code).encode()
    assert rest == [b""]


def test_a_longer_code_of_an_earlier_sub_stage_is_overwritten_whole(tmp_path: Path) -> None:
    file = tmp_path / "code"
    contract(file).script_failed(137)
    contract(file).script_failed(1)
    assert file.read_text() == "1\n"


def test_a_stale_code_is_forgotten(tmp_path: Path) -> None:
    file = tmp_path / "code"
    file.write_text("7\n")
    contract(file).forget_exit_code()
    assert not file.exists()
    contract(file).forget_exit_code()


@pytest.mark.parametrize("given", [{}, {"BUILD_EXIT_CODE_FILE": ""}])
def test_a_runner_without_a_code_file_gets_the_code_all_the_same(given: dict[str, str]) -> None:
    old = Contract.read(CODES | given)
    old.forget_exit_code()
    assert old.script_failed(7) == 43


@pytest.mark.parametrize("error", ERRORS)
def test_only_what_a_job_could_change_is_the_jobs_failure(error: type[DriverError]) -> None:
    made = error("what", status=403) if issubclass(error, ClusterRefused) else error("what")
    assert contract().failed(made) == (43 if error in {JobRefused, OwnContainerFailed} else 44)


def test_an_error_reads_what_why_and_remedy_in_that_order() -> None:
    assert str(DriverError("What.", why="Why.", remedy="Do.")) == "What.\nWhy.\nDo."
    assert str(DriverError("What.", remedy="Do.")) == "What.\nDo."


def test_the_job_file_comes_from_config_alone() -> None:
    assert job_file_path({"KANIKO_DRIVER_JOB_FILE": "/x/kaniko-driver.json"}) == "/x/kaniko-driver.json"
    assert job_file_path({"CUSTOM_ENV_KANIKO_DRIVER_JOB_FILE": "/evil"}) is None
    assert job_file_path({"KANIKO_DRIVER_JOB_FILE": ""}) is None
