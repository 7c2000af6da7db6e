"""The real gitlab-runner and the coordinator understand each other; jobs run in a shell, all on loopback."""

from __future__ import annotations

import os
import zipfile
from typing import TYPE_CHECKING

import pytest

from testbed import programs
from testbed.coordinator import Coordinator
from testbed.errors import BedError
from testbed.gitserver import commit
from testbed.joblog import plain, section
from testbed.jobs import Artifacts, JobSpec, Variable
from testbed.process import descendants
from testbed.runner import Runner, Section
from testbed.wait import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def coordinator(tmp_path: Path) -> Iterator[Coordinator]:
    """A coordinator for one tenant, whose project has one file."""
    content = tmp_path / "content"
    content.mkdir()
    (content / "hello.txt").write_text("hello from git\n")
    repositories = tmp_path / "repositories"
    commit(repositories / "group" / "sample.git", content)
    with Coordinator("127.0.0.1", folder=tmp_path / "jobs", repositories=repositories, tenants=["tenant-a"]) as running:
        yield running


@pytest.fixture
def runner(coordinator: Coordinator, tmp_path: Path) -> Iterator[Runner]:
    """The real gitlab-runner, which runs tenant-a's jobs in a shell of this machine."""
    folder = tmp_path / "runner"
    shell = Section(
        "tenant-a",
        coordinator.runner_token("tenant-a"),
        "shell",
        tables={},
        options={"shell": "bash", "builds_dir": str(folder / "builds"), "cache_dir": str(folder / "cache")},
    )
    with Runner(programs.RUNNER.path, folder, url=coordinator.url, sections=[shell]) as running:
        yield running
        running.check()


@pytest.mark.usefixtures("runner")
def test_a_job_clones_runs_and_uploads(coordinator: Coordinator) -> None:
    job = coordinator.submit(
        JobSpec(
            "tenant-a",
            script=("cat hello.txt", 'echo "$GREETING" > out.txt', 'cat "$CONFIG"'),
            after_script=("echo bye",),
            variables=(Variable("GREETING", "hi there"), Variable("CONFIG", "from a file\n", file=True)),
            artifacts=(Artifacts(("out.txt",)),),
        )
    )
    result = job.wait()
    log = plain(result.trace)
    assert (result.state, result.exit_code, result.trace_complete) == ("success", 0, True)
    assert "hello from git" in log
    assert "from a file" in log
    assert log.index("hello from git") < log.index("bye")
    with zipfile.ZipFile(result.artifacts[0].path) as archive:
        assert archive.read("out.txt") == b"hi there\n"
    script = section(result.trace, "step_script")
    assert script is not None
    assert result.timings.handed_out is not None
    assert result.timings.handed_out < script.started


@pytest.mark.usefixtures("runner")
def test_a_job_fetches_the_artifacts_of_an_earlier_one(coordinator: Coordinator) -> None:
    maker = coordinator.submit(
        JobSpec("tenant-a", script=("echo made > made.txt",), artifacts=(Artifacts(("made.txt",)),))
    )
    user = coordinator.submit(
        JobSpec("tenant-a", script=("cat made.txt",), git_strategy="empty", dependencies=(maker,))
    )
    assert user.wait().state == "success"
    assert "\nmade\n" in plain(user.trace)


@pytest.mark.usefixtures("runner")
def test_the_exit_code_of_a_script_arrives(coordinator: Coordinator) -> None:
    result = coordinator.submit(JobSpec("tenant-a", script=("exit 37",))).wait()
    assert (result.state, result.exit_code, result.failure_reason) == ("failed", 37, "script_failure")


@pytest.mark.usefixtures("runner")
def test_a_cancelled_job_stops_its_script_and_runs_after_script(coordinator: Coordinator) -> None:
    job = coordinator.submit(
        JobSpec("tenant-a", script=("echo begun", "sleep 600", "echo never"), after_script=("echo bye",))
    )
    job.cancel_when("begun")
    result = job.wait()
    log = plain(result.trace)
    assert (result.state, result.failure_reason) == ("canceled", "job_canceled")
    assert "bye" in log
    assert "\nnever" not in log


def test_a_stopped_runner_leaves_no_process(coordinator: Coordinator, runner: Runner) -> None:
    job = coordinator.submit(JobSpec("tenant-a", script=("echo begun", "sleep 600")))
    job.wait_for("begun", 180)
    tree = descendants(runner.pid)
    assert len(tree) > 1
    runner.stop()
    assert [pid for pid in tree if os.path.exists(f"/proc/{pid}")] == []  # noqa: PTH110 - a look at the kernel's list
    runner.start()


def test_a_drained_runner_finishes_its_job_and_takes_no_other(coordinator: Coordinator, runner: Runner) -> None:
    job = coordinator.submit(JobSpec("tenant-a", script=("sleep 1", "echo finished")))
    wait_for("the hand-out of the job", lambda: job.running, 180)
    runner.drain(patience=180)
    assert job.wait(1).state == "success"
    assert not coordinator.submit(JobSpec("tenant-a")).running
    runner.start()


def test_a_runner_that_cannot_start_says_why(coordinator: Coordinator, tmp_path: Path) -> None:
    broken = Section("tenant-a", "", "shell", tables={"custom": {"run_exec": []}})
    runner = Runner(programs.RUNNER.path, tmp_path / "broken", url=coordinator.url, sections=[broken])
    with runner, pytest.raises(BedError, match="gitlab-runner ended"):
        wait_for("the end of the runner", lambda: None, 180, runner.check)
