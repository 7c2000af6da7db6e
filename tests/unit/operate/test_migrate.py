"""migrate: writes what can be used at once, tells the rest, and never overwrites unasked."""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from executor.operate.commands import cli

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """\
[[runners]]
name = "Team A"
url = "https://gitlab.example.com"
token = "glrt-SECRET"
executor = "kubernetes"
[runners.kubernetes]
namespace = "team-a"
privileged = true
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(CONFIG)
    return path


def migrate(config: Path, *options: str) -> Result:
    return CliRunner().invoke(cli, ["migrate", str(config), "--folder", str(config.parent / "new"), *options])


def test_what_is_written_is_valid(config: Path) -> None:
    done = migrate(config)
    assert done.exit_code == 0, done.output
    assert "privileged: No container is ever privileged" in done.output
    checked = CliRunner().invoke(cli, ["validate", "--settings", str(config.parent / "new")])
    assert checked.exit_code == 0
    assert "team-a: good" in checked.output


def test_a_driver_toml_that_was_there_and_is_broken_is_said(config: Path) -> None:
    (config.parent / "new").mkdir()
    (config.parent / "new" / "driver.toml").write_text("version = 1\nlogg = 2\n")
    done = migrate(config)
    assert done.exit_code == 1
    assert "driver.toml, line 2: unknown key 'logg'" in done.output
    assert isinstance(done.exception, SystemExit)


def test_a_script_reads_what_was_written_and_what_is_to_do(config: Path) -> None:
    told = json.loads(migrate(config, "--output", "json").output)
    new = config.parent / "new"
    assert told["written"] == [f"{new}/driver.toml", f"{new}/tenants/team-a.toml", f"{new}/runners.toml"]
    (one,) = told["tenants"]
    assert (one["name"], one["file"]) == ("team-a", f"{new}/tenants/team-a.toml")
    assert any(each.startswith("privileged: ") for each in one["to_do"])


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colours_are_for_terminals_that_want_them(config: Path, name: str, value: str) -> None:
    words = ["migrate", str(config), "--folder", str(config.parent / "new"), "--force"]
    coloured, plain = (
        CliRunner(env={"NO_COLOR": None, "TERM": "xterm", **more}).invoke(cli, words, color=True).stdout
        for more in ({}, {name: value})
    )
    assert "\x1b[1m" in coloured
    assert "\x1b" not in plain


def test_only_the_owner_reads_the_sections_and_nobody_else_changes_the_settings(config: Path) -> None:
    migrate(config)
    new = config.parent / "new"
    assert (new / "runners.toml").stat().st_mode & 0o777 == 0o600
    assert (new / "tenants" / "team-a.toml").stat().st_mode & 0o777 == 0o644
    assert tomllib.loads((new / "runners.toml").read_text())["runners"][0]["executor"] == "custom"
    assert "SECRET" not in "".join(path.read_text() for path in new.rglob("*.toml"))


def test_nothing_is_overwritten_unless_forced_and_then_all_or_none(config: Path) -> None:
    migrate(config)
    tenant = config.parent / "new" / "tenants" / "team-a.toml"
    tenant.write_text("mine")
    (config.parent / "new" / "runners.toml").unlink()
    refused = migrate(config)
    assert refused.exit_code == 1
    assert "tenants/team-a.toml" in refused.output
    assert tenant.read_text() == "mine"
    assert not (config.parent / "new" / "runners.toml").exists()
    assert migrate(config, "--force").exit_code == 0
    assert tenant.read_text() != "mine"


def test_a_driver_file_of_the_operator_stays_even_when_forced(config: Path) -> None:
    (config.parent / "new").mkdir()
    driver = config.parent / "new" / "driver.toml"
    driver.write_text("version = 1 # mine\n")
    assert migrate(config, "--force").exit_code == 0
    assert driver.read_text() == "version = 1 # mine\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [("token = 'glrt-SECRET\n", "cannot be read as TOML"), ("concurrent = 1\n", "no runner with executor")],
)
def test_a_file_that_gives_nothing_writes_nothing(config: Path, text: str, words: str) -> None:
    config.write_text(text)
    done = migrate(config)
    assert done.exit_code == 1
    assert words in done.output
    assert "SECRET" not in done.output
    assert not (config.parent / "new").exists()
