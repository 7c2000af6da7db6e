"""The runner's own start-up check, and a runner that is killed in each stage of a job and started again."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from testbed import ci, layout, programs
from testbed.coordinator import Coordinator
from testbed.gitserver import commit
from testbed.joblog import plain
from testbed.jobs import JobSpec
from testbed.process import descendants
from testbed.runner import Runner
from testbed.wait import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.coordinator_job import SubmittedJob

TENANT = layout.TENANTS[0]
PROJECT = "group/life"
LOOKS = 5
"""Jobs in which a stage is looked for."""


def test_the_runners_own_start_up_check_passes(tmp_path: Path) -> None:
    """`[runners.experimental.boot_verify]`: a synthetic job through all stages, before any real one is asked for."""
    with Coordinator(
        layout.HOST_ADDRESS, folder=tmp_path / "jobs", repositories=tmp_path / "repositories", tenants=[TENANT.name]
    ) as coordinator:
        section = ci.driver_section(coordinator, TENANT)
        checks = {"enabled": True, "verify_helper_version": True, "verify_cache": True, "verify_server_url": True}
        section = replace(section, tables={**section.tables, "experimental": {"boot_verify": checks}})
        with Runner(programs.RUNNER.path, tmp_path / "runner", url=coordinator.url, sections=[section]) as runner:
            wait_for("the runner's check", lambda: "Boot-verify runner finished" in runner.log.read_text(), 120)
            said = plain(runner.log.read_bytes())
            assert "checks=[helper_version server_url cache]" in said
            assert "status=passed" in said, said
            # And then it asks for jobs.
            commit(coordinator.repository(PROJECT), folder_of(tmp_path))
            result = coordinator.submit(ci.in_project(JobSpec(TENANT.name, script=("true",)), PROJECT)).wait()
            assert result.state == "success", plain(result.trace)


def folder_of(path: Path) -> Path:
    """A folder with the files of a project."""
    folder = path / "files"
    folder.mkdir()
    (folder / "README").write_text("a project\n")
    return folder


@pytest.fixture
def work(tmp_path: Path) -> Iterator[ci.Ci]:
    """A coordinator and a runner for one tenant."""
    with ci.at_work(tmp_path, tenants=[TENANT]) as running:
        commit(running.coordinator.repository(PROJECT), folder_of(tmp_path))
        yield running


def stage_of(runner: int, *words: str) -> int:
    """The process id of a running stage of the driver; 0 for none."""
    for pid in descendants(runner):
        with suppress(OSError):
            command = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
            if str(ci.DRIVER_COMMAND) in command and set(words) <= set(command):
                return pid
    return 0


def caught(work: ci.Ci, *words: str) -> SubmittedJob:
    """A job whose stage has just begun."""
    for number in range(LOOKS):
        # A number that no earlier job of the operator log has.
        spec = JobSpec(TENANT.name, script=("sleep 3",), ident=time.time_ns() + number)
        job = work.coordinator.submit(ci.in_project(spec, PROJECT))
        # Without a pause: config lasts a fifth of a second, and a busy machine may let the test look too late.
        end = time.monotonic() + 300
        while job.result is None and time.monotonic() < end:
            if stage_of(work.runner.pid, *words):
                return job
    pytest.fail(f"no stage {words} of {LOOKS} jobs was seen")


def starts_of(ident: int) -> int:
    """How often the driver's operator log has the beginning of a job, which is that of its scripts too."""
    lines = (layout.DRIVER / "driver.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    return len([event for event in events if (event.get("job"), event["event"]) == (ident, "configured")])


@pytest.mark.parametrize(
    "stage", [("config",), ("prepare",), ("run", "get_sources"), ("run", "build_script"), ("cleanup",)], ids="-".join
)
def test_a_runner_killed_in_a_stage_leaves_nothing_and_runs_nothing_twice(work: ci.Ci, stage: tuple[str, ...]) -> None:
    job = caught(work, *stage)
    work.runner.kill()
    work.runner.start()
    another = work.coordinator.submit(ci.in_project(JobSpec(TENANT.name, script=("echo well",)), PROJECT)).wait()
    assert another.state == "success", plain(another.trace)
    # Only now: a stage that had just begun makes its pod first, and then finds nobody to make it for.
    wait_for("the end of the killed runner's pod", lambda: not ci.job_pods(TENANT, job.ident), 180)
    assert starts_of(job.ident) <= 1, "the restarted runner took the job up again"
