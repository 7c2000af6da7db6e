"""Repositories are made from folders and served to whoever holds a job's token."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from testbed.errors import BedError
from testbed.gitserver import ALONE, commit, resolve
from testbed.jobs import JobSpec, Project

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.coordinator import Coordinator


def clone(url: str, to: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(to.parent), "GIT_TERMINAL_PROMPT": "0", **ALONE}
    return subprocess.run(
        ("git", "clone", "--quiet", url, to), env=environment, capture_output=True, text=True, check=False
    )


def url_of(coordinator: Coordinator, path: str, token: str) -> str:
    return f"{coordinator.url.replace('//', f'//gitlab-ci-token:{token}@')}/{path}.git"


def test_the_same_content_is_the_same_commit(tmp_path: Path) -> None:
    content = tmp_path / "content"
    content.mkdir()
    (content / "file").write_text("one")
    first = commit(tmp_path / "one.git", content)
    assert commit(tmp_path / "one.git", content) == first
    assert commit(tmp_path / "two.git", content) == first


def test_new_content_is_a_new_commit_on_top(tmp_path: Path) -> None:
    content = tmp_path / "content"
    content.mkdir()
    (content / "file").write_text("one")
    first = commit(tmp_path / "one.git", content)
    (content / "file").write_text("two")
    second = commit(tmp_path / "one.git", content)
    assert second != first
    assert resolve(tmp_path / "one.git", "main") == second


def test_a_ref_that_does_not_exist_is_none(tmp_path: Path) -> None:
    content = tmp_path / "content"
    content.mkdir()
    commit(tmp_path / "one.git", content)
    assert resolve(tmp_path / "one.git", "v1") is None


def test_a_running_job_clones_its_project(coordinator: Coordinator, tmp_path: Path) -> None:
    job = coordinator.submit(JobSpec("tenant-a"))
    assert coordinator.next_job(coordinator.runner_token("tenant-a")) is job
    done = clone(url_of(coordinator, "group/sample", job.given.token), tmp_path / "clone")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "clone" / "hello.txt").read_text() == "hello from git\n"


def test_a_job_that_no_runner_has_clones_nothing(coordinator: Coordinator, tmp_path: Path) -> None:
    job = coordinator.submit(JobSpec("tenant-a"))
    assert clone(url_of(coordinator, "group/sample", job.given.token), tmp_path / "clone").returncode != 0


def test_a_job_cannot_clone_another_project(coordinator: Coordinator, tmp_path: Path) -> None:
    content = tmp_path / "content"
    commit(coordinator.repository("group/secret"), content)
    job = coordinator.submit(JobSpec("tenant-a"))
    coordinator.next_job(coordinator.runner_token("tenant-a"))
    assert clone(url_of(coordinator, "group/secret", job.given.token), tmp_path / "clone").returncode != 0


def test_nobody_pushes(coordinator: Coordinator, tmp_path: Path) -> None:
    job = coordinator.submit(JobSpec("tenant-a"))
    coordinator.next_job(coordinator.runner_token("tenant-a"))
    clone(url_of(coordinator, "group/sample", job.given.token), tmp_path / "clone")
    pushed = subprocess.run(
        ("git", "push", "origin", "HEAD:refs/heads/other"),
        cwd=tmp_path / "clone",
        env={"PATH": "/usr/bin:/bin", **ALONE},
        capture_output=True,
        text=True,
        check=False,
    )
    assert pushed.returncode != 0
    assert "403" in pushed.stderr


def test_a_job_of_a_project_without_repository_is_refused_at_once(coordinator: Coordinator) -> None:
    with pytest.raises(BedError, match="git_strategy"):
        coordinator.submit(JobSpec("tenant-a", project=Project("no/such")))
