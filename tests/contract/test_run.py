"""run as the runner calls it: the real driver and the real supervisor, with an API server in between that fails."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.contract.conftest import BUILD_FAILURE, DRIVER, SYSTEM_FAILURE
from tests.support.waiting import until

if TYPE_CHECKING:
    from tests.contract.conftest import Job
    from tests.support.api_server import ApiServer


def test_output_and_success_pass(job: Job) -> None:
    done = job.attempt.run("echo out; echo err >&2\n")
    assert (done.code, done.out, done.err) == (0, "out\nerr\n", "")
    assert not job.attempt.code_file.exists()


@pytest.mark.parametrize("code", [1, 2, 37, 43, 44, 127, 255])
def test_the_scripts_code_is_left_for_the_runner(job: Job, code: int) -> None:
    done = job.attempt.run(f"exit {code}\n")
    assert (done.code, done.words) == (BUILD_FAILURE, "")
    assert job.attempt.code_file.read_text() == f"{code}\n"


class TestSummary:
    """Where the kernel tells what a container uses."""

    @pytest.fixture(autouse=True)
    def _told(self, job: Job) -> None:
        groups = job.containers["build"].root / "sys/fs/cgroup"
        groups.mkdir(parents=True)
        (groups / "cpu.stat").write_text("usage_usec 1000000\n")
        job.attempt.response(features={"trace_sections": True})
        assert job.attempt.config().code == 0

    USE = "echo usage_usec 3000000 > /sys/fs/cgroup/cpu.stat; sleep 1; "

    def test_a_script_is_told_what_it_used_in_a_section(self, job: Job) -> None:
        done = job.attempt.run(self.USE + "exit 7\n")
        start, _, end = done.out.split("\n")
        assert start.startswith("section_start:")
        assert start.endswith("[collapsed=true]\r\x1b[0Kkaniko-driver: used CPU time 2.0 s")
        assert end.startswith("section_end:")
        (event,) = [event for event in job.attempt.events if event["event"] == "resources used"]
        assert (event["cpu_ms"], event["sub_stage"]) == (2000, "build_script")

    def test_scripts_around_it_are_not(self, job: Job) -> None:
        for sub_stage in ("get_sources", "after_script"):
            assert job.attempt.run("true\n", sub_stage).out == ""

    def test_one_that_timed_out_is_told_too(self, job: Job) -> None:
        process = job.attempt.start_run(self.USE + "echo ready; sleep 60\n")
        assert process.stdout is not None
        assert process.stdout.read(6) == b"ready\n"
        process.send_signal(signal.SIGTERM)
        assert "kaniko-driver: used CPU time 2.0 s" in job.attempt.finish(process).out


class TestKeeping:
    """Where the tenant keeps pods of failed jobs."""

    @pytest.fixture(autouse=True)
    def _kept(self, job: Job) -> None:
        job.attempt.configure(more='[debug]\nkeep_failed = "1h30m"\n')
        assert job.attempt.config().code == 0

    def mark(self, job: Job) -> bool:
        return (job.attempt.folder / "kaniko-driver.keep").exists()

    def test_a_failed_script_says_how_to_enter_its_pod(self, job: Job) -> None:
        done = job.attempt.run("echo no newline at the end; printf x; exit 7\n")
        assert done.out.endswith(
            "x\nkaniko-driver: after this job its pod is kept for 1h30m, or until newer ones need its place; "
            "the operator of this runner can enter it: kaniko-driver exec 4711\n"
        )
        assert self.mark(job)

    def test_it_is_said_once_a_job(self, job: Job) -> None:
        job.attempt.run("false\n")
        assert "is kept" not in job.attempt.run("false\n", "step_release").words

    def test_success_and_failures_around_the_script_keep_nothing(self, job: Job) -> None:
        said = [job.attempt.run("true\n")]
        said += [job.attempt.run("false\n", name) for name in ("get_sources", "after_script", "archive_cache")]
        assert not [done for done in said if "is kept" in done.words]
        assert not self.mark(job)

    def test_a_cancelled_job_is_not_kept(self, job: Job) -> None:
        process = job.attempt.start_run("echo ready; sleep 60\n")
        assert process.stdout is not None
        assert process.stdout.read(6) == b"ready\n"
        process.send_signal(signal.SIGTERM)
        assert "is kept" not in job.attempt.finish(process).words
        assert not self.mark(job)


def test_a_stale_code_of_an_earlier_sub_stage_is_gone(job: Job) -> None:
    job.attempt.run("exit 7\n")
    assert job.attempt.run("true\n", "after_script").code == 0
    assert not job.attempt.code_file.exists()


def test_sub_stages_run_where_they_belong(job: Job) -> None:
    for sub_stage in ("prepare_script", "get_sources", "upload_artifacts_on_success"):
        assert job.attempt.run('echo "$KANIKO_DRIVER_CONTAINER $(umask)"\n', sub_stage).out == "helper 0000\n"
    for sub_stage in ("build_script", "step_release", "after_script"):
        assert job.attempt.run('echo "$KANIKO_DRIVER_CONTAINER $(umask)"\n', sub_stage).out == "build 0022\n"


def test_a_clone_is_for_its_owner_to_write_where_the_job_says_so(job: Job) -> None:
    assert job.attempt.config(CUSTOM_ENV_FF_DISABLE_UMASK_FOR_KUBERNETES_EXECUTOR="true").code == 0
    for sub_stage in ("get_sources", "build_script"):
        assert job.attempt.run("umask\n", sub_stage).out == "0022\n"


def test_an_unknown_sub_stage_prepares_until_the_authors_scripts_begin(job: Job) -> None:
    script = 'echo "$KANIKO_DRIVER_CONTAINER"\n'
    early = job.attempt.run(script, "brand_new").out
    assert early.endswith("\nhelper\n")
    assert "'brand_new'; it runs in the helper container, since the runner sent it before" in early
    job.attempt.run("exit 1\n", "step_lint")
    late = job.attempt.run(script, "brand_new").out
    assert "'brand_new'; it runs in the build container, since the runner sent it after" in late
    noted = [event["container"] for event in job.attempt.events if event["event"] == "unknown sub-stage"]
    assert noted == ["helper", "build"]


def test_another_attempt_has_another_memory(job: Job) -> None:
    job.attempt.run("true\n", "build_script")
    (job.attempt.folder / "kaniko-driver.authors-began").unlink()
    assert "helper container" in job.attempt.run("true\n", "brand_new").out


def test_logins_reach_the_build_container_alone(job: Job) -> None:
    job.attempt.run("true\n", "get_sources")
    logins = job.pod.volumes["/driver/logins"] / "given.json"
    assert not logins.exists()
    job.attempt.run("true\n")
    assert "r.example.com" in logins.read_text()


def test_any_bytes_pass_over_three_dropped_connections(job: Job) -> None:
    data = random.Random(12).randbytes(3_000_000)
    (job.builds / "data").write_bytes(data)
    job.bridge.drops = [1, 1_000_000, 500_000]
    process = job.attempt.start_run("cat data; echo ran >> lives\n")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, b"")
    assert out == data
    assert job.verbs() == ["run", "follow", "follow", "follow"]
    assert (job.builds / "lives").read_text() == "ran\n"


def test_the_operator_log_has_the_end_with_its_figures(job: Job) -> None:
    job.attempt.run("echo x; exit 3\n")
    last = job.attempt.events[-1]
    assert (last["event"], last["code"], last["bytes"], last["sub_stage"]) == ("script ended", 3, 2, "build_script")


def test_a_node_that_an_earlier_script_found_lost_is_not_waited_for_again(job: Job) -> None:
    (job.attempt.folder / "kaniko-driver.node-lost").touch()
    done = job.attempt.run("true\n", "after_script")
    assert (done.code, job.verbs()) == (SYSTEM_FAILURE, [])
    assert "The node of the job pod does not answer any more." in done.out
    assert job.attempt.events[-1]["category"] == "node_lost"


class TestWhyItFailed:
    """What is told below the last lines of a script, and by which name its failure is counted."""

    DENIED = "error checking push permissions -- make sure: POST https://r/v2/x/: UNAUTHORIZED: authentication required"

    def category(self, job: Job) -> str:
        (event,) = [event for event in job.attempt.events if event["event"] == "script ended"]
        return str(event.get("category", ""))

    def test_a_known_failure_of_kaniko_gets_a_hint(self, job: Job) -> None:
        done = job.attempt.run(f": > /driver/stages/.kaniko\necho '{self.DENIED}' >&2\nexit 1\n")
        _, said, *_ = done.out.splitlines()
        assert said.startswith("kaniko-driver: The registry refuses the push.")
        assert (done.code, self.category(job)) == (BUILD_FAILURE, "kaniko_push_denied")

    def test_the_same_words_of_another_program_get_none(self, job: Job) -> None:
        done = job.attempt.run(f"echo '{self.DENIED}' >&2\nexit 1\n")
        assert done.out == f"{self.DENIED}\n"
        assert self.category(job) == "script_failed"

    def test_a_build_that_ended_well_gets_none(self, job: Job) -> None:
        done = job.attempt.run(f": > /driver/stages/.kaniko\necho '{self.DENIED}' >&2\n")
        assert (done.code, "The registry refuses" in done.out, self.category(job)) == (0, False, "")


def test_too_much_output_is_cut_with_a_line_that_says_so(job: Job) -> None:
    job.attempt.configure(timeouts='connection = "5s"', more='[volumes]\noutput = "100k"\n')
    job.attempt.config()
    done = job.attempt.run("seq 100000; exit 5\n")
    *output, line = done.out.splitlines()
    assert "kaniko-driver: the script printed more than its output limit" in line
    assert len("\n".join(output)) <= 100_000
    assert job.attempt.code_file.read_text() == "5\n"


class TestCancel:
    def cancelled(self, job: Job, script: str) -> tuple[int, bytes]:
        process = job.attempt.start_run(script)
        until("the script", (job.builds / "up").exists)
        os.killpg(process.pid, signal.SIGTERM)
        out, err = process.communicate(timeout=30)
        assert err == b""
        return process.returncode, out

    def test_the_script_is_stopped_and_the_pod_stays_for_after_script(self, job: Job) -> None:
        code, out = self.cancelled(job, "trap 'echo cleaning up; exit 9' TERM; touch up; while :; do sleep 0.1; done\n")
        assert code == BUILD_FAILURE
        assert out.endswith(b"cleaning up\n")
        assert job.attempt.code_file.read_text() == "9\n"
        assert not job.deleted
        assert job.attempt.run("echo after\n", "after_script").out == "after\n"

    def test_no_process_of_a_stubborn_script_is_left(self, job: Job) -> None:
        script = "trap '' TERM; setsid sleep 600 & touch up; while :; do sleep 0.1; done\n"
        code, _ = self.cancelled(job, script)
        assert code == BUILD_FAILURE
        assert job.attempt.code_file.read_text() == "137\n"
        assert "sleep 600" not in job.containers["build"].processes()

    def test_a_cancel_in_a_flood_loses_and_repeats_no_byte(self, job: Job) -> None:
        script = "i=0; touch up; while :; do i=$((i + 1)); echo $i; done\n"
        _, out = self.cancelled(job, script)
        *lines, _maybe_cut = out.split(b"\n")
        assert lines[:1] == [b"1"]
        numbers = [int(line) for line in lines if line.isdigit()]
        assert numbers == list(range(1, len(numbers) + 1))

    def test_a_script_that_ended_well_while_it_was_cancelled_is_a_failure_all_the_same(self, job: Job) -> None:
        code, _ = self.cancelled(job, "trap 'exit 0' TERM; touch up; while :; do sleep 0.1; done\n")
        assert code == BUILD_FAILURE
        assert job.attempt.code_file.read_text() == "1\n"


class TestRunnerGone:
    RUNNER = """
import subprocess, sys
stage = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
print(stage.pid, flush=True)
stage.wait()
"""

    def start_runner(self, job: Job, script: str) -> subprocess.Popen[bytes]:
        """Start a process that starts the stage and prints its process id, and wait for the script."""
        path = job.attempt.folder / "script"
        path.write_text(script)
        with (job.attempt.folder / "trace").open("wb") as trace:
            runner = subprocess.Popen(
                [sys.executable, "-c", self.RUNNER, DRIVER, "run", path, "build_script"],
                env=job.attempt.environment,
                cwd=job.attempt.folder,
                stdout=trace,
                stderr=trace,
            )
        until("the script", (job.builds / "up").exists)
        return runner

    def test_a_killed_runners_job_is_deleted(self, job: Job) -> None:
        runner = self.start_runner(job, "touch up; sleep 600\n")
        runner.kill()
        runner.wait()
        until("the pod's end", lambda: job.deleted)

    def test_so_is_that_of_a_script_which_ends_before_anybody_looked(self, job: Job) -> None:
        runner = self.start_runner(job, "touch up; sleep 0.3\n")
        runner.kill()
        runner.wait()
        until("the pod's end", lambda: job.deleted)

    def test_so_is_that_of_one_that_was_ended_together_with_the_stage(self, job: Job) -> None:
        runner = self.start_runner(job, "trap 'exit 0' TERM; touch up; while :; do sleep 0.1; done\n")
        stage = int((job.attempt.folder / "trace").read_text().split()[0])
        runner.kill()
        runner.wait()
        os.kill(stage, signal.SIGTERM)
        until("the pod's end", lambda: job.deleted)

    def test_a_hangup_ends_nothing_since_the_pod_must_be_deleted_first(self, job: Job) -> None:
        process = job.attempt.start_run("touch up; while [ ! -e go ]; do sleep 0.1; done; echo over\n")
        until("the script", (job.builds / "up").exists)
        os.killpg(process.pid, signal.SIGHUP)
        (job.builds / "go").touch()
        done = job.attempt.finish(process)
        assert (done.code, done.out) == (0, "over\n")

    def test_so_is_the_job_of_one_that_cancels_it_and_does_not_wait(self, job: Job) -> None:
        job.attempt.configure(timeouts='connection = "5s"\nstop_grace = "60s"')
        job.attempt.config()
        runner = self.start_runner(job, "trap '' TERM; touch up; while :; do sleep 0.1; done\n")
        stage = int((job.attempt.folder / "trace").read_text().split()[0])
        os.kill(stage, signal.SIGTERM)
        until("the stop", lambda: "stop" in job.verbs())
        runner.kill()
        runner.wait()
        until("the pod's end", lambda: job.deleted)

    def test_a_runner_that_reads_no_more_ends_its_job(self, job: Job) -> None:
        process = job.attempt.start_run("touch up; while :; do echo x; sleep 0.1; done\n")
        until("the script", (job.builds / "up").exists)
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
        process.stderr.close()
        assert process.wait(30) == SYSTEM_FAILURE
        assert job.deleted


class TestLost:
    def lost(self, job: Job, process: subprocess.Popen[bytes]) -> str:
        done = job.attempt.finish(process)
        assert done.code == SYSTEM_FAILURE
        assert done.err == ""
        assert job.attempt.events[-1]["level"] == "error"
        return done.out

    def test_a_container_that_was_killed_for_memory_is_told_after_its_last_line(self, job: Job) -> None:
        process = job.attempt.start_run("printf 'no newline'; sleep 600\n")
        # On the volume: what the recorder has not taken yet dies with its container.
        until("the line", lambda: any(out.read_bytes() for out in job.pod.stages.glob("build_script-*/out")))
        job.states["build"] = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
        job.containers["build"].kill()
        said = self.lost(job, process)
        assert said.startswith("no newline\nkaniko-driver: The build container used more memory than its limit")
        assert "ask" in said
        assert job.verbs("helper") == ["drain"]

    def test_a_pod_that_was_deleted_is_told(self, job: Job) -> None:
        process = job.attempt.start_run("echo before; sleep 600\n")
        assert process.stdout is not None
        assert process.stdout.read(7) == b"before\n"
        job.deleted = True
        for container in job.containers.values():
            container.kill()
        said = self.lost(job, process)
        assert said.startswith("kaniko-driver: The job pod was deleted while the job ran.")

    def test_a_right_that_is_missing_is_told_with_its_name(self, job: Job, server: ApiServer) -> None:
        server.answers = [lambda exchange: exchange.refuse(403, 'cannot create resource "pods/exec"', "Forbidden")]
        said = self.lost(job, job.attempt.start_run("true\n"))
        assert "pods/exec" in said
        assert "operator" in said

    def test_deleted_files_of_the_driver_are_told_and_no_hang(self, job: Job) -> None:
        script = "echo before; while [ ! -e go ]; do sleep 0.1; done; rm -rf /driver/stages/*; sleep 600\n"
        process = job.attempt.start_run(script)
        assert process.stdout is not None
        assert process.stdout.read(7) == b"before\n"
        (job.builds / "go").touch()
        said = self.lost(job, process)
        assert said.startswith("kaniko-driver: The script's result is lost.")
        assert "/driver" in said

    def test_an_api_server_that_stays_away_is_told_in_time(self, job: Job, server: ApiServer) -> None:
        job.attempt.configure()
        job.attempt.config()
        process = job.attempt.start_run("echo before; touch up; sleep 600\n")
        assert process.stdout is not None
        assert process.stdout.read(7) == b"before\n"
        server.answers = [lambda exchange: exchange.reset()]
        job.bridge.break_all()
        said = self.lost(job, process)
        assert "This is no fault of the job: run it again" in said
