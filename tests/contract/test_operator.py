"""The operator's side of the command line."""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING

import pytest

from executor import __version__

if TYPE_CHECKING:
    from tests.contract.conftest import Attempt


def test_help_lists_every_command(attempt: Attempt) -> None:
    done = attempt.stage("--help")
    assert done.code == 0
    for command in ("config", "prepare", "run", "cleanup", "exec", "logs", "settings", "tenant", "validate"):
        assert f"\n  {command} " in done.out


@pytest.mark.parametrize("stage", ["config", "prepare", "run", "cleanup"])
def test_help_of_a_stage_says_how_the_runner_is_told_to_call_it(attempt: Attempt, stage: str) -> None:
    done = attempt.stage(stage, "--help")
    assert done.code == 0
    assert f"{stage}_exec = " in " ".join(done.out.split())
    assert f'{stage}_args = ["{stage}"' in " ".join(done.out.split())


def test_the_version_is_told(attempt: Attempt) -> None:
    assert attempt.stage("--version").out == f"kaniko-driver, version {__version__}\n"


def test_good_settings_are_called_good_and_images_of_examples_are_noticed(attempt: Attempt) -> None:
    done = attempt.stage("validate", "--settings", str(attempt.settings))
    assert (done.code, done.out) == (0, "tenant-a: good\n")
    assert "images.kaniko is the example's" in done.err
    path = attempt.settings / "tenants" / "tenant-a.toml"
    path.write_text(path.read_text().replace("registry.example.com", "registry.of-ours.org"))
    assert attempt.stage("validate", "--settings", str(attempt.settings)).words == "tenant-a: good\n"


def test_every_mistake_of_every_tenant_is_listed(attempt: Attempt) -> None:
    attempt.configure(more="[cache]\nbuket = 'x'\nprt = 1\n")
    good = (attempt.settings / "tenants" / "tenant-a.toml").read_text().split("[cache]", maxsplit=1)[0]
    good = good.replace('namespace = "tenant-a"', 'namespace = "tenant-b"').replace('["a"]', '["b"]')
    (attempt.settings / "tenants" / "tenant-b.toml").write_text(good)
    (attempt.settings / "tenants" / "tenant-b.toml").chmod(0o644)
    done = attempt.stage("validate", "--settings", str(attempt.settings))
    assert done.code == 1
    assert done.out == "tenant-b: good\n"
    assert "did you mean 'bucket'?" in done.err
    assert "did you mean 'port'?" in done.err


def second_tenant(attempt: Attempt, more: str = "") -> None:
    """Add a tenant-b that has all of tenant-a's, unless `more` says otherwise."""
    path = attempt.settings / "tenants" / "tenant-b.toml"
    path.write_text((attempt.settings / "tenants" / "tenant-a.toml").read_text() + more)
    path.chmod(0o644)


def test_what_tenants_share_is_told_for_scripts_too(attempt: Attempt) -> None:
    cache = "[cache]\nmode = 'read-write'\nbucket = 'layers'\nsecret = 's3'\nprefix = 'p'\n"
    attempt.configure(more=cache + "[gitlab]\nroot_namespaces = [5]\n")
    second_tenant(attempt)
    path = attempt.settings / "tenants" / "tenant-b.toml"
    path.write_text(path.read_text().replace("prefix = 'p'", "prefix = 'p/tenant-a'"))
    done = attempt.stage("validate", "--settings", str(attempt.settings), "--output", "json")
    assert done.code == 1
    report = json.loads(done.out)
    assert report["tenants"] == {"tenant-a": True, "tenant-b": False}
    told = {problem["text"].split(" of tenant-a")[0] for problem in report["problems"]}
    assert told == {
        "tenant-a is also the namespace",
        "5 is also a root namespace",
        "p/tenant-a/tenant-b/ lies within p/tenant-a/, or around it: the layer cache",
    }
    assert all(problem["line"] and problem["file"].endswith("tenant-b.toml") for problem in report["problems"])
    warnings = " ".join(warning["text"] for warning in report["warnings"])
    assert "no label keeps these nodes apart" in warnings
    assert "has the same kubeconfig" in warnings


def test_a_mistake_in_the_defaults_is_told_once_and_does_not_hide_others(attempt: Attempt) -> None:
    driver = f"version = 1\n[log]\nfile = '{attempt.journal}'\n[defaults.volumes]\nbuild = '1Gi'\n"
    attempt.configure(more="[pod.patch]\nhostNetwork = true\n[pod.dns]\npolicy = 'none'\n", driver=driver)
    done = attempt.stage("validate", "--settings", str(attempt.settings))
    assert done.code == 1
    assert done.err.count("did you mean 'builds'?") == 1
    assert "policy 'none' needs pod.dns.nameservers" in done.err
    assert "hostNetwork may not be changed" in done.err


def test_a_kubeconfig_that_cannot_be_read_is_found_before_a_job_finds_it(attempt: Attempt) -> None:
    attempt.kubeconfig.unlink()
    done = attempt.stage("validate", "--settings", str(attempt.settings))
    assert done.code == 1
    assert "tenant-a.toml, line 4: The kubeconfig cannot be read." in done.err


class TestSettingsShow:
    """Every effective value, and why it is so."""

    def test_each_value_is_told_with_the_layer_that_it_came_from(self, attempt: Attempt) -> None:
        driver = f"version = 1\n[log]\nfile = '{attempt.journal}'\n[defaults.volumes]\nbuilds = '5Gi'\ncache = '6Gi'\n"
        attempt.configure(more="[volumes]\nbuilds = '7Gi'\n", driver=driver)
        done = attempt.stage("settings", "show", "tenant-a", "--why", "--settings", str(attempt.settings))
        assert done.code == 0
        lines = dict(line.split("  # ") for line in done.out.splitlines())
        tenant, defaults = attempt.settings / "tenants" / "tenant-a.toml", attempt.settings / "driver.toml"
        number = tenant.read_text().splitlines().index("builds = '7Gi'") + 1
        assert lines['volumes.builds = "7Gi"'] == f"{tenant}, line {number}"
        assert lines['volumes.cache = "6Gi"'] == f"{defaults}, line 6"
        assert lines['volumes.output = "1Gi"'] == "built-in"
        assert lines[f'log.file = "{attempt.journal}"'] == f"{defaults}, line 3"
        assert not any(line.startswith("debug.keep_failed =") for line in lines)

    def test_the_text_is_toml_and_json_is_for_scripts(self, attempt: Attempt) -> None:
        text = attempt.stage("settings", "show", "tenant-a", "--settings", str(attempt.settings))
        document = tomllib.loads(text.out)
        assert document["nodes"]["labels"] == {"tenant": ["a"]}
        made = attempt.stage("settings", "show", "tenant-a", "--output", "json", "--settings", str(attempt.settings))
        values = {value["key"]: value for value in json.loads(made.out)}
        assert values["debug.keep_failed"] == {"key": "debug.keep_failed", "value": None, "origin": "built-in"}
        assert values["cluster.namespace"]["origin"]["line"] == 5

    def test_settings_that_cannot_be_used_are_told_and_not_shown(self, attempt: Attempt) -> None:
        attempt.configure(more="[cache]\nbuket = 'x'\n")
        done = attempt.stage("settings", "show", "tenant-a", "--settings", str(attempt.settings))
        assert (done.code, done.out) == (1, "")
        assert "did you mean 'bucket'?" in done.err
        unknown = attempt.stage("settings", "show", "tenant-x", "--settings", str(attempt.settings))
        assert "There is no tenant 'tenant-x'" in unknown.err


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
