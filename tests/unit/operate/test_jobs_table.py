"""The table of `jobs` on terminals of any width: never broken, and what matters most stays."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from executor.operate.jobs import Row, _row, table

GIB = 2**30
ROWS = [
    Row(
        job=1234567,
        tenant="team-blue",
        pod="p",
        project="group/subgroup/application",
        node="node-17.example.internal",
        began=0,
        state="running",
        detail="build_script",
        memory_bytes=4 * GIB - 1,
        memory_limit_bytes=4 * GIB,
        disk_bytes=3 * GIB,
        disk_limit_bytes=20 * GIB,
        builds_bytes=GIB // 2,
        builds_limit_bytes=10 * GIB,
    ),
    Row(job=8, tenant="a", pod="p", project="g/p", node="", began=50, state="starting", detail="no room on any node"),
]


LONG = replace(
    ROWS[0],
    job=12345678901,
    tenant="a-tenant-with-forty-letters-in-its-name1",
    project="group/sub-group/sub-sub-group/what-tells-it-apart",
    node="ip-10-0-123-234.eu-central-1.compute.internal",
    memory_bytes=2 * GIB,
)


def shown(width: int, rows: list[Row] = ROWS) -> list[str]:
    """Return the lines that a person sees."""
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(table(rows, now=100, width=width))
    text: str = console.file.getvalue()  # type: ignore[attr-defined] # it is the StringIO
    return [line.strip() for line in text.splitlines() if line.strip()]


def test_a_pod_that_the_driver_would_not_make_hides_no_other() -> None:
    limits = {"memory": "1e9", "ephemeral-storage": "123456789m"}
    pod = {
        "metadata": {
            "name": "by-hand",
            "labels": {"kaniko-driver/job": "not-a-number"},
            "creationTimestamp": "2026-11-01T00:00:00Z",
        },
        "spec": {
            "containers": [{"name": "build", "resources": {"limits": limits}}],
            "volumes": [{"name": "builds", "emptyDir": {"sizeLimit": "many"}}],
        },
        "status": {"phase": "Pending"},
    }
    row = _row("a", pod)
    assert (row.job, row.memory_limit_bytes, row.disk_limit_bytes, row.builds_limit_bytes) == (0, 10**9, 123456, 0)


@pytest.mark.parametrize("width", [40, 49, 50, 63, 64, 73, 74, 83, 84, 109, 110, 129, 130, 159, 160, 200])
def test_each_job_has_one_line_with_number_age_and_script(width: int) -> None:
    lines = shown(width)
    assert max(map(len, lines)) <= width
    (running,) = [line for line in lines if line.startswith("1234567 ")]
    assert "1m40s" in running
    assert "build_script" in running


@pytest.mark.parametrize("width", [40, 50, 64, 74, 80, 84, 100, 110, 120, 130, 150, 160, 200])
def test_long_names_make_room_for_what_is_looked_for(width: int) -> None:
    lines = shown(width, [LONG, ROWS[1]])
    assert max(map(len, lines)) <= width
    (running,) = [line for line in lines if line.startswith("12345678901 ")]
    assert "1m40s" in running
    assert "build_script" in running
    if width >= 50:
        assert ("50 %" in running) or ("2 GiB of 4 GiB" in running)
    if width >= 110:
        assert "apart " in running  # the end of the project's name


def test_a_wide_terminal_has_figures_and_a_usual_one_parts_of_limits() -> None:
    assert "3 GiB of 20 GiB" in "\n".join(shown(200))
    assert "15 %" in "\n".join(shown(80))
    assert "team-blue" in "\n".join(shown(80))
