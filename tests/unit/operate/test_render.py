"""render, version, completion: what needs no cluster."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from click.testing import CliRunner, Result

from executor import __version__
from executor.operate.commands import cli
from executor.operate.version import TESTED
from executor.pod.manifest import render as manifest
from tests.support.tenants import MINIMAL, POD_REQUEST, tenant, write_settings

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[3]
DRIVER = Path(sys.executable).parent / "kaniko-driver"


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    more = "[overrides.build]\nmemory_limit = '8Gi'\n[gitlab]\nroot_namespaces = [5]\n"
    text = MINIMAL.replace("[cluster]", "[cluster]\nkubeconfig = '/no/such/file'") + more
    write_settings(tmp_path / "settings", tenant=text)
    return tmp_path / "settings"


@pytest.fixture
def render(tmp_path: Path, settings: Path) -> Callable[..., Result]:
    def call(*options: str, **changes: Any) -> Result:
        job = tmp_path / "job.json"
        example = json.loads(CliRunner().invoke(cli, ["render", "--example"]).stdout)
        job.write_text(json.dumps(example | changes))
        return CliRunner().invoke(cli, ["render", str(job), "--settings", str(settings), *options])

    return call


def test_the_manifest_is_the_one_that_a_job_gets(render: Callable[..., Result]) -> None:
    done = render("--tenant", "tenant-a", variables=[])
    (shown,) = yaml.safe_load_all(done.stdout)
    expected = manifest(tenant(), POD_REQUEST)
    for pod in (shown, expected):
        # What is a job's own.
        del pod["metadata"], pod["spec"]["activeDeadlineSeconds"]
    assert shown == json.loads(json.dumps(expected))


def test_wishes_of_the_job_are_granted_and_the_lines_of_the_job_log_are_told(render: Callable[..., Result]) -> None:
    done = render("--output", "json")
    assert done.exit_code == 0
    build = next(one for one in json.loads(done.stdout)["spec"]["containers"] if one["name"] == "build")
    assert build["resources"]["limits"]["memory"] == "6Gi"
    assert "job log: " in done.stderr


def test_programs_are_readable(render: Callable[..., Result]) -> None:
    assert re.search(r"- \|\n +# Runs once a pod, in the tools image", render().stdout)


def test_a_job_that_would_be_refused_is_refused_here_with_the_same_words(render: Callable[..., Result]) -> None:
    done = render(image={"name": "docker:24"})
    assert (done.exit_code, done.stdout) == (1, "")
    assert "docker:24 is not among those that tenant-a allows" in done.stderr


def test_secrets_are_shown_without_their_values(render: Callable[..., Result], settings: Path) -> None:
    path = settings / "tenants" / "tenant-a.toml"
    path.write_text(path.read_text() + "[services]\nallowed = ['docker.io/library/*']\n")
    service = {"name": "docker.io/library/redis:7", "variables": [{"key": "A", "value": "s3cret"}]}
    done = render("--output", "json", services=[service])
    documents = json.loads(done.stdout)["items"]
    assert [one["kind"] for one in documents] == ["Pod", "Secret"]
    assert set(documents[1]["data"].values()) == {""}
    assert "s3cret" not in done.stdout


def test_without_a_job_it_is_said_how_to_get_one() -> None:
    done = CliRunner().invoke(cli, ["render"])
    assert (done.exit_code, "--example" in done.output) == (2, True)


def test_a_file_that_is_no_job_is_refused_with_a_way_to_get_one(settings: Path, tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text("a password: s3cret")
    done = CliRunner().invoke(cli, ["render", str(tmp_path / "job.json"), "--settings", str(settings)])
    assert (done.exit_code, done.stdout) == (1, "")
    assert "render --example" in done.stderr
    assert "s3cret" not in done.stderr


def test_a_job_may_come_by_a_pipe(settings: Path) -> None:
    example = CliRunner().invoke(cli, ["render", "--example"]).stdout
    done = CliRunner().invoke(cli, ["render", "-", "--settings", str(settings)], input=example)
    assert done.exit_code == 0
    assert "kind: Pod" in done.stdout


def test_the_version_tells_what_it_was_tested_with_as_the_bed_has_it() -> None:
    done = CliRunner().invoke(cli, ["version", "--output", "json"])
    shown = json.loads(done.stdout)
    assert (shown["version"], shown["tested_with"]) == (__version__, TESTED)
    text = CliRunner().invoke(cli, ["version"]).stdout
    assert f"Kubernetes {TESTED['Kubernetes']}" in text
    modules = " ".join(path.read_text() for path in (ROOT / "scripts/testbed/go").glob("*/go.mod"))
    assert f"k8s.io/kubernetes v{TESTED['Kubernetes']}" in modules
    assert f"GoogleContainerTools/kaniko v{TESTED['Kaniko']}" in modules
    assert f"versitygw v{TESTED['S3 server (versitygw)']}" in modules
    day = re.search(r"(\d{4})-(\d\d)-(\d\d)", TESTED["GitLab Runner"])
    assert day is not None
    assert f"gitlab-runner v1.11.1-0.{''.join(day.groups())}" in modules


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_gets_a_script_that_calls_the_command(shell: str) -> None:
    done = CliRunner().invoke(cli, ["completion", shell])
    assert done.exit_code == 0
    assert f"_KANIKO_DRIVER_COMPLETE={shell}_complete" in done.stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["us"], "usage"),
        (["tenant", "app"], "apply"),
        (["usage", "--out"], "--output"),
        (["tune", "--settings", "SETTINGS", "ten"], "tenant-a"),
    ],
)
def test_commands_options_and_tenants_are_completed(settings: Path, words: list[str], expected: str) -> None:
    line = ["kaniko-driver", *(word.replace("SETTINGS", str(settings)) for word in words)]
    environment = {
        "_KANIKO_DRIVER_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(line),
        "COMP_CWORD": str(len(line) - 1),
        "PATH": os.environ["PATH"],
    }
    done = subprocess.run([DRIVER], env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert f"plain,{expected}" in done.stdout.splitlines()
