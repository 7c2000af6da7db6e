"""What an operator sees of real jobs: while they run, and afterwards in figures."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

from testbed import layout, tenants
from testbed.wait import wait_for
from tests.support.collector import Collector, attributes
from tests.support.terminal import Terminal

from .conftest import BUSY

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Author

TENANT = layout.TENANTS[0]
MIB = 2**20
SETTINGS = ("--settings", str(layout.DRIVER))


def driver(*words: str) -> str:
    """Call the driver as an operator; returns what it prints."""
    command = [str(tenants.COMMAND), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def row_of(ident: int) -> dict[str, Any]:
    """The line of a job in `jobs`; empty where it has none."""
    listed = json.loads(driver("jobs", TENANT.name, *SETTINGS, "--output", "json"))
    assert listed["not_asked"] == []
    return next((row for row in listed["jobs"] if row["job"] == ident), {})


def test_a_job_is_seen_while_it_runs_and_counted_when_it_is_over(author: Author, tmp_path: Path) -> None:
    began = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
    job = author.starts("dd if=/dev/zero of=/big bs=1M count=64 2>/dev/null", "echo begun", BUSY)
    job.wait_for("begun")
    try:
        row: dict[str, Any] = {}

        def seen() -> bool:
            row.update(row_of(job.ident))
            return bool(row.get("disk_bytes"))

        wait_for("the job's figures", seen, 180)
        assert (row["tenant"], row["project"], row["node"]) == (TENANT.name, author.project, layout.NODES[0].name)
        assert (row["state"], row["detail"]) == ("running", "step_script") or row["detail"] == "build_script"
        assert 64 * MIB <= row["disk_bytes"] <= row["disk_limit_bytes"] == 6 * 1024 * MIB
        assert 0 < row["memory_bytes"] <= row["memory_limit_bytes"] == 3 * 1024 * MIB
        assert time.time() - 300 < row["began"] <= time.time() + 5
        table = driver("jobs", *SETTINGS)
        assert str(job.ident) in table
        assert row["detail"] in table

        # Whoever started the tests in the background may have had SIGINT ignored.
        watching = subprocess.Popen(
            [
                "env",
                "--default-signal=INT",
                str(tenants.COMMAND),
                "jobs",
                *SETTINGS,
                "--watch",
                "--interval",
                "1",
                "--output",
                "json",
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert watching.stdout is not None
            looks = [json.loads(watching.stdout.readline()) for _ in range(2)]
        finally:
            watching.send_signal(signal.SIGINT)
            assert watching.wait(120) == 0
            watching.communicate()
        assert all(job.ident in [one["job"] for one in look["jobs"]] for look in looks)
        for columns in (120, 44):
            assert_watched_on_a_terminal(job.ident, columns)
    finally:
        job.cancel()
    assert job.wait().state == "canceled"
    # Disk is looked for where a script took a while.
    done = author.starts("dd if=/dev/zero of=/big bs=1M count=32 2>/dev/null", "sleep 3")
    assert done.wait().state == "success"
    wait_for("the end of the job in the list", lambda: not row_of(job.ident), 180)

    report = json.loads(driver("usage", TENANT.name, *SETTINGS, "--since", began, "--output", "json"))
    (used,) = report["tenants"]
    assert (used["jobs"], used["succeeded"], used["failures"]) == (2, 1, {"cancelled": 1})
    assert list(used["node_hours"]) == [layout.NODES[0].name]
    assert 0 < used["start"]["median"] < 120
    assert used["peaks"]["disk"]["limit"] == 6 * 1024 * MIB
    assert used["peaks"]["disk"]["used"] >= 32 * MIB
    page = tmp_path / "usage.html"
    driver("usage", TENANT.name, *SETTINGS, "--since", began, "--html", str(page))
    assert page.read_text().count("<svg") == 6
    figures = driver("metrics", "write", "-", *SETTINGS, "--state", str(tmp_path / "state.json"))
    assert f'kaniko_driver_job_failures_total{{category="cancelled",tenant="{TENANT.name}"}}' in figures
    assert_traced(began, job.ident, done.ident, state=tmp_path / "traces.json")


def assert_watched_on_a_terminal(ident: int, columns: int) -> None:
    """The table is there, is brought up to date, and Ctrl-C gives the terminal back as it was."""
    with Terminal(str(tenants.COMMAND), "jobs", *SETTINGS, "--watch", "--interval", "1", columns=columns) as terminal:
        terminal.until("two looks", lambda shown: len(set(re.findall(r"jobs?, (\d\d:\d\d:\d\d)", shown))) > 1)
        terminal.type("\x03")
        assert terminal.end() == 0
        # Out of the second screen, the cursor visible again, keys echoed as before.
        left = terminal.shown.rpartition("Ctrl-C ends")[2]
        assert "\x1b[?1049l" in left
        assert "\x1b[?25h" in left
        assert terminal.modes_now == list(terminal.modes)
        # A new look begins at the top of the screen and not on a new line.
        text = terminal.shown.replace("\x1b[H", "\n").replace("\r", "\n")
        lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).split("\n")
        assert max(len(line.removesuffix("^C")) for line in lines) <= columns
        assert [line for line in lines if re.match(rf" *{ident} .*(?:step|build)_script", line)], terminal.shown


def assert_traced(since: str, cancelled: int, succeeded: int, *, state: Path) -> None:
    """A collector gets a trace of each of the two jobs, with all that it waited for."""
    collector = Collector()
    environment = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
    words = ("traces", "send", *SETTINGS, "--since", since, "--state", str(state))
    try:
        done = subprocess.run(
            [str(tenants.COMMAND), *words], env=environment, capture_output=True, text=True, check=False, timeout=180
        )
        assert done.returncode == 0, done.stderr
    finally:
        collector.close()
    ends = {attributes(one)["cicd.pipeline.task.run.id"]: one for one in collector.jobs}
    assert attributes(ends[str(cancelled)])["cicd.pipeline.task.run.result"] == "cancellation"
    whole = ends[str(succeeded)]
    told = attributes(whole)
    assert (told["cicd.pipeline.task.run.result"], told["k8s.namespace.name"]) == ("success", TENANT.name)
    assert told["k8s.node.name"] == layout.NODES[0].name
    mine = [span for span in collector.spans if span.trace_id == whole.trace_id]
    stages = [span for span in mine if span.parent_span_id == whole.span_id]
    assert [stages[0].name, stages[1].name, stages[-1].name] == ["config", "prepare", "cleanup"]
    assert "get_sources" in {span.name for span in stages}
    waits = [span.name for span in mine if span.parent_span_id == stages[1].span_id]
    assert waits == ["scheduling", "starting"]
    script = next(span for span in stages if span.name in {"step_script", "build_script"})
    assert script.end_time_unix_nano - script.start_time_unix_nano > 3e9
    assert attributes(script)["kaniko_driver.disk_bytes"] >= 32 * MIB
