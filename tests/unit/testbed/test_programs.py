"""Each program has a key of its own, made of what it is built from."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from testbed import programs
from testbed.programs import ALL, KUBECTL, KUBELET, RUNNER, RUNNER_HELPER, S3

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the Go modules."""
    copy = tmp_path / "go"
    shutil.copytree(programs.MODULES, copy)
    monkeypatch.setattr(programs, "MODULES", copy)
    return copy


def keys() -> dict[str, str]:
    """Return every program's key."""
    return {program.name: program.artifact.key for program in ALL}


def changed(before: dict[str, str]) -> set[str]:
    """Return the programs whose key is another one now."""
    return {name for name, key in keys().items() if before[name] != key}


def test_every_program_has_its_own_name_and_key() -> None:
    assert len(keys()) == len(ALL)
    assert len(set(keys().values())) == len(ALL)
    assert KUBELET.path.name == "kubelet"


def test_the_place_of_the_checkout_does_not_count(modules: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copied = keys()
    shutil.move(modules, modules.with_name("moved"))
    monkeypatch.setattr(programs, "MODULES", modules.with_name("moved"))
    assert keys() == copied


def test_a_changed_module_rebuilds_its_own_programs_only(modules: Path) -> None:
    before = keys()
    with (modules / "s3" / "go.sum").open("a") as file:
        file.write("\n")
    assert changed(before) == {S3.name}


def test_a_changed_placeholder_rebuilds_the_runner_and_its_helper(modules: Path) -> None:
    before = keys()
    with (modules / "runner" / "placeholders" / "moa" / "moa.go").open("a") as file:
        file.write("// more\n")
    assert changed(before) == {RUNNER.name, RUNNER_HELPER.name}


def test_kubernetes_is_told_its_version_in_both_places() -> None:
    assert "k8s.io/component-base/version.gitVersion=v1.35.4" in KUBECTL.flags
    assert "k8s.io/client-go/pkg/version.gitVersion=v1.35.4" in KUBECTL.flags
    assert "k8s.io/kubernetes v1.35.4" in (programs.MODULES / "kubernetes" / "go.mod").read_text()
