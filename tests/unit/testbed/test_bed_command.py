"""The command line, as far as it can be used without a bed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import testbed

SOURCES = Path(testbed.__file__).parent.parent


def bed(*words: str, name: str = "kaniko-bed-absent") -> subprocess.CompletedProcess[str]:
    """Run the command for a bed that does not exist."""
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(SOURCES), "KANIKO_BED_NAME": name, "HOME": "/nonexistent"}
    command = (sys.executable, "-m", "testbed", *words)
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_the_help_says_what_to_try_first() -> None:
    said = bed("--help").stdout
    assert "scripts/bed up" in said
    for command in ("up", "down", "status", "kubectl", "node", "enter", "load", "env"):
        assert f"\n  {command} " in said


def test_the_status_of_a_bed_that_is_down_says_how_to_start_it() -> None:
    done = bed("status")
    assert done.returncode == 1
    assert "scripts/bed up" in done.stdout


def test_entering_a_bed_that_is_down_says_how_to_start_it() -> None:
    done = bed("enter", "true")
    assert done.returncode == 1
    assert done.stderr == "bed: the bed is down: `scripts/bed up` starts it\n"


def test_kubectl_of_a_bed_that_is_down_says_how_to_start_it() -> None:
    assert bed("kubectl", "get", "pods").stderr == "bed: the bed is down: `scripts/bed up` starts it\n"


def test_an_unknown_node_is_answered_with_the_known_ones() -> None:
    assert "there is no node node3; there are node1, node2" in bed("node", "node3", "true").stderr


def test_built_things_are_deleted_only_together_with_the_data() -> None:
    done = bed("down", "--cache")
    assert done.returncode == 2
    assert "--purge" in done.stderr


def test_the_environment_is_for_a_shell_and_for_this_bed() -> None:
    script = bed("env").stdout + 'echo "$KUBECONFIG $BED_ENTER"'
    said = subprocess.run(("sh", "-c", script), capture_output=True, text=True, check=True).stdout
    assert said == "/var/lib/kaniko-bed-absent/admin.kubeconfig nsenter --net=/run/netns/kaniko-bed-absent --\n"
