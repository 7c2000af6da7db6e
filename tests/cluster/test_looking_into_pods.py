"""An operator looks into a job: its log, a shell in its pod, and pods of failed jobs that stay for a while."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import termios
import time
from dataclasses import replace
from subprocess import PIPE
from typing import TYPE_CHECKING, Any

import pytest

from executor.pod.names import DEADLINE_ANNOTATION, KEPT_LABEL
from testbed import ci, cluster, layout
from testbed.joblog import COLOUR, plain
from testbed.wait import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from testbed.coordinator_job import SubmittedJob

    from .conftest import Author

TENANT = layout.TENANTS[0]
KEPT_SECONDS = 1800
LINES = 20_000
MANY = f'i=0; while [ $i -lt {LINES} ]; do echo "line $i ä漢 $((i * i))"; i=$((i + 1)); done'
LONGEST_COMMAND = 120


def command(verb: str, job: SubmittedJob, *more: str) -> list[str]:
    """A command of the driver for a job."""
    return [str(ci.DRIVER_COMMAND), verb, str(job.ident), "--settings", str(layout.DRIVER), *more]


def operator(verb: str, job: SubmittedJob, *more: str) -> subprocess.CompletedProcess[bytes]:
    """Run one to its end."""
    return subprocess.run(
        command(verb, job, *more),
        capture_output=True,
        check=False,
        timeout=LONGEST_COMMAND,
        stdin=subprocess.DEVNULL,
    )


def is_in_trace(output: bytes, trace: bytes) -> bool:
    """Tell whether these bytes stand in the job log, in one piece."""
    return COLOUR.sub("", output.decode()) in plain(trace)


def test_the_log_of_a_running_job_is_followed_to_its_last_byte(author: Author) -> None:
    job = author.starts('echo at" "work', ci.GATE, MANY, "sleep 1", "echo the end")
    job.wait_for("at work")
    with subprocess.Popen(command("logs", job, "--follow", "--sub-stage", "build_script"), stdout=PIPE) as follower:
        assert follower.stdout is not None
        shown = b""
        while b"at work" not in shown and (line := follower.stdout.readline()):
            shown += line
        ci.let_go(*pods(job))
        shown += follower.stdout.read()
    result = job.wait()
    assert (result.state, follower.returncode) == ("success", 0), plain(result.trace)
    assert shown.count(b"\nline ") == LINES
    assert shown.endswith(b"the end\n")
    assert is_in_trace(shown, result.trace)


def test_a_shell_in_a_running_job_has_its_files_its_terminal_and_its_own_exit_code(author: Author) -> None:
    job = author.starts("echo known > mine", "echo begun", "while [ ! -e /builds/go ]; do sleep 0.2; done")
    job.wait_for("begun")
    assert operator("exec", job, "--", "sh", "-c", "exit 37").returncode == 37
    missing = operator("exec", job, "--", "/no/such/program")
    assert missing.returncode in {1, 126, 127}, missing
    # The size travels beside the keys and may come after them.
    size = "n=0; until /driver/tools/bin/stty size | grep -v '^0 0$' || [ $n = 600 ]; do n=$((n + 1)); sleep 0.1; done"
    script = f"{size}; cat mine; exit 9"
    code, shown = at_terminal(["exec", str(job.ident), "--settings", str(layout.DRIVER)], script)
    assert code == 9, shown
    assert b"33 121" in shown
    assert b"known" in shown
    helper = operator("exec", job, "--container", "helper", "--", "sh", "-c", "touch /builds/go; command -v git")
    assert (helper.returncode, helper.stdout.strip()[-3:]) == (0, b"git")
    assert job.wait().state == "success"


def at_terminal(arguments: list[str], script: str) -> tuple[int, bytes]:
    """Run a command at a terminal of 121 by 33, and type one line."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 121, 0, 0))
    process = subprocess.Popen(
        [ci.DRIVER_COMMAND, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    os.write(ours, script.encode() + b"\n")
    shown = b""
    try:
        while piece := os.read(ours, 65536):
            shown += piece
    except OSError:
        pass  # how Linux says that the other side has closed
    finally:
        os.close(ours)
    return process.wait(LONGEST_COMMAND), shown


@pytest.fixture
def keeping(tmp_path: Path, author: Author) -> Iterator[Author]:
    """A developer of a tenant that keeps the newest pod of its failed jobs for a while."""
    folder = tmp_path / "settings"
    (folder / "tenants").mkdir(parents=True)
    more = f'\n[debug]\nkeep_failed = "{KEPT_SECONDS}s"\nkeep_failed_most = 1\n'
    for name, text in (("driver.toml", ""), (f"tenants/{TENANT.name}.toml", more)):
        (folder / name).write_text((layout.DRIVER / name).read_text() + text)
        (folder / name).chmod(0o600)
    with ci.at_work(tmp_path / "gitlab", tenants=[TENANT], settings=folder) as running:
        files = tmp_path / "kept-files"
        files.mkdir()
        developer = replace(author, coordinator=running.coordinator, files=files)
        developer.writes("README", "a project of a test\n")
        yield developer


def pods(job: SubmittedJob) -> list[dict[str, Any]]:
    """The job's pods that nobody has deleted."""
    return [pod for pod in ci.job_pods(TENANT, job.ident) if "deletionTimestamp" not in pod["metadata"]]


def test_the_pod_of_a_failed_job_is_kept_without_its_secrets_until_its_time_is_over(keeping: Author) -> None:
    secret = "export DEPLOY_TOKEN=s3cret-of-the-script; echo begun; exit 7"
    job = keeping.starts("mkdir -p /kaniko/.docker; echo s3cret-login > /kaniko/.docker/config.json", secret)
    result = job.wait()
    assert (result.state, result.exit_code) == ("failed", 7)
    assert f"kaniko-driver exec {job.ident}" in plain(result.trace)
    (pod,) = pods(job)
    assert pod["metadata"]["labels"][KEPT_LABEL] == "true"
    until = int(pod["metadata"]["annotations"][DEADLINE_ANNOTATION])

    shown = operator("logs", job, "--sub-stage", "build_script")
    assert shown.returncode == 0, shown.stderr.decode()
    assert shown.stdout.endswith(b"begun\n")
    assert is_in_trace(shown.stdout, result.trace)
    look = "ls /driver/logins; ls /driver/stages/*/script /kaniko/.docker/config.json 2>/dev/null; echo looked"
    assert operator("exec", job, "--", "sh", "-c", look).stdout == b"looked\n"
    # The cache registry, which has S3 keys, has ended or does so in seconds.
    wait_for("the end of the cache registry", lambda: "cache-registry" not in running(job), 120)
    assert {"build", "helper"} <= running(job)

    # The end of its time is the same in the pod and for those who sweep; it comes early here.
    held = "cat /driver/stages/.held; echo 1 > /driver/stages/.held"
    assert abs(int(operator("exec", job, "--", "sh", "-c", held).stdout) - until) < 300
    wait_for("the end of its time", lambda: not running(job), 120)
    (pod,) = pods(job)
    ends = [status["state"]["terminated"]["exitCode"] for status in pod["status"]["containerStatuses"]]
    assert set(ends) == {0}
    over = f"{DEADLINE_ANNOTATION}={int(time.time()) - 1}"
    cluster.kubectl("annotate", "--overwrite", f"--namespace={TENANT.name}", "pod", pod["metadata"]["name"], over)
    # The next job of the tenant takes it away.
    assert keeping.starts("true").wait().state == "success"
    wait_for("the end of the kept pod", lambda: not ci.job_pods(TENANT, job.ident), 180)


def running(job: SubmittedJob) -> set[str]:
    """Names of the containers that run."""
    (pod,) = pods(job)
    return {status["name"] for status in pod["status"]["containerStatuses"] if "running" in status["state"]}


def test_no_more_pods_are_kept_than_allowed_and_none_of_a_cancelled_job(keeping: Author) -> None:
    first = keeping.starts("exit 1")
    assert first.wait().state == "failed"
    assert len(pods(first)) == 1
    second = keeping.starts("exit 2")
    assert second.wait().state == "failed"
    assert (len(pods(first)), len(pods(second))) == (0, 1)
    cancelled = keeping.starts("echo begun", "while sleep 0.5; do echo tick; done")
    cancelled.wait_for("begun")
    cancelled.cancel()
    assert cancelled.wait().state == "canceled"
    assert "is kept" not in plain(cancelled.trace)
    wait_for("the end of its pod", lambda: not ci.job_pods(TENANT, cancelled.ident), 180)
    ci.delete_job_pods()
