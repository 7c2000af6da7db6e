"""The documentation: what is made from the program is fresh, what is computed is right, every link leads somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from executor.errors import SettingsInvalid
from executor.operate.reference import PAGES, made
from executor.settings.load import load
from executor.settings.writer import write
from executor.tenancy import sample
from executor.tenancy.room import nodes_of
from executor.tenancy.sizes import of_pod
from tests.support.tenants import CACHE, MINIMAL, tenant

ROOT = Path(__file__).parents[2]
ENGLISH = ROOT / "docs/en"


def examples() -> list[tuple[str, str]]:
    """Return page and text of every piece of settings that a page shows, in both languages."""
    return [
        (str(page.relative_to(ROOT)), text)
        for page in sorted((ROOT / "docs").rglob("*.md"))
        for text in re.findall(r"```toml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
        if "[[runners]]" not in text
    ]


@pytest.mark.parametrize(("page", "text"), examples())
def test_settings_that_a_page_shows_are_valid(tmp_path: Path, page: str, text: str) -> None:
    shown = tomllib.loads(text)
    everybody = shown.pop("defaults", {})
    given: dict[str, Any] = {"version": 1, **everybody}
    for name, table in (*tomllib.loads(MINIMAL).items(), *shown.items()):
        given[name] = {**given.get(name, {}), **table} if isinstance(table, dict) else table
    (tmp_path / "driver.toml").write_text("version = 1\n")
    (tmp_path / "tenants").mkdir()
    (tmp_path / "tenants" / "tenant-a.toml").write_text(write(given))
    try:
        load(str(tmp_path), "tenant-a")
    except SettingsInvalid as refused:
        complaints = refused.why.splitlines()
    else:
        complaints = []
    # Files of the operator's own, which a page can only name.
    assert [one for one in complaints if not one.endswith("No such file or directory")] == [], page


@pytest.mark.parametrize("page", PAGES)
def test_a_page_that_is_made_from_the_program_is_fresh(page: str) -> None:
    path = ENGLISH / f"reference/{page}.md"
    # A process of its own, since click remembers of each command how its help was first asked for.
    program = Path(sys.executable).parent / "kaniko-driver"
    done = subprocess.run([program, "reference", page], capture_output=True, text=True, check=True, timeout=60)
    assert path.read_text(encoding="utf-8") == done.stdout, f"kaniko-driver reference {page} > {path}"


def test_every_command_tells_its_exit_codes_or_its_group_does() -> None:
    page = made("exit-codes")
    for command in ("doctor", "gc", "jobs", "logs", "exec", "metrics", "render", "tenant", "tune", "usage", "validate"):
        assert f"| `kaniko-driver {command}` |" in page


@pytest.mark.parametrize("config", ["mkdocs.yml", "mkdocs.ru.yml"])
def test_the_site_is_built_without_a_warning(tmp_path: Path, config: str) -> None:
    command = [str(Path(sys.executable).parent / "mkdocs"), "build", "--strict", "--config-file", config]
    command += ["--site-dir", str(tmp_path / "site")]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    for page in ENGLISH.rglob("*.md"):
        assert (tmp_path / "site" / page.relative_to(ENGLISH).with_suffix(".html")).exists()


def rows(page: str, heading: str) -> list[list[str]]:
    """Return the cells of the first table below a heading, the header left out."""
    text = (ENGLISH / page).read_text(encoding="utf-8").partition(f"## {heading}\n")[2]
    table = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert table is not None
    return [[cell.strip() for cell in line.strip("|\n").split("|")] for line in table[0].splitlines()[2:]]


def test_the_figures_of_capacity_planning_follow_from_the_settings() -> None:
    made_tenant = tenant(cache=CACHE, images={"cache_registry": "r.example.com/c:1"})
    job = sample.usual(made_tenant)
    for row, kind in zip(
        rows("explanation/capacity-planning.md", "What one job takes"), ("requests", "limits"), strict=True
    ):
        amounts = of_pod(job, kind)
        gib = [float(amounts[name]) / 2**30 for name in ("memory", "ephemeral-storage")]
        assert [float(re.findall(r"[\d.]+", cell)[0]) for cell in row[1:]] == pytest.approx(
            [float(amounts["cpu"]), *gib], rel=0.03
        )
    for _, left, jobs, bound in rows("explanation/capacity-planning.md", "What one node holds"):
        cpu, memory, disk = left.replace(" CPU", "").split(", ")
        allocatable = {"cpu": cpu, "memory": memory, "ephemeral-storage": disk, "pods": "110"}
        node: dict[str, Any] = {
            "metadata": {"name": "n", "labels": {"tenant": "a"}},
            "spec": {},
            "status": {"allocatable": allocatable},
        }
        (room,) = nodes_of(made_tenant, [node], [], job, jobs_namespace="tenant-a")
        assert (room.fits, room.bound) == (int(jobs), bound)
