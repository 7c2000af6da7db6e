"""The custom executor's contract, line by line, where no other file of this folder holds it.

Lines and tests stand side by side in docs/en/reference/runner-contract.md.
"""

from __future__ import annotations

import json
import os
import select
import signal
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.conftest import BUILD_FAILURE, SYSTEM_FAILURE
from tests.contract.test_stages import Cluster
from tests.support.waiting import until

if TYPE_CHECKING:
    from tests.contract.conftest import Attempt, Job
    from tests.support.api_server import ApiServer, Exchange

# common/build.go and common/consts.go of GitLab Runner 19.4, in the order of a job.
SUB_STAGES = (
    ("prepare_script", "helper"),
    ("get_sources", "helper"),
    ("clear_worktree", "helper"),
    ("get_sources", "helper"),
    ("boot_verify_probes", "helper"),
    ("restore_cache", "helper"),
    ("download_artifacts", "helper"),
    ("build_script", "build"),
    ("step_script", "build"),
    ("step_release", "build"),
    ("after_script", "build"),
    ("archive_cache", "helper"),
    ("archive_cache_on_failure", "helper"),
    ("upload_artifacts_on_success", "helper"),
    ("upload_artifacts_on_failure", "helper"),
)
TIDYING = "cleanup_file_variables"
"""The last one: it takes away files, which go with their pod anyway."""


class TestSubStages:
    def test_a_whole_job_runs_each_where_the_built_in_executor_does(self, job: Job) -> None:
        script = 'echo "$KANIKO_DRIVER_CONTAINER"\n'
        ran = [(name, job.attempt.run(script, name).out.splitlines()[0]) for name, _ in SUB_STAGES]
        assert ran == list(SUB_STAGES)

    def test_nothing_is_tidied_in_a_pod_that_goes(self, job: Job) -> None:
        job.attempt.run("exit 7\n")
        done = job.attempt.run("echo tidied > /builds/tidied\n", TIDYING)
        assert (done.code, done.words, job.verbs("helper")) == (0, "", [])
        # What an earlier one left there would be taken for this one's.
        assert not job.attempt.code_file.exists()

    def test_a_pod_that_stays_for_people_is_tidied_in_the_helper(self, job: Job) -> None:
        job.attempt.configure(more='[debug]\nkeep_failed = "1h"\n')
        assert job.attempt.config().code == 0
        job.attempt.run("exit 7\n")
        assert job.attempt.run('echo "$KANIKO_DRIVER_CONTAINER"\n', TIDYING).out == "helper\n"

    def test_they_share_their_files_at_the_same_paths(self, job: Job) -> None:
        job.attempt.run("mkdir -p /builds/g/p.tmp; echo A=b > /builds/g/p.tmp/gitlab_runner_env\n", "get_sources")
        assert job.attempt.run(". /builds/g/p.tmp/gitlab_runner_env; echo $A\n").out == "b\n"
        job.attempt.run("echo archive > /cache/x\n", "restore_cache")
        assert job.attempt.run("cat /cache/x\n", "archive_cache").out == "archive\n"

    def test_one_that_repeats_runs_again(self, job: Job) -> None:
        for _ in range(3):
            job.attempt.run("echo again >> /builds/lives\n", "get_sources")
        assert (job.builds / "lives").read_text() == "again\n" * 3

    def test_helper_commands_are_found_under_the_name_that_scripts_use(self, job: Job) -> None:
        found = job.attempt.run("command -v gitlab-runner\n", "upload_artifacts_on_success").out
        assert found == "/driver/tools/helper/gitlab-runner\n"
        assert job.attempt.run("command -v gitlab-runner || echo none\n").out == "none\n"


class TestScripts:
    """As shells/bash.go writes them: everything of the job is in the script, variables included."""

    def output(self, job: Job, script: bytes) -> bytes:
        path = job.attempt.folder / "script"
        path.write_bytes(script)
        process = job.attempt.start("run", str(path), "build_script")
        out, err = process.communicate(timeout=180)
        assert (process.returncode, err) == (0, b"")
        return out

    def test_ten_thousand_lines_run_in_order(self, job: Job) -> None:
        script = "".join(f"echo {number}\n" for number in range(10_000))
        assert self.output(job, script.encode()) == "".join(f"{number}\n" for number in range(10_000)).encode()

    def test_a_variable_of_300_kib_is_whole(self, job: Job) -> None:
        value = "x" * 300_000
        assert self.output(job, f'A={value}\nprintf %s "$A"\n'.encode()) == value.encode()

    @pytest.mark.parametrize(
        "value",
        [b"\xff\xfe\x80", b"a\r\nb\r\n", b"\x1b[31mred\x1b[0m", "ä😀".encode(), b"a\n\n\nb", b'$HOME `x` \\ "'],
    )
    def test_bytes_of_any_sort_pass_as_they_are(self, job: Job, value: bytes) -> None:
        assert self.output(job, b"printf '%s' '" + value + b"'\n") == value

    def test_what_it_prints_without_a_newline_stays_so(self, job: Job) -> None:
        assert self.output(job, b"printf 'half a line'\n") == b"half a line"

    def test_progress_lines_are_left_alone(self, job: Job) -> None:
        expected = b"".join(b"%d %%\r" % number for number in range(100)) + b"done\n"
        script = b"i=0; while [ $i -lt 100 ]; do printf '%d %%\\r' $i; i=$((i + 1)); done; echo done\n"
        assert self.output(job, script) == expected


class TestExitCodes:
    @pytest.mark.parametrize("code", sorted({*range(3, 256, 17), 126, 128, 130, 137, 143, 254}))
    def test_the_scripts_own_arrives_whatever_it_is(self, job: Job, code: int) -> None:
        assert job.attempt.run(f"exit {code}\n").code == BUILD_FAILURE
        assert job.attempt.code_file.read_text() == f"{code}\n"

    def test_a_script_that_a_signal_ended_is_128_and_the_signal(self, job: Job) -> None:
        job.attempt.run("kill -9 $$\n")
        assert job.attempt.code_file.read_text() == "137\n"

    def test_a_code_that_cannot_be_left_is_said_and_the_job_fails_as_it_should(self, job: Job) -> None:
        job.attempt.environment["BUILD_EXIT_CODE_FILE"] = str(job.attempt.folder / "no" / "such" / "folder")
        done = job.attempt.run("exit 7\n")
        assert done.code == BUILD_FAILURE
        assert "the script's exit code 7 could not be handed to the runner, which takes it for 1" in done.out

    def test_a_stale_code_that_cannot_be_removed_stops_the_stage(self, job: Job) -> None:
        job.attempt.code_file.mkdir()
        done = job.attempt.run("touch ran; exit 7\n")
        assert done.code == SYSTEM_FAILURE
        assert str(job.attempt.code_file) in done.out
        assert not (job.builds / "ran").exists()

    def test_success_leaves_none(self, job: Job) -> None:
        job.attempt.code_file.write_text("7\n")
        assert job.attempt.run("true\n").code == 0
        assert not job.attempt.code_file.exists()

    def test_a_runner_that_names_no_file_gets_its_plain_failure(self, job: Job) -> None:
        del job.attempt.environment["BUILD_EXIT_CODE_FILE"]
        assert job.attempt.run("exit 7\n").code == BUILD_FAILURE

    def test_a_script_that_is_missing_is_no_build_failure(self, job: Job) -> None:
        done = job.attempt.stage("run", "/no/such/script", "build_script")
        assert done.code == SYSTEM_FAILURE
        assert "/no/such/script: No such file or directory" in done.out


class TestAttempts:
    def test_two_at_once_have_pods_of_their_own_and_each_deletes_its_own(
        self, attempt: Attempt, server: ApiServer, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        cluster = Cluster(server)
        other = type(attempt)(tmp_path_factory.mktemp("other"), server.url, server.certificate)
        for one in (attempt, other):
            one.config()
            assert one.stage("prepare").code == 0
        assert cluster.pods == {attempt.job["pod"], other.job["pod"]}
        assert attempt.stage("cleanup").code == 0
        assert cluster.pods == {other.job["pod"]}

    def test_three_tries_leave_no_pod_but_the_last(self, attempt: Attempt, server: ApiServer) -> None:
        cluster = Cluster(server)
        pods = []
        for _ in range(3):
            attempt.config()
            assert attempt.stage("prepare").code == 0
            pods.append(attempt.job["pod"])
            assert attempt.stage("cleanup").code == 0
        assert len(set(pods)) == 3
        assert cluster.pods == set()

    def test_a_prepare_without_a_cleanup_before_it_makes_no_second_pod_of_one_name(
        self, attempt: Attempt, server: ApiServer
    ) -> None:
        cluster = Cluster(server)
        attempt.config()
        assert attempt.stage("prepare").code == 0
        first = attempt.job["pod"]
        attempt.config()
        assert attempt.stage("prepare").code == 0
        assert cluster.pods == {first, attempt.job["pod"]}

    def test_cleanup_of_a_job_whose_pod_was_never_made_deletes_nothing_else(
        self, attempt: Attempt, server: ApiServer
    ) -> None:
        Cluster(server)
        attempt.config()
        assert attempt.stage("cleanup").code == 0
        deleted = [exchange.path.rsplit("/", 1)[-1] for exchange in server.exchanges if exchange.method == "DELETE"]
        assert deleted == [attempt.job["pod"]]


class TestKilledConfig:
    def test_at_any_point_it_leaves_what_a_cleanup_can_work_with(self, attempt: Attempt, server: ApiServer) -> None:
        Cluster(server)
        took = attempt.config().seconds
        file = attempt.folder / "kaniko-driver.json"
        kept = dict(attempt.environment)
        del attempt.environment["KANIKO_DRIVER_JOB_FILE"]
        for step in range(12):
            file.unlink(missing_ok=True)
            process = attempt.start("config", "--settings", str(attempt.settings), "--tenant", "tenant-a")
            with_timer(process.pid, took * step / 11)
            process.communicate()
            # The runner has no job_env then, and calls cleanup all the same.
            assert attempt.stage("cleanup").code == 0
            if file.exists():
                attempt.environment = dict(kept)
                # And should it have it: a job file is whole or not there.
                assert attempt.stage("cleanup").code == 0
                del attempt.environment["KANIKO_DRIVER_JOB_FILE"]

    def test_a_job_file_that_was_cut_is_told_and_holds_nobody_up(self, attempt: Attempt) -> None:
        attempt.config()
        file = attempt.folder / "kaniko-driver.json"
        whole = file.read_bytes()
        for size in (0, 1, len(whole) // 2, len(whole) - 1):
            file.write_bytes(whole[:size])
            for stage in (("prepare",), ("run", "script", "build_script")):
                done = attempt.stage(*stage)
                assert done.code == SYSTEM_FAILURE
                assert "job file" in done.words


class TestKilledStages:
    def test_a_prepare_killed_at_any_point_leaves_nothing_that_cleanup_does_not_find(
        self, attempt: Attempt, server: ApiServer
    ) -> None:
        cluster = Cluster(server)
        attempt.config()
        took = attempt.stage("prepare").seconds
        attempt.stage("cleanup")
        for step in range(12):
            attempt.config()
            process = attempt.start("prepare")
            with_timer(process.pid, took * step / 11)
            process.communicate()
            assert attempt.stage("cleanup").code == 0
            until("the pod's end", lambda: not cluster.pods)

    def test_a_prepare_whose_runner_died_before_it_looked_deletes_its_pod(
        self, attempt: Attempt, server: ApiServer
    ) -> None:
        cluster = Cluster(server)
        attempt.config()
        process = attempt.start("prepare")
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stderr.close()
        assert process.wait(180) == SYSTEM_FAILURE
        assert cluster.pods == set()
        assert "POST" in [exchange.method for exchange in server.exchanges]

    def test_a_run_that_was_killed_lets_after_script_follow_and_ends_with_cleanup(self, job: Job) -> None:
        process = job.attempt.start_run("touch up; sleep 600\n")
        until("the script", (job.builds / "up").exists)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        assert job.attempt.run("echo after\n", "after_script").out == "after\n"
        # The older script ended for it: only one of a job runs at a time.
        assert "sleep 600" not in job.containers["build"].processes()
        assert job.attempt.stage("cleanup").code == 0
        assert job.deleted

    def test_a_failing_cleanup_hides_no_earlier_error(self, attempt: Attempt) -> None:
        attempt.config()
        first = attempt.stage("prepare")
        assert first.code == SYSTEM_FAILURE
        after = attempt.stage("cleanup")
        assert (after.code, after.words) == (0, "")
        kinds = [event["event"] for event in attempt.events]
        assert kinds.index("stage failed") < kinds.index("cleanup left something behind")


def with_timer(pid: int, seconds: float) -> None:
    """Kill a process group after some time, or find that it has ended."""
    select.select([], [], [], seconds)
    os.killpg(pid, signal.SIGKILL)


class TestFiles:
    def test_nothing_is_left_outside_of_the_runners_folder(self, attempt: Attempt, server: ApiServer) -> None:
        Cluster(server)
        before = {path for path in attempt.folder.parent.rglob("*") if attempt.folder not in path.parents}
        attempt.config()
        attempt.stage("prepare")
        attempt.stage("cleanup")
        after = {path for path in attempt.folder.parent.rglob("*") if attempt.folder not in path.parents}
        assert after - before == {attempt.journal}

    def test_what_it_keeps_there_is_for_its_user_alone(self, attempt: Attempt) -> None:
        attempt.config()
        kept = [path for path in attempt.folder.iterdir() if path.name not in {"response.json", "script"}]
        assert kept
        assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in kept} == {0}

    def test_a_full_disk_of_the_host_is_told(self, attempt: Attempt) -> None:
        attempt.config()
        # Root may write anywhere; a mark that is a folder stands for a disk that takes nothing.
        (attempt.folder / "kaniko-driver.creating").mkdir()
        done = attempt.stage("prepare")
        assert done.code == SYSTEM_FAILURE
        assert "A file on the runner's host cannot be used" in done.out
        assert "kaniko-driver.creating" in done.out


# commands/boot_verify.go: a synthetic job without image, project or commit, run when the runner starts.
BOOT_CHECK: dict[str, Any] = {
    "id": 2**63 - 2**16 + 1,
    "token": "boot-verify",
    "allow_git_fetch": False,
    "job_info": {"name": "boot-verify", "stage": "boot-verify", "project_id": 0, "project_name": ""},
    "git_info": {"repo_url": "", "ref": "", "sha": "", "before_sha": "", "ref_type": "", "refspecs": None},
    "runner_info": {"timeout": 300},
    "inputs": None,
    "variables": [
        {"key": "GIT_STRATEGY", "value": "none", "public": True},
        {"key": "GIT_CHECKOUT", "value": "false", "public": True},
    ],
    "steps": [{"name": "script", "script": ["echo ok"], "timeout": 290, "when": "on_success"}],
    "image": {"name": ""},
    "services": None,
    "artifacts": None,
    "cache": None,
    "credentials": None,
    "dependencies": None,
    "features": {},
    "secrets": None,
}


class TestTheBootCheckOfTheRunner:
    def test_it_is_a_job_like_any_other(self, attempt: Attempt, server: ApiServer) -> None:
        cluster = Cluster(server)
        (attempt.folder / "response.json").write_text(json.dumps(BOOT_CHECK))
        assert attempt.config().code == 0
        manifest = attempt.job["manifest"]
        assert manifest["metadata"]["labels"]["kaniko-driver/job"] == str(BOOT_CHECK["id"])
        assert len(manifest["metadata"]["name"]) <= 63
        assert attempt.stage("prepare").code == 0
        assert attempt.stage("cleanup").code == 0
        assert cluster.pods == set()


class TestServices:
    """The wait for HEALTHCHECK_TCP_PORT in a real helper container; only the helper's own command is a stand-in."""

    HELPER = '#!/bin/sh\n[ "$1 $2" = "health-check --port" ] || exit 2\n[ "$3" = 6379 ] || sleep 600\n'

    @pytest.fixture
    def cluster(self, job: Job, server: ApiServer, image: Path) -> Cluster:
        helper = image / "gitlab-runner-helper"
        helper.write_text(self.HELPER)
        helper.chmod(0o755)
        cluster = Cluster(server)

        def answer(exchange: Exchange) -> None:
            job.bridge.answer(exchange) if exchange.path.endswith("/exec") else cluster.answer(exchange)

        server.answers = [answer]
        return cluster

    def prepare(self, job: Job, **ports: int) -> str:
        services = [
            {"name": name, "variables": [{"key": "HEALTHCHECK_TCP_PORT", "value": str(port)}]}
            for name, port in ports.items()
        ]
        driver = (
            f"version = 1\n[log]\nfile = '{job.attempt.journal}'\n[defaults.services]\nallowed = ['*']\nwait = '2s'\n"
        )
        job.attempt.configure(driver=driver)
        job.attempt.response(services=services)
        job.attempt.config()
        done = job.attempt.stage("prepare")
        assert done.code == 0
        return done.out

    @pytest.mark.usefixtures("cluster")
    def test_services_that_listen_are_no_news(self, job: Job) -> None:
        assert "warning" not in self.prepare(job, redis=6379)

    @pytest.mark.usefixtures("cluster")
    def test_one_that_does_not_is_a_warning_and_no_failure(self, job: Job) -> None:
        said = self.prepare(job, redis=6379, postgres=5432)
        assert "warning: the service postgres does not listen on port 5432" in said
        assert "redis" not in said


def test_stages_read_nothing_from_stdin(job: Job) -> None:
    # The runner gives them /dev/null, and so do the scripts get it.
    assert job.attempt.run("cat; echo end\n").out == "end\n"


def test_a_stage_holds_no_output_open_when_it_ends(job: Job) -> None:
    process = job.attempt.start_run("sleep 300 & echo over\n")
    out, _ = process.communicate(timeout=180)
    assert out == b"over\n"
    until("the driver's children", lambda: not Path(f"/proc/{process.pid}").exists())
