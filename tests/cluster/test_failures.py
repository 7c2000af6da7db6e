"""What goes wrong in a job arrives as it was: exit code, reason, log, artifacts."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import pytest

from testbed import ci, layout
from testbed.joblog import plain
from testbed.jobs import Artifacts, JobSpec

if TYPE_CHECKING:
    from .conftest import Author

BASE = f"FROM {layout.REGISTRY}/library/busybox:1\n"


def test_the_exit_code_of_a_run_instruction_is_the_jobs(author: Author) -> None:
    author.writes("Dockerfile", f"{BASE}RUN echo about to fail; exit 37\n")
    result = author.starts(ci.KANIKO, after_script=("echo the end as $CI_JOB_STATUS",)).wait()
    log = plain(result.trace)
    assert (result.state, result.exit_code, result.failure_reason) == ("failed", 37, "script_failure"), log
    assert "about to fail" in log
    assert "the end as failed" in log
    assert result.trace_complete


@pytest.mark.parametrize("code", [1, 2, 3, 127, 255])
def test_any_exit_code_of_a_script_is_the_jobs(author: Author, code: int) -> None:
    result = author.starts(f"exit {code}").wait()
    assert (result.state, result.exit_code, result.failure_reason) == ("failed", code, "script_failure")


def test_a_failed_job_uploads_what_it_was_told_to_keep(author: Author) -> None:
    kept = Artifacts(("evidence.txt",), when="on_failure")
    job = author.submits(JobSpec("tenant-a", script=("echo why > evidence.txt", "false"), artifacts=(kept,)))
    result = job.wait()
    assert (result.state, result.exit_code) == ("failed", 1)
    (artifact,) = result.artifacts
    with zipfile.ZipFile(artifact.path) as archive:
        assert archive.read("evidence.txt") == b"why\n"


def test_a_repository_that_cannot_be_cloned_fails_the_job_before_its_script(author: Author) -> None:
    missing = {"git_info": {"sha": "1" * 40, "ref": "gone", "refspecs": ["+refs/heads/gone:refs/remotes/origin/gone"]}}
    result = author.submits(JobSpec("tenant-a", script=("echo never",), overrides=missing)).wait()
    assert result.state == "failed"
    assert "$ echo never" not in plain(result.trace)
