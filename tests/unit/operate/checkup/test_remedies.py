"""Commands that doctor prints can be run as they stand, in the place that was looked at."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from executor.operate.checkup.findings import problem, warning
from executor.operate.checkup.remedies import completed, script
from executor.operate.commands import cli

GIVEN = {"--settings": "/srv/my settings", "--kubeconfig": "/root/.kube/admin", "--context": ""}


@pytest.mark.parametrize(
    ("command", "typed"),
    [
        (
            "kaniko-driver tenant apply team-blue",
            "kaniko-driver tenant apply team-blue --settings '/srv/my settings' --kubeconfig /root/.kube/admin",
        ),
        ("kaniko-driver validate", "kaniko-driver validate --settings '/srv/my settings'"),
        ("kubectl label node NODE a=b", "kubectl label node NODE a=b --kubeconfig /root/.kube/admin"),
        ("timedatectl set-ntp true", "timedatectl set-ntp true"),
    ],
)
def test_a_command_gets_the_options_that_doctor_was_given_and_it_has(command: str, typed: str) -> None:
    assert completed(command, GIVEN, cli) == typed


def test_without_options_a_command_stays_as_it_is() -> None:
    assert completed("kaniko-driver tenant apply a", dict.fromkeys(GIVEN, ""), cli) == "kaniko-driver tenant apply a"


def test_the_script_runs_what_mends_and_only_shows_the_rest(tmp_path: Path) -> None:
    findings = [
        problem("x", "the first\nproblem", "", "touch mended"),
        warning("y", "another", "", "touch mended", "kaniko-driver tenant apply a --diff"),
        problem("z", "no node", "", "kubectl label node NODE a=b"),
    ]
    lines = list(script(findings))
    assert lines == [
        "# the first problem",
        "touch mended",
        "# another",
        "# look: kaniko-driver tenant apply a --diff",
        "# no node",
        "# fill in: kubectl label node NODE a=b",
    ]
    subprocess.run(["sh", "-eu"], input="\n".join(lines), text=True, cwd=tmp_path, check=True)
    assert Path(tmp_path, "mended").exists()
