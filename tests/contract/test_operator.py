"""The operator's side of the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from executor import __version__

if TYPE_CHECKING:
    from tests.contract.conftest import Attempt


def test_help_lists_every_command(attempt: Attempt) -> None:
    done = attempt.stage("--help")
    assert done.code == 0
    for command in ("config", "prepare", "run", "cleanup", "exec", "logs", "validate"):
        assert f"\n  {command} " in done.out


@pytest.mark.parametrize("stage", ["config", "prepare", "run", "cleanup"])
def test_help_of_a_stage_says_how_the_runner_is_told_to_call_it(attempt: Attempt, stage: str) -> None:
    done = attempt.stage(stage, "--help")
    assert done.code == 0
    assert f"{stage}_exec = " in " ".join(done.out.split())
    assert f'{stage}_args = ["{stage}"' in " ".join(done.out.split())


def test_the_version_is_told(attempt: Attempt) -> None:
    assert attempt.stage("--version").out == f"kaniko-driver, version {__version__}\n"


def test_good_settings_are_called_good(attempt: Attempt) -> None:
    done = attempt.stage("validate", "--settings", str(attempt.settings))
    assert (done.code, done.words) == (0, "tenant-a: good\n")


def test_every_mistake_of_every_tenant_is_listed(attempt: Attempt) -> None:
    attempt.configure(more="[cache]\nbuket = 'x'\nprt = 1\n")
    good = (attempt.settings / "tenants" / "tenant-a.toml").read_text().split("[cache]", maxsplit=1)[0]
    (attempt.settings / "tenants" / "tenant-b.toml").write_text(good)
    (attempt.settings / "tenants" / "tenant-b.toml").chmod(0o644)
    done = attempt.stage("validate", "--settings", str(attempt.settings))
    assert done.code == 1
    assert done.out == "tenant-b: good\n"
    assert "did you mean 'bucket'?" in done.err
    assert "did you mean 'port'?" in done.err


@pytest.mark.parametrize("tenants", ["missing", "empty"])
def test_a_folder_without_tenants_is_no_good_folder(attempt: Attempt, tenants: str) -> None:
    (attempt.settings / "tenants" / "tenant-a.toml").unlink()
    if tenants == "missing":
        (attempt.settings / "tenants").rmdir()
    done = attempt.stage("validate", "--settings", str(attempt.settings))
    assert done.code == 1
    assert str(attempt.settings) in done.err


def test_an_unknown_command_is_answered_with_help(attempt: Attempt) -> None:
    done = attempt.stage("dance")
    assert done.code == 2
    assert "--help" in done.err
