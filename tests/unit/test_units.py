"""systemd units, logrotate and cron: the commands in them are commands that there are."""

from __future__ import annotations

import configparser
import re
import shlex
from pathlib import Path

import click
import pytest

from executor.operate.commands import cli

CONFIG = Path(__file__).parents[2] / "config"
UNITS = sorted(path for kind in ("service", "timer", "conf") for path in CONFIG.rglob(f"*.{kind}"))


def parsed(path: Path) -> configparser.ConfigParser:
    """Read a unit; a key that stands twice is a mistake here."""
    unit = configparser.ConfigParser(interpolation=None, delimiters=("=",), strict=True)
    unit.optionxform = str  # type: ignore[assignment,method-assign] # as typeshed knows it, it cannot be set
    unit.read_string(path.read_text(encoding="utf-8"))
    return unit


@pytest.mark.parametrize("path", UNITS, ids=[path.name for path in UNITS])
def test_a_unit_calls_a_command_with_options_that_it_has(path: Path) -> None:
    unit = parsed(path)
    started = unit.get("Service", "ExecStart", fallback="")
    if not started:
        assert set(unit.sections()) <= {"Unit", "Timer", "Service", "Install"}
        return
    program, *words = shlex.split(started)
    assert program == "/usr/local/bin/kaniko-driver"
    command: click.Command = cli
    while isinstance(command, click.Group):
        command = command.commands[words.pop(0)]
    options = {name for one in command.params for name in one.opts}
    assert {word.partition("=")[0] for word in words if word.startswith("--")} <= options


def test_a_service_that_ends_has_a_timer_and_one_that_stays_is_started_with_the_host() -> None:
    services = [path for path in UNITS if path.suffix == ".service"]
    ending = [path for path in services if parsed(path).get("Service", "Type", fallback="") == "oneshot"]
    assert ending
    for path in services:
        assert path.with_suffix(".timer").exists() == (path in ending)
        assert parsed(path).has_section("Install") != (path in ending)


def test_logs_are_rotated_in_the_way_that_metrics_can_follow() -> None:
    text = re.sub(r"#.*", "", (CONFIG / "logrotate/kaniko-driver").read_text())
    assert "/var/log/kaniko-driver/driver.jsonl {" in text
    assert {"create", "delaycompress", "compress", "missingok"} <= set(text.split())
    assert "copytruncate" not in text
