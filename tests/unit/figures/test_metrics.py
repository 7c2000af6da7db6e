"""Metrics: what counts where, over rotated logs and restarts; alerts and dashboard use names that there are."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families

from executor.categories import CATEGORIES
from executor.figures.attempts import FATAL_SUB_STAGES
from executor.figures.metrics import METRICS, reference
from executor.operate.commands import cli
from tests.support.operator_log import GIB, a_month, job, line, written

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


class Host:
    """A runner host with its log and its state."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "driver.jsonl"
        self.log.touch()
        self.state = folder / "state.json"
        self.text = folder / "kaniko.prom"

    def ran(self, *jobs: list[dict[str, Any]]) -> None:
        """Append what these jobs wrote."""
        with self.log.open("a") as file:
            file.writelines(json.dumps(one) + "\n" for lines in jobs for one in lines)

    def rotate(self, name: str) -> None:
        """Move the log away and begin a new one, as logrotate does by `create`."""
        self.log.rename(self.log.parent / name)
        self.log.touch()

    def write(self) -> Samples:
        """Call `metrics write` and read what it wrote as Prometheus does."""
        words = ["metrics", "write", str(self.text), "--log", str(self.log), "--state", str(self.state)]
        words += ["--settings", str(self.log.parent)]
        done = CliRunner().invoke(cli, words, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return parsed(self.text.read_text())


def parsed(text: str) -> Samples:
    """Read the text format."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def jobs(samples: Samples, result: str = "success", tenant: str = "team-blue") -> float:
    """Return how many jobs ended so."""
    return samples.get(("kaniko_driver_jobs_total", (("result", result), ("tenant", tenant))), 0)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_every_metric_is_told_with_its_labels(host: Host) -> None:
    host.ran(
        job(1, programs_bytes=GIB, disk_bytes=GIB, cpu_ms=1500, cache_hits=3, cache_misses=1, oom_kills=2),
        job(2, code=1),
        job(3)[:4],
        [line(1.0, "cleanup", "cleanup left something behind", "error", tenant="team-blue")],
        [line(1.0, "cleanup", "leftover deleted", tenant="team-blue", leftover="x")],
    )
    host.log.write_text(host.log.read_text() + "{half\n")
    samples = host.write()
    told = {re.sub(r"_(bucket|sum|count)$", "", name) for name, _ in samples}
    assert told == {one.name for one in METRICS}
    for name, labels in samples:
        (metric,) = [one for one in METRICS if one.name == re.sub(r"_(bucket|sum|count)$", "", name)]
        assert {key for key, _ in labels} - {"le"} == set(metric.labels)
    tenant = ("tenant", "team-blue")
    assert (jobs(samples), jobs(samples, "failed")) == (1, 1)
    assert samples["kaniko_driver_job_failures_total", (("category", "script_failed"), tenant)] == 1
    assert samples["kaniko_driver_job_cpu_seconds_total", (tenant,)] == 1.5
    assert samples["kaniko_driver_cache_lookups_total", (("result", "hit"), tenant)] == 3
    assert samples["kaniko_driver_oom_kills_total", (tenant,)] == 2
    assert samples["kaniko_driver_job_memory_ratio_bucket", (("le", "0.25"), tenant)] == 1
    assert samples["kaniko_driver_job_memory_ratio_bucket", (("le", "0.1"), tenant)] == 0
    assert samples["kaniko_driver_job_start_seconds_sum", (tenant,)] == 6.0
    assert samples["kaniko_driver_log_lines_total", (("result", "broken"),)] == 1


def test_a_tenant_has_every_series_at_zero_before_its_first_job(host: Host) -> None:
    (host.log.parent / "tenants").mkdir()
    (host.log.parent / "tenants" / "team-new.toml").touch()
    before = host.write()
    mine = {key: value for key, value in before.items() if ("tenant", "team-new") in key[1]}
    assert set(mine.values()) == {0}
    categories = {dict(labels).get("category") for name, labels in mine if name == "kaniko_driver_job_failures_total"}
    assert categories == CATEGORIES | FATAL_SUB_STAGES
    host.ran(job(1, tenant="team-new", failure={"category": "node_lost"}))
    after = host.write()
    assert after["kaniko_driver_job_failures_total", (("category", "node_lost"), ("tenant", "team-new"))] == 1
    # Whose labels come with the job: nodes.
    assert {name for name, _ in after.keys() - before.keys()} == {"kaniko_driver_pod_seconds_total"}


def test_a_tenant_without_a_settings_file_is_told_of_when_its_first_job_begins(host: Host) -> None:
    host.ran(job(1, at=time.time())[:1])
    assert host.write()["kaniko_driver_job_failures_total", (("category", "quota"), ("tenant", "team-blue"))] == 0


def test_a_job_counts_once_whenever_its_lines_come(host: Host) -> None:
    (host.log.parent / "driver.jsonl").touch()
    for one in job(1):
        host.ran([one | {"timestamp": now()}])
        samples = host.write()
        over = one["stage"] == "cleanup"
        assert jobs(samples) == over
        assert samples["kaniko_driver_jobs_running", (("tenant", "team-blue"),)] == (not over)
    assert host.write() | {("kaniko_driver_log_read_timestamp_seconds", ()): 0} == samples | {
        ("kaniko_driver_log_read_timestamp_seconds", ()): 0
    }


def test_a_job_with_a_warm_pod_counts_when_it_is_over(host: Host) -> None:
    first, *rest = job(1, at=time.time() - 100, waited=60)
    host.ran([first])
    host.write()
    host.ran(rest)
    found = host.write()
    assert (jobs(found), found["kaniko_driver_jobs_running", (("tenant", "team-blue"),)]) == (1, 0)


def now() -> str:
    """Return the time as the journal writes it: a job whose last line is old is given up."""
    from datetime import UTC, datetime

    return datetime.now(UTC).isoformat()


def test_a_half_line_is_read_when_it_is_whole(host: Host) -> None:
    host.ran(job(1, at=time.time()))
    whole = host.log.read_bytes()
    host.log.write_bytes(whole[:-10])
    assert jobs(host.write()) == 0
    host.log.write_bytes(whole)
    samples = host.write()
    assert (jobs(samples), samples["kaniko_driver_log_gaps_total", ()]) == (1, 0)


def test_what_was_there_before_the_first_look_counts_packed_or_not(host: Host) -> None:
    packed = written(host.log.parent / "x", job(1)).read_bytes()
    (host.log.parent / "driver.jsonl.2.gz").write_bytes(gzip.compress(packed))
    written(host.log.parent / "driver.jsonl.1", job(2))
    host.ran(job(3))
    assert jobs(host.write()) == 3


def test_rotation_between_two_looks_loses_nothing(host: Host) -> None:
    host.ran(job(1))
    assert jobs(host.write()) == 1
    host.ran(job(2))
    host.rotate("driver.jsonl.2")
    host.ran(job(3))
    host.rotate("driver.jsonl.1")
    host.ran(job(4))
    os.utime(host.log.parent / "driver.jsonl.2", (1, 1))
    os.utime(host.log.parent / "driver.jsonl.1", (2, 2))
    samples = host.write()
    assert (jobs(samples), samples["kaniko_driver_log_gaps_total", ()]) == (4, 0)


def test_counters_go_on_when_old_logs_are_deleted_and_gaps_are_told(host: Host) -> None:
    host.ran(job(1))
    host.write()
    host.log.unlink()
    (host.log.parent / "taken").touch()  # so that no file gets the inode again
    host.log.touch()
    host.ran(job(2))
    samples = host.write()
    assert (jobs(samples), samples["kaniko_driver_log_gaps_total", ()]) == (2, 1)


def test_a_log_that_was_cut_in_place_is_read_from_its_beginning(host: Host) -> None:
    host.ran(job(1), job(2))
    host.write()
    host.log.write_text("")
    host.ran(job(3))
    samples = host.write()
    assert (jobs(samples), samples["kaniko_driver_log_gaps_total", ()]) == (3, 1)


def test_a_job_whose_host_went_down_is_given_up_and_told(host: Host) -> None:
    host.ran(job(1)[:4])
    assert jobs(host.write(), "unfinished") == 1


@pytest.mark.parametrize("state", ["", "{", "{}", '{"version": 99}', '{"version": 1, "running": 5}'])
def test_a_damaged_state_begins_anew(host: Host, state: str) -> None:
    host.ran(job(1))
    host.state.write_text(state)
    assert jobs(host.write()) == 1


@pytest.mark.parametrize("what", ["log", "state", "file"])
def test_what_cannot_be_used_is_named(host: Host, what: str) -> None:
    paths = {"log": host.log, "state": host.state, "file": host.text}
    paths[what] = host.log / "x" if what == "log" else host.log.parent / "none" / "x"
    words = ["metrics", "write", str(paths["file"]), "--log", str(paths["log"]), "--state", str(paths["state"])]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 1
    assert str(paths[what]) in done.output


@pytest.fixture
def server(host: Host) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    driver = Path(sys.executable).parent / "kaniko-driver"
    words = ["metrics", "serve", "--port", "0", "--log", str(host.log), "--state", str(host.state)]
    process = subprocess.Popen([driver, *words], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    address = process.stderr.readline().split()[-1]
    yield address, process
    process.kill()
    process.communicate()


def test_the_server_tells_what_is_new_at_every_scrape_and_ends_at_sigterm(
    host: Host, server: tuple[str, subprocess.Popen[str]]
) -> None:
    address, process = server

    def scrape() -> Samples:
        with urllib.request.urlopen(address, timeout=30) as answer:  # noqa: S310 - http, as the server said
            return parsed(answer.read().decode())

    assert jobs(scrape()) == 0
    host.ran(job(1))
    assert jobs(scrape()) == 1
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=120) == 0


def test_a_month_is_the_same_to_usage_and_to_metrics(host: Host) -> None:
    a_month(host.log)
    samples = host.write()
    done = CliRunner().invoke(cli, ["usage", "--log", str(host.log), "--output", "json"])
    for one in json.loads(done.stdout)["tenants"]:
        assert jobs(samples, tenant=one["tenant"]) == one["succeeded"]
        assert jobs(samples, "failed", one["tenant"]) == sum(one["failures"].values())
        spent = sum(
            value
            for (name, labels), value in samples.items()
            if name == "kaniko_driver_pod_seconds_total" and dict(labels)["tenant"] == one["tenant"]
        )
        assert spent / 3600 == pytest.approx(one["pod_hours"])


def test_the_page_is_fresh() -> None:
    page = ROOT / "docs/en/reference/metrics.md"
    assert page.read_text(encoding="utf-8") == reference(), f"make it fresh: kaniko-driver reference metrics > {page}"


def expressions() -> list[str]:
    """Return every query of the alerts and the dashboard."""
    alerts = yaml.safe_load((ROOT / "config/prometheus/alerts.yaml").read_text(encoding="utf-8"))
    dashboard = json.loads((ROOT / "config/prometheus/grafana-dashboard.json").read_text(encoding="utf-8"))
    return [
        *(rule["expr"] for group in alerts["groups"] for rule in group["rules"]),
        *(target["expr"] for panel in dashboard["panels"] for target in panel["targets"]),
        *(variable["query"]["query"] for variable in dashboard["templating"]["list"] if variable["type"] == "query"),
    ]


@pytest.mark.parametrize("expression", expressions())
def test_alerts_and_dashboard_use_metrics_and_labels_that_there_are(expression: str) -> None:
    known = {
        name: one
        for one in METRICS
        for name in ([f"{one.name}{end}" for end in ("_bucket", "_sum", "_count")] if one.buckets else [one.name])
    }
    used = re.findall(r"(kaniko_driver_\w+)(?:\{([^}]*)\})?", expression)
    assert used
    labels = {label for name, _ in used for label in known[name].labels} | {"le", "instance"}
    for name, selector in used:
        assert name in known
        assert set(re.findall(r"(\w+)\s*[=!]~?", selector)) <= set(known[name].labels)
    for grouped in re.findall(r"by \(([^)]*)\)", expression):
        assert set(grouped.replace(" ", "").split(",")) <= labels


def test_every_metric_but_the_version_is_on_the_dashboard_or_in_an_alert() -> None:
    text = " ".join(expressions())
    assert [one.name for one in METRICS if one.name not in text] == ["kaniko_driver_build_info"]


def test_every_alert_has_a_test_of_what_it_fires_at() -> None:
    alerts = yaml.safe_load((ROOT / "config/prometheus/alerts.yaml").read_text())
    tests = yaml.safe_load((ROOT / "tests/prometheus/alerts_test.yaml").read_text())
    fired = [
        re.search(r'alertname="(\w+)"', one["expr"])
        for each in tests["tests"]
        for one in each["promql_expr_test"]
        if one["exp_samples"]
    ]
    assert {found[1] for found in fired if found} == {one["alert"] for one in alerts["groups"][0]["rules"]}
