"""`python -m testbed.sim`: thousands of jobs at once, and thousands of leftovers to sweep; figures for the docs."""

from __future__ import annotations

import json
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from testbed import bed, ci, layout, network, pki
from testbed.progress import Progress
from testbed.runner import toml
from testbed.sim import ground, runners

PROCESSES, AT_ONCE = 4, 25
"""A small machine has room for so many processes of the simulation, with so many stages at work in each."""


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def main() -> None:
    """Simulate many jobs against the test bed's real API server, etcd and scheduler.

    Nodes are made up, and pods report themselves as started, so that thousands of them fit on a small machine. The
    driver is the real one. Each command prints its figures as one JSON object.
    """


@main.command()
@click.option("--pods", default=10_000, show_default=True, help="Pods of finished jobs, which nobody deleted.")
def sweep(pods: int) -> None:
    """Let `kaniko-driver gc` sweep: seconds, memory, API requests, and that running jobs are left alone."""
    _on_the_bed(lambda progress: _sweep(pods, progress))


@main.command()
@click.option("--jobs", default=1000, show_default=True, help="Jobs whose pods exist at the same time.")
def jobs(jobs: int) -> None:
    """Let so many jobs have their pods at once: seconds to readiness, and API requests a job.

    A hundred stages work at a time; no job is cleaned up before the last one has its pod.
    """
    _on_the_bed(lambda progress: _jobs(jobs, progress))


@main.command("runners")
@click.option("--runners", "count", default=3, show_default=True, help="Runner hosts, as processes.")
@click.option("--jobs", default=20, show_default=True, help="Jobs for each of them.")
def many_runners(count: int, jobs: int) -> None:
    """Let several runners take all their jobs at once, with real pods: who waits, for how long, and what arrives."""

    def work(progress: Progress) -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as folder:
            return runners.play(count, jobs, Path(folder), progress)

    _on_the_bed(work)


def _on_the_bed(work: Any) -> None:
    progress = Progress()
    was_up = network.exists()
    bed.up(progress)
    try:
        bed.enter_namespace()
        with ground.namespace():
            print(json.dumps(work(progress), indent=1))
    finally:
        if not was_up:
            bed.down(progress)


def _sweep(pods: int, progress: Progress) -> dict[str, Any]:
    living = 100
    with progress.step(f"making {pods} leftovers and {living} pods of running jobs"):
        ground.create(range(1, pods + 1), overdue=7200)
        ground.create(range(10**6, 10**6 + living), overdue=-7200)
    with tempfile.TemporaryDirectory() as folder:
        settings = _settings(Path(folder))
        start, began = _now(), time.monotonic()
        with progress.step("sweeping"):
            command = [ci.DRIVER_COMMAND, "gc", "--settings", settings, "--output", "json"]
            peak, report = _measured(command, Path(folder) / "report")
        seconds = time.monotonic() - began
    return {
        "leftovers": pods,
        "swept": sum(one["deleted"] for one in report["leftovers"]),
        "running_jobs_before_and_after": [living, ground.count()],
        "seconds": round(seconds, 1),
        "peak_mb": round(peak / 1024, 1),
        "api_requests": dict(ground.requests_since(start)),
    }


def _measured(command: list[Any], output: Path) -> tuple[int, dict[str, Any]]:
    """Run a command; returns the most memory that it held, in KiB, and the JSON that it printed."""
    peak = 0
    with output.open("wb") as file:
        process = subprocess.Popen(command, stdout=file)
    # Not what wait() tells, which counts this process, too, as it was before the other one began.
    while process.poll() is None:
        with suppress(OSError, StopIteration):
            status = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            peak = max(peak, next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")))
        time.sleep(0.1)
    report: dict[str, Any] = json.loads(output.read_text())
    return peak, report


def _settings(folder: Path) -> Path:
    """Write settings of a tenant that is the simulation's namespace, with the administrator's rights."""
    text = (layout.DRIVER / "tenants" / f"{ground.TENANT.name}.toml").read_text()
    text = re.sub(r'kubeconfig = ".*"', f'kubeconfig = "{layout.ADMIN_KUBECONFIG}"', text)
    text = text.replace(f'namespace = "{ground.TENANT.name}"', f'namespace = "{ground.NAMESPACE}"')
    pki.write_private(folder / "driver.toml", toml({"version": 1}))
    pki.write_private(folder / "tenants" / f"{ground.NAMESPACE}.toml", text)
    return folder


def _jobs(jobs: int, progress: Progress) -> dict[str, Any]:
    share = -(-jobs // PROCESSES)
    with tempfile.TemporaryDirectory() as folder, ground.Nodes():
        start, began = _now(), time.monotonic()
        with progress.step(f"{jobs} jobs get their pods"):
            workers = [
                _worker(first, min(share, jobs + 1 - first), Path(folder)) for first in range(1, jobs + 1, share)
            ]
            told = [json.loads(worker.stdout.readline()) for worker in workers if worker.stdout]
        took, pods = time.monotonic() - began, ground.count()
        with progress.step("cleaning up"):
            for worker in workers:
                worker.communicate(b"\n")
        requests = ground.requests_since(start)
    seconds = sorted(second for one in told for second in one["seconds"])
    failures = [failure for one in told for failure in one["failures"]]
    return {
        "jobs": jobs,
        "ready": len(seconds),
        "pods_at_once": pods,
        "failures": failures[:3] + ([f"and {len(failures) - 3} more"] if len(failures) > 3 else []),  # noqa: PLR2004
        "seconds_until_all_are_ready": round(took, 1),
        "ready_seconds": {"p50": round(statistics.median(seconds), 1), "most": round(seconds[-1], 1)}
        if seconds
        else {},
        "api_requests_per_job": round(sum(requests.values()) / jobs, 2),
        "api_requests": dict(requests),
    }


def _worker(first: int, jobs: int, folder: Path) -> subprocess.Popen[bytes]:
    words = (str(first), str(jobs), str(AT_ONCE), str(folder))
    command = (sys.executable, "-m", "testbed.sim.worker", *words)
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    main(prog_name="python -m testbed.sim")
