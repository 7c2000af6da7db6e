"""The wheel as it is installed: what is in it, and that it works outside of the source tree."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHELL = ("supervisor", "executor", "install", "logins.awk", "dockerfile.awk", "gitlab-runner")


def uv() -> str:
    """Where scripts/bootstrap.sh has put it, or the one on PATH."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    found = shutil.which("uv") or str(cache / "kaniko-bed/uv/bin/uv")
    assert Path(found).exists(), "uv is missing: run any command of scripts/ once"
    return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    # From a copy, so that nothing of the build lands in the source tree.
    tree = folder / "tree"
    shutil.copytree(
        ROOT, tree, ignore=shutil.ignore_patterns(".git", ".venv", "*_cache", "__pycache__", "build", "dist", "tests")
    )
    command = [uv(), "build", "--quiet", "--wheel", "--python", sys.executable, "--out-dir", str(folder), str(tree)]
    subprocess.run(command, check=True, timeout=300, env=environment())
    (made,) = folder.glob("*.whl")
    return made


def environment() -> dict[str, str]:
    """Without this source tree, which the tests' own environment knows."""
    kept = {key: value for key, value in os.environ.items() if key not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    return kept | {"UV_SYSTEM_CERTS": "1", "UV_PYTHON_DOWNLOADS": "never", "UV_LINK_MODE": "copy"}


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed") / "venv"
    subprocess.run(
        [uv(), "venv", "--quiet", "--python", sys.executable, str(folder)], check=True, timeout=300, env=environment()
    )
    command = [uv(), "pip", "install", "--quiet", "--python", str(folder / "bin/python"), str(wheel)]
    subprocess.run(command, check=True, timeout=300, env=environment())
    return folder


def test_the_wheel_holds_all_that_runs_and_nothing_of_the_tests(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    package = {name for name in names if name.startswith("executor/")}
    assert {f"executor/pod/shell/{name}" for name in SHELL} <= package
    assert "executor/py.typed" in package
    sources = {str(path.relative_to(ROOT)) for path in (ROOT / "executor").rglob("*.py")}
    assert {name for name in package if name.endswith(".py")} == sources
    assert any(name.endswith("licenses/LICENSE") for name in names)
    shared = {name.partition("/share/kaniko-driver/")[2] for name in names if "/share/kaniko-driver/" in name}
    for file in ("driver.toml", "driver.schema.json", "tenant.schema.json", "tenants/tenant-a.toml"):
        assert file in shared
    for folder in ("systemd/", "prometheus/", "logrotate/"):
        assert any(name.startswith(folder) for name in shared)
    assert not [name for name in names if name.startswith(("tests", "scripts", "docs"))]


def test_the_metadata_tells_what_it_needs(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    metadata = archive.read(next(name for name in archive.namelist() if name.endswith("/METADATA"))).decode()
    assert "License-Expression: Apache-2.0" in metadata
    assert "Requires-Python: >=3.11" in metadata
    needed = set(re.findall(r"^Requires-Dist: ([a-z-]+)", metadata, re.MULTILINE))
    assert {"click", "kubernetes", "pyyaml", "rich", "tenacity", "prometheus-client"} <= needed


def called(installed: Path, folder: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Call the installed command in a folder that has nothing to do with the sources."""
    command = [str(installed / "bin/kaniko-driver"), *words]
    return subprocess.run(
        command, cwd=folder, env=environment() | more, capture_output=True, text=True, check=False, timeout=120
    )


def test_operator_commands_work_as_installed(installed: Path, tmp_path: Path) -> None:
    share = installed / "share/kaniko-driver"
    assert called(installed, tmp_path, "--help").returncode == 0
    shown = json.loads(called(installed, tmp_path, "version", "--output", "json").stdout)
    assert shown["program"] == str(installed / "bin/kaniko-driver")
    assert called(installed, tmp_path, "settings", "show", "tenant-a", "--settings", str(share)).returncode == 0
    job = tmp_path / "job.json"
    job.write_text(called(installed, tmp_path, "render", "--example").stdout)
    # Its manifest has the shell programs in it, which are files of the package.
    rendered = called(
        installed, tmp_path, "render", str(job), "--settings", str(share), "--tenant", "tenant-b", "--output", "json"
    )
    assert rendered.returncode == 0, rendered.stderr
    supervisor = (ROOT / "executor/pod/shell/supervisor").read_text()
    first, *_ = json.loads(rendered.stdout)["spec"]["containers"]
    assert supervisor.replace("$", "$$") in first["command"]


def test_a_stage_works_as_installed(installed: Path, tmp_path: Path) -> None:
    done = called(installed, tmp_path, "run", BUILD_FAILURE_EXIT_CODE="1", SYSTEM_FAILURE_EXIT_CODE="2")
    assert done.returncode == 2
    assert "`kaniko-driver run` takes a script and a sub-stage" in done.stdout + done.stderr
