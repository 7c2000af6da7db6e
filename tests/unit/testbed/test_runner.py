"""The runner's configuration says what an operator would write, and the real runner works with the coordinator."""

from __future__ import annotations

import os
import tomllib
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from testbed import layout, programs
from testbed.errors import BedError
from testbed.joblog import plain, section
from testbed.jobs import Artifacts, JobSpec, Variable
from testbed.runner import Runner, S3Login, Section, builtin, configuration, custom, family
from testbed.wait import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.coordinator import Coordinator

EXAMPLE = Path(__file__).parents[3] / "runner-config.toml.example"
URL = "http://10.77.0.1:8929"
DRIVER = Path("/opt/driver/bin/kaniko-driver")
LOGIN = S3Login("key", 'se"cret', "runner-cache-tenant-a")

needs_runner = pytest.mark.skipif(
    not programs.RUNNER.path.exists(), reason="gitlab-runner is not built yet; `scripts/bed up` builds it"
)


def parsed(*sections: Section) -> dict[str, object]:
    return tomllib.loads(configuration(URL, sections))


def test_a_tenants_section_is_the_one_that_operators_are_told_to_write() -> None:
    example = tomllib.loads(EXAMPLE.read_text())["runners"][0]
    driver, settings = Path("/usr/local/bin/kaniko-driver"), Path("/etc/kaniko-driver")
    section = custom("tenant-a", example["token"], driver=driver, settings=settings, cache=LOGIN)
    (runner,) = tomllib.loads(configuration(URL, [section]))["runners"]
    assert runner["custom"] == example["custom"]
    assert runner.keys() == example.keys()
    assert {key: runner[key] for key in ("limit", "executor", "name")} == {
        key: example[key] for key in ("limit", "executor", "name")
    }
    assert runner["cache"].keys() == example["cache"].keys()
    assert runner["cache"]["s3"].keys() >= example["cache"]["s3"].keys()


def test_the_build_cache_is_the_tenants_own_bucket() -> None:
    section = custom("tenant-a", "glrt-a", driver=DRIVER, settings=Path("/etc/driver"), cache=LOGIN)
    cache = tomllib.loads(configuration(URL, [section]))["runners"][0]["cache"]
    assert (cache["Type"], cache["Path"], cache["Shared"]) == ("s3", "tenant-a", False)
    assert (cache["s3"]["BucketName"], cache["s3"]["SecretKey"]) == ("runner-cache-tenant-a", 'se"cret')
    assert cache["s3"]["ServerAddress"] == f"{layout.HOST_ADDRESS}:{layout.S3_PORT}"


def test_every_tenant_has_room_for_its_jobs() -> None:
    sections = [custom(name, "glrt", driver=DRIVER, settings=Path("/etc/driver")) for name in ("a", "b")]
    assert parsed(*sections)["concurrent"] == 40


def test_the_builtin_executor_runs_in_the_same_namespace_on_the_same_nodes() -> None:
    (runner,) = tomllib.loads(configuration(URL, [builtin(layout.TENANTS[0], "glrt-a")]))["runners"]
    assert runner["executor"] == "kubernetes"
    assert runner["kubernetes"]["namespace"] == "tenant-a"
    assert runner["kubernetes"]["node_selector"] == {"tenant": "a"}


# ---- with the real program


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


@needs_runner
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
    result = job.wait(60)
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


@needs_runner
@pytest.mark.usefixtures("runner")
def test_a_job_fetches_the_artifacts_of_an_earlier_one(coordinator: Coordinator) -> None:
    maker = coordinator.submit(
        JobSpec("tenant-a", script=("echo made > made.txt",), artifacts=(Artifacts(("made.txt",)),))
    )
    user = coordinator.submit(
        JobSpec("tenant-a", script=("cat made.txt",), git_strategy="empty", dependencies=(maker,))
    )
    assert user.wait(60).state == "success"
    assert "\nmade\n" in plain(user.trace)


@needs_runner
@pytest.mark.usefixtures("runner")
def test_the_exit_code_of_a_script_arrives(coordinator: Coordinator) -> None:
    result = coordinator.submit(JobSpec("tenant-a", script=("exit 37",))).wait(60)
    assert (result.state, result.exit_code, result.failure_reason) == ("failed", 37, "script_failure")


@needs_runner
@pytest.mark.usefixtures("runner")
def test_a_cancelled_job_stops_its_script_and_runs_after_script(coordinator: Coordinator) -> None:
    job = coordinator.submit(
        JobSpec("tenant-a", script=("echo begun", "sleep 600", "echo never"), after_script=("echo bye",))
    )
    job.cancel_when("begun")
    result = job.wait(60)
    log = plain(result.trace)
    assert (result.state, result.failure_reason) == ("canceled", "job_canceled")
    assert "bye" in log
    assert "\nnever" not in log


@needs_runner
def test_a_stopped_runner_leaves_no_process(coordinator: Coordinator, runner: Runner) -> None:
    job = coordinator.submit(JobSpec("tenant-a", script=("echo begun", "sleep 600")))
    job.wait_for("begun", 30)
    tree = family(runner.pid)
    assert len(tree) > 1
    runner.stop()
    assert [pid for pid in tree if os.path.exists(f"/proc/{pid}")] == []  # noqa: PTH110 - a look at the kernel's list
    runner.start()


@needs_runner
def test_a_drained_runner_finishes_its_job_and_takes_no_other(coordinator: Coordinator, runner: Runner) -> None:
    job = coordinator.submit(JobSpec("tenant-a", script=("sleep 1", "echo finished")))
    wait_for("the hand-out of the job", lambda: job.running, 20)
    runner.drain(patience=30)
    assert job.wait(1).state == "success"
    assert not coordinator.submit(JobSpec("tenant-a")).running
    runner.start()


@needs_runner
def test_a_runner_that_cannot_start_says_why(coordinator: Coordinator, tmp_path: Path) -> None:
    broken = Section("tenant-a", "", "shell", tables={"custom": {"run_exec": []}})
    runner = Runner(programs.RUNNER.path, tmp_path / "broken", url=coordinator.url, sections=[broken])
    with runner, pytest.raises(BedError, match="gitlab-runner ended"):
        wait_for("the end of the runner", lambda: None, 20, runner.check)
