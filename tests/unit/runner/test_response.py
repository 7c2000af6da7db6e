"""The job response is read as GitLab writes it, and a broken one is told without its secrets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from executor.errors import ContractBroken
from executor.runner.response import JobResponse, RegistryLogin, Service, Variable, read_job_response

if TYPE_CHECKING:
    from pathlib import Path

FULL: dict[str, Any] = {
    "id": 4711,
    "token": "glcbt-s3cret",
    "allow_git_fetch": True,
    "job_info": {
        "name": "build image",
        "stage": "build",
        "pipeline_id": 9,
        "project_id": 42,
        "project_name": "project",
        "project_full_path": "group/sub/project",
        "namespace_id": 6,
        "root_namespace_id": 5,
        "organization_id": 1,
        "user_id": 8,
    },
    "git_info": {
        "repo_url": "https://gitlab-ci-token:s3cret@gitlab.example.com/group/sub/project.git",
        "ref": "feature/ä",
        "sha": "0123456789012345678901234567890123456789",
        "before_sha": "0" * 40,
        "ref_type": "branch",
        "refspecs": ["+refs/heads/*:refs/remotes/origin/*"],
        "depth": 20,
        "protected": True,
    },
    "runner_info": {"timeout": 7200, "uuid": "x"},
    "variables": [
        {"key": "CI_PROJECT_ID", "value": "666", "public": True},
        {"key": "CI_JOB_IMAGE", "value": "evil", "public": True},
    ],
    "steps": [{"name": "script", "script": ["make"], "timeout": 7200, "when": "on_success", "allow_failure": False}],
    "image": {"name": "gcr.io/kaniko-project/executor:debug", "entrypoint": [""], "pull_policy": ["always"]},
    "services": [{"name": "docker:dind", "alias": "docker"}, {"name": "postgres"}],
    "artifacts": [{"name": "a", "paths": ["x"]}],
    "cache": [{"key": "k", "paths": ["y"]}],
    "credentials": [
        {"type": "registry", "url": "registry.example.com", "username": "gitlab-ci-token", "password": "s3cret"},
        {"type": "dependency_proxy", "url": "x", "username": "u", "password": "p"},
    ],
    "dependencies": [],
    "features": {"trace_sections": True},
    "unknown_in_the_future": {"a": [1]},
}


def read(tmp_path: Path, document: object) -> JobResponse:
    path = tmp_path / "response.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return read_job_response(str(path))


def test_a_full_response_is_read_and_user_variables_change_nothing(tmp_path: Path) -> None:
    assert read(tmp_path, FULL) == JobResponse(
        id=4711,
        timeout=7200,
        name="build image",
        project_id=42,
        project_path="group/sub/project",
        root_namespace_id=5,
        ref="feature/ä",
        sha="0123456789012345678901234567890123456789",
        protected=True,
        image="gcr.io/kaniko-project/executor:debug",
        pull_policies=("always",),
        services=(Service(name="docker:dind", aliases=("docker",)), Service(name="postgres")),
        logins=(RegistryLogin(url="registry.example.com", username="gitlab-ci-token", password="s3cret"),),
        trace_sections=True,
        variables=(
            Variable(key="CI_PROJECT_ID", value="666", public=True),
            Variable(key="CI_JOB_IMAGE", value="evil", public=True),
        ),
    )


def test_an_id_is_all_that_a_job_must_have(tmp_path: Path) -> None:
    job = read(tmp_path, {"id": 1})
    assert (job.id, job.timeout, job.project_id, job.image, job.services, job.logins) == (1, 7200, 0, "", (), ())


@pytest.mark.parametrize("key", sorted(FULL.keys() - {"id"}))
def test_null_is_the_same_as_absent(tmp_path: Path, key: str) -> None:
    with_null, without = dict(FULL), dict(FULL)
    with_null[key] = None
    del without[key]
    assert read(tmp_path, with_null) == read(tmp_path, without)


@pytest.mark.parametrize(
    ("table", "key"),
    [(table, key) for table in ("job_info", "git_info", "runner_info", "image") for key in sorted(FULL[table])],
)
def test_null_inside_is_the_same_as_absent(tmp_path: Path, table: str, key: str) -> None:
    with_null, without = dict(FULL), dict(FULL)
    with_null[table] = FULL[table] | {key: None}
    without[table] = {name: value for name, value in FULL[table].items() if name != key}
    assert read(tmp_path, with_null) == read(tmp_path, without)


def test_the_runners_own_boot_check_is_a_job_like_any_other(tmp_path: Path) -> None:
    job = read(
        tmp_path,
        {
            "id": 2**63 - 1,
            "token": "boot-verify",
            "job_info": {"project_id": 0, "name": "boot-verify"},
            "runner_info": {"timeout": 60},
            "variables": [{"key": "GIT_STRATEGY", "value": "none"}],
            "steps": [{"name": "script", "script": ["true"]}],
        },
    )
    assert (job.id, job.project_id, job.image, job.timeout) == (2**63 - 1, 0, "", 60)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [(1, 1), ("60", 60), (90 * 86_400, 90 * 86_400), (10**12, 365 * 86_400), (0, 7200), (-5, 7200), ("soon", 7200)],
)
def test_a_job_may_take_what_gitlab_says_and_a_year_at_most(tmp_path: Path, said: object, seconds: int) -> None:
    assert read(tmp_path, {"id": 1, "runner_info": {"timeout": said}}).timeout == seconds


@pytest.mark.parametrize("said", [None, False, "true", 1])
def test_only_a_plain_yes_makes_a_ref_protected(tmp_path: Path, said: object) -> None:
    assert read(tmp_path, {"id": 1, "git_info": {"protected": said}}).protected is False


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "5",
        "{}",
        '{"id": null}',
        '{"id": "x"}',
        '{"id": 9223372036854775808}',
        '{"id": 1, "job_info": [1]}',
        '{"id": 1, "image": "x"}',
    ],
)
def test_a_broken_response_names_its_file_and_what_to_do(tmp_path: Path, text: str) -> None:
    path = tmp_path / "response.json"
    path.write_text(text)
    with pytest.raises(ContractBroken) as broken:
        read_job_response(str(path))
    assert str(path) in broken.value.why
    assert "version" in broken.value.remedy


def test_a_broken_response_is_told_without_its_secrets(tmp_path: Path) -> None:
    path = tmp_path / "response.json"
    path.write_text(json.dumps(FULL)[:-1])
    with pytest.raises(ContractBroken) as broken:
        read_job_response(str(path))
    assert "s3cret" not in str(broken.value)


def test_a_missing_response_names_its_file(tmp_path: Path) -> None:
    with pytest.raises(ContractBroken) as broken:
        read_job_response(str(tmp_path / "absent.json"))
    assert "absent.json" in broken.value.why


@pytest.mark.parametrize(
    ("values", "plain"),
    [
        ([], False),
        ([""], False),
        (["1"], True),
        (["0"], True),
        (["1", ""], False),
        (["", "yes"], True),
        ([None], False),
    ],
)
def test_plain_text_is_what_the_last_variable_of_that_name_asks_for(
    tmp_path: Path, values: list[str | None], *, plain: bool
) -> None:
    variables = [{"key": "NO_COLOR", "value": value} for value in values]
    assert read(tmp_path, FULL | {"variables": variables}).no_color is plain


@pytest.mark.parametrize("features", [None, {}, {"trace_sections": False}, {"trace_sections": "yes"}])
def test_sections_are_for_a_gitlab_that_says_so(tmp_path: Path, features: dict[str, Any] | None) -> None:
    assert read(tmp_path, FULL | {"features": features}).trace_sections is False
