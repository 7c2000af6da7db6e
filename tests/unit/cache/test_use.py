"""What a job may do with the layer cache: GitLab's word gives, and everything else can only take."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from executor.cache import use
from executor.cache.use import Use
from executor.runner.response import JobResponse, Variable
from tests.support.tenants import CACHE, tenant

JOB = JobResponse(
    id=1,
    timeout=1,
    name="",
    project_id=7,
    project_path="",
    root_namespace_id=1,
    ref="main",
    sha="",
    protected=True,
    image="",
    services=(),
    logins=(),
)
BRANCH = replace(JOB, protected=False)
FOLDER = "layer-cache/tenant-a"


def decided(job: JobResponse, *variables: tuple[str, str], **table: Any) -> Use:
    given = tuple(Variable(key=key, value=value) for key, value in variables)
    return use.of_job(tenant(cache=CACHE | table).cache, "tenant-a", replace(job, variables=given))


def test_a_protected_branch_has_a_cache_of_its_own_and_reads_no_other() -> None:
    assert decided(JOB) == Use(mode="read-write", prefix=f"{FOLDER}/protected")


def test_another_branch_reads_that_cache_and_writes_beside_it() -> None:
    assert decided(BRANCH) == Use(mode="read-write", prefix=FOLDER, also_read=f"{FOLDER}/protected")


def test_one_cache_for_all_is_a_setting() -> None:
    for job in (JOB, BRANCH):
        assert decided(job, protected_apart=False) == Use(mode="read-write", prefix=FOLDER)


@pytest.mark.parametrize("mode", ["read-only", "off"])
def test_what_other_branches_may_do_is_a_setting(mode: str) -> None:
    assert decided(BRANCH, unprotected=mode).mode == mode
    assert decided(JOB, unprotected=mode).mode == "read-write"
    assert decided(JOB, mode="read-only", unprotected=mode).mode == "read-only"
    assert decided(BRANCH, mode="read-only", unprotected="read-write").mode == "read-only"


@pytest.mark.parametrize(
    "variables",
    [
        [("CI_MERGE_REQUEST_SOURCE_PROJECT_ID", "8")],
        [("CI_MERGE_REQUEST_SOURCE_PROJECT_ID", "8"), ("CI_MERGE_REQUEST_SOURCE_PROJECT_ID", "7")],
        [("CI_MERGE_REQUEST_SOURCE_PROJECT_ID", "7"), ("CI_MERGE_REQUEST_SOURCE_PROJECT_ID", "8")],
    ],
    ids=["plain", "hidden behind", "hidden before"],
)
def test_a_merge_request_from_a_fork_never_writes(variables: list[tuple[str, str]]) -> None:
    for job in (JOB, BRANCH):
        found = decided(job, *variables)
        assert found.mode == "read-only"
        assert "another project's branch" in found.notes[0]


def test_a_merge_request_of_the_projects_own_branch_writes() -> None:
    assert decided(BRANCH, ("CI_MERGE_REQUEST_SOURCE_PROJECT_ID", "7")).mode == "read-write"


@pytest.mark.parametrize("wish", ["read-only", "off"])
def test_a_job_may_ask_for_less(wish: str) -> None:
    assert decided(JOB, ("KANIKO_DRIVER_CACHE", wish)).mode == wish


@pytest.mark.parametrize("wish", ["read-write", "on", "READ-ONLY", "x" * 10_000, "\x1b[1m"])
def test_a_job_can_not_ask_for_more(wish: str) -> None:
    found = decided(BRANCH, ("KANIKO_DRIVER_CACHE", wish), unprotected="read-only")
    assert found.mode == "read-only"
    assert all(len(note) < 100 for note in found.notes)


def test_a_tenant_without_cache_has_none_whatever_a_job_says() -> None:
    assert decided(JOB, ("KANIKO_DRIVER_CACHE", "read-write"), mode="off").mode == "off"
