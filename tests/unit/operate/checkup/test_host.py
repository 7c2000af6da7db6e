"""The runner's host: its version and config.toml."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from executor.operate.checkup import host
from tests.support.tenants import tenant

if TYPE_CHECKING:
    from executor.settings.model import Tenant

DRIVER = Path(sys.executable).parent / "kaniko-driver"
SECTION = """
[[runners]]
  name = "NAME"
  executor = "custom"
  limit = 20
  [runners.custom]
    config_exec = "DRIVER"
    config_args = ["config", "--tenant", "NAME", "--settings", "FOLDER"]
    prepare_exec = "DRIVER"
    prepare_args = ["prepare"]
    run_exec = "DRIVER"
    run_args = ["run"]
    cleanup_exec = "DRIVER"
    cleanup_args = ["cleanup"]
""".replace("DRIVER", str(DRIVER))
GOOD = "concurrent = 20\n" + SECTION.replace("NAME", "tenant-a")
TENANTS: dict[str, Tenant] = {"tenant-a": tenant()}


def looked_at(folder: Path, text: str, tenants: dict[str, Tenant] = TENANTS) -> dict[str, list[str]]:
    """Return verdict -> what was said, of a config.toml; what cannot be known from it is left out."""
    path = folder / "config.toml"
    (folder / "other").mkdir(exist_ok=True)
    for place in (folder, folder / "other"):
        (place / "driver.toml").touch()
    path.write_text(text.replace("FOLDER", str(folder)))
    found: dict[str, list[str]] = {}
    for one in host.runner_config(str(path), tenants, str(folder)):
        if one.check != "gitlab-side":
            found.setdefault(one.verdict, []).append(f"{one.check}: {one.what}")
            assert one.verdict == "good" or one.remedy
    return found


def test_what_the_driver_itself_tells_to_write_is_good(tmp_path: Path) -> None:
    assert list(looked_at(tmp_path, GOOD)) == ["good"]


@pytest.mark.parametrize(
    ("old", "new", "verdict", "words"),
    [
        ('"custom"', '"shell"', "problem", "no section of"),
        ('"--tenant", "tenant-a"', '"--tenant", "tenant-x"', "problem", "has no usable settings file"),
        ('"--settings", "FOLDER"', '"--settings", "/no/such"', "problem", "where no driver.toml is"),
        ('"--settings", "FOLDER"', '"--settings", "FOLDER/other"', "warning", "what was checked is"),
        (', "--tenant", "tenant-a"', "", "problem", "does not tell whose runner it is"),
        ("cleanup_exec", "cleanup_exec_", "problem", "pods would stay until their deadline"),
        (f'run_exec = "{DRIVER}"', 'run_exec = "/no/such"', "problem", "run_exec is /no/such"),
        ('prepare_args = ["prepare"]', "", "problem", "prepare_args lacks the word 'prepare'"),
        ("limit = 20", "limit = 30", "warning", "quota has room for 20"),
        ("limit = 20", "", "warning", "any number of jobs at once"),
        ("concurrent = 20", "concurrent = 1", "warning", "take places from each other"),
        ("limit = 20", "limit = 20\n  run_untagged = true", "warning", "allows untagged jobs"),
        (
            "[runners.custom]",
            "[runners.custom]\n    prepare_exec_timeout = 60",
            "warning",
            "prepare_exec_timeout = 60",
        ),
    ],
)
def test_a_mistake_is_told(tmp_path: Path, old: str, new: str, verdict: str, words: str) -> None:
    assert old in GOOD
    found = looked_at(tmp_path, GOOD.replace(old, new))
    assert any(words in said for said in found[verdict]), found


def test_a_tenant_without_a_section_and_a_shared_tag_are_told(tmp_path: Path) -> None:
    both = {"tenant-a": tenant(), "tenant-b": tenant()}
    assert any("takes jobs of tenant-b" in said for said in looked_at(tmp_path, GOOD, both)["warning"])
    two = GOOD + SECTION.replace("NAME", "tenant-b")
    tagged = two.replace("limit = 20", 'limit = 10\n  tag_list = ["x", "build"]')
    assert any("share the tag 'build'" in said for said in looked_at(tmp_path, tagged, both)["problem"])


def test_a_shared_runner_serves_all_who_claim_a_root_namespace(tmp_path: Path) -> None:
    text = GOOD.replace('"--tenant", "tenant-a"', '"--tenant-by", "root-namespace"')
    claims = {"tenant-a": tenant(gitlab={"root_namespaces": [5]})}
    assert list(looked_at(tmp_path, text, claims)) == ["good"]
    assert "warning" in looked_at(tmp_path, text)


def test_a_file_that_cannot_be_read_is_skipped_with_what_to_do(tmp_path: Path) -> None:
    (found,) = host.runner_config(str(tmp_path / "none"), TENANTS, str(tmp_path))
    assert (found.verdict, "--runner-config" in found.remedy) == ("skipped", True)
    assert "skipped" in looked_at(tmp_path, "this is [no toml")


def runner(folder: Path, text: str) -> str:
    """Make a program that answers as GitLab Runner does."""
    path = folder / "gitlab-runner"
    path.write_text(f"#!/bin/sh\necho '{text}'\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("said", "verdicts"),
    [
        ("Version:      19.4.0\nGit revision: x", ["good"]),
        ("Version:      17.9.0", ["good", "warning"]),
        ("Version:      17.8.3", ["problem"]),
        ("Version:      9.5.0", ["problem"]),
        ("something else", ["warning"]),
    ],
)
def test_the_runner_must_be_new_enough_and_its_helper_of_the_same_version(
    tmp_path: Path, said: str, verdicts: list[str]
) -> None:
    found = list(host.runner_version(runner(tmp_path, said), [tenant()]))
    assert [one.verdict for one in found] == verdicts


def test_without_a_runner_on_this_machine_it_is_skipped() -> None:
    (found,) = host.runner_version("/no/such/gitlab-runner", [])
    assert found.verdict == "skipped"


def test_a_log_that_nobody_could_write_is_told(tmp_path: Path) -> None:
    verdicts = {
        path: next(host.operator_log(path)).verdict for path in ("", f"{tmp_path}/x.jsonl", f"{tmp_path}/none/x.jsonl")
    }
    assert list(verdicts.values()) == ["warning", "good", "warning"]
