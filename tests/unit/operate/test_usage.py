"""usage and tune, as an operator calls them."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner, Result

from executor.operate.commands import cli
from executor.settings.load import load
from tests.support.operator_log import BEGIN, GIB, MIB, a_month, job, written
from tests.support.tenants import MINIMAL, write_settings

if TYPE_CHECKING:
    from pathlib import Path


def called(*words: str) -> Result:
    """Call a command."""
    return CliRunner().invoke(cli, list(words))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return written(
        tmp_path / "driver.jsonl",
        *(job(n, memory_bytes=GIB, disk_bytes=5 * GIB, builds_bytes=GIB, cache_hits=3) for n in range(25)),
        job(99, tenant="team-red", code=1),
    )


def test_every_tenant_is_shown_with_its_figures(log: Path) -> None:
    done = called("usage", "--log", str(log))
    assert done.exit_code == 0
    for words in ("team-blue", "team-red", "1 GiB of 4 GiB (25 %)", "team-red failed: script failed 1"):
        assert words in done.output


def test_scripts_get_the_same_as_json(log: Path) -> None:
    log.write_text(log.read_text() + "{half\n")
    done = called("usage", "team-blue", "--log", str(log), "--output", "json")
    report = json.loads(done.stdout)
    assert (report["broken_lines"], [one["tenant"] for one in report["tenants"]]) == (1, ["team-blue"])
    (found,) = report["tenants"]
    assert (found["jobs"], found["cache_hits"], found["cache_hit_rate"]) == (25, 75, 1.0)
    assert found["peaks"]["memory"] == {"used": GIB, "limit": 4 * GIB, "share_p95": 0.25, "job": 0}
    assert "1 of 209 lines were none of the driver's" in done.stderr


def test_what_warm_pods_cost_is_told_in_every_form(tmp_path: Path) -> None:
    log = written(tmp_path / "x", job(1, waited=7200), job(2))
    page = tmp_path / "usage.html"
    done = called("usage", "--log", str(log), "--html", str(page))
    row = next(line for line in done.output.splitlines() if "CPU hours kept free for it" in line)
    assert "3.00" in row
    assert "<b>3.00</b><span>CPU hours kept free for it</span>" in page.read_text()
    (found,) = json.loads(called("usage", "--log", str(log), "--output", "json").stdout)["tenants"]
    assert [found[f"warm_{name}"] for name in ("jobs", "hours", "cpu_hours", "memory_gib_hours")] == [1, 2, 3, 4]


def test_a_page_says_nothing_of_warm_pods_where_none_served_a_job(tmp_path: Path) -> None:
    page = tmp_path / "usage.html"
    called("usage", "--log", str(written(tmp_path / "x", job(1))), "--html", str(page))
    assert "warm pod" not in page.read_text()


def test_the_log_of_the_settings_is_read_with_what_was_rotated(tmp_path: Path, log: Path) -> None:
    write_settings(tmp_path / "s", tenant=MINIMAL, driver=f"version = 1\n[log]\nfile = '{log}'\n")
    written(tmp_path / "driver.jsonl.1", job(500, tenant="team-old"))
    done = called("usage", "--settings", str(tmp_path / "s"), "--output", "json")
    assert {one["tenant"] for one in json.loads(done.stdout)["tenants"]} == {"team-blue", "team-red", "team-old"}


def test_many_tenants_are_a_line_each(tmp_path: Path) -> None:
    path = written(tmp_path / "x", *(job(n, tenant=f"t{n}") for n in range(12)))
    done = called("usage", "--log", str(path))
    assert sum(f" t{n} " in line for n in range(12) for line in done.output.splitlines()) == 12


def test_the_page_is_written_whole(tmp_path: Path) -> None:
    page = tmp_path / "usage.html"
    done = called("usage", "--log", str(a_month(tmp_path / "x")), "--html", str(page))
    assert done.exit_code == 0
    assert page.read_text().endswith("</html>\n")
    assert [one.name for one in tmp_path.iterdir() if "usage" in one.name] == ["usage.html"]
    refused = called("usage", "--log", str(tmp_path / "x"), "--html", str(tmp_path / "no" / "x.html"))
    assert (refused.exit_code, "cannot be written" in refused.output) == (1, True)


@pytest.mark.parametrize("since", ["7 days", "x", "2026-13-01", "-1d", ""])
def test_a_time_that_is_none_is_refused_with_examples(log: Path, since: str) -> None:
    done = called("usage", "--log", str(log), "--since", since)
    assert (done.exit_code, "write 7d, 12h" in done.output) == (2, True)


@pytest.mark.parametrize(("since", "jobs"), [("2025-11-24", 26), ("2025-11-24T16:00:00Z", 26), ("2025-11-25", 0)])
def test_only_what_is_younger_is_shown(log: Path, since: str, jobs: int) -> None:
    assert BEGIN == 1_764_000_000
    done = called("usage", "--log", str(log), "--since", since, "--output", "json")
    assert sum(one["jobs"] for one in json.loads(done.stdout)["tenants"]) == jobs


def test_a_tenant_without_jobs_is_an_error(log: Path) -> None:
    done = called("usage", "team-x", "--log", str(log))
    assert (done.exit_code, "no job of team-x" in done.output) == (1, True)


class TestTune:
    """Limits from peaks, as a diff."""

    @pytest.fixture
    def settings(self, tmp_path: Path) -> Path:
        write_settings(tmp_path / "s", tenant=MINIMAL)
        (tmp_path / "s/tenants/tenant-a.toml").rename(tmp_path / "s/tenants/team-blue.toml")
        return tmp_path / "s"

    def test_the_diff_applies_and_the_settings_are_valid_then(self, settings: Path, log: Path) -> None:
        done = called("tune", "team-blue", "--settings", str(settings), "--log", str(log))
        assert done.exit_code == 0
        assert "resources.build.memory_limit: 4 GiB -> 1.2 GiB" in done.stderr
        assert "margin 20 %" in done.stderr
        subprocess.run(["patch", "-p0", "-d/"], input=done.stdout, text=True, check=True, capture_output=True)
        tuned = load(str(settings), "team-blue").tenant
        assert tuned.resources.build.memory_limit.count == 1280 * MIB
        # Kubernetes takes no request above its limit.
        assert tuned.resources.build.memory_request.count == 1280 * MIB
        assert tuned.resources.build.ephemeral_storage_limit.count == 6 * GIB
        again = called("tune", "team-blue", "--settings", str(settings), "--log", str(log))
        assert (again.exit_code, again.stdout) == (0, "")

    def test_fewer_than_twenty_jobs_are_no_ground(self, settings: Path, tmp_path: Path) -> None:
        few = written(tmp_path / "few", *(job(n, memory_bytes=GIB) for n in range(19)), job(99, wished=True))
        done = called("tune", "team-blue", "--settings", str(settings), "--log", str(few))
        assert (done.exit_code, done.stdout) == (1, "")
        assert "19 jobs of team-blue told their peaks" in done.stderr

    def test_scripts_get_proposals_and_diff(self, settings: Path, log: Path) -> None:
        done = called("tune", "team-blue", "--settings", str(settings), "--log", str(log), "--output", "json")
        report = json.loads(done.stdout)
        assert report["jobs"] == 25
        assert report["proposals"][0]["proposed_bytes"] == 1280 * MIB
        assert '+memory_limit = "1280Mi"' in report["diff"]


@pytest.mark.parametrize("width", [40, 60, 80, 120, 160])
def test_many_tenants_with_long_names_fit_any_terminal_and_are_told_apart(tmp_path: Path, width: int) -> None:
    names = [f"a-tenant-with-forty-letters-in-its-name{number}" for number in range(1, 7)]
    log = written(tmp_path / "log", *(job(index, tenant=name) for index, name in enumerate(names, 1)))
    # How rich is told that there is a terminal, and how wide it is.
    terminal = {"TTY_COMPATIBLE": "1", "TTY_INTERACTIVE": "0", "COLUMNS": str(width), "TERM": "xterm"}
    done = CliRunner(env=terminal).invoke(cli, ["usage", "--log", str(log)])
    lines = click.unstyle(done.stdout).splitlines()
    assert max(map(len, lines)) <= width
    assert all(any(f"name{number}" in line for line in lines) for number in range(1, 7))
    assert any("failed" in line for line in lines)
