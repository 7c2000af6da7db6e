"""A registry that asks for a login: the job's own from GitLab, one that the script writes, and none."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

import pytest

from testbed.joblog import plain
from testbed.jobs import Credentials, JobSpec, Variable
from tests.support import private_registry as private
from tests.support.private_registry import PASSWORD, USER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.coordinator_job import JobResult

    from .conftest import Author

DOCKERFILE = "FROM scratch\nCOPY README /README\n"


@pytest.fixture(scope="module")
def private_registry(_bed: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a registry that lets nobody in without the login above."""
    with private.private_registry(tmp_path_factory.mktemp("private")) as address:
        yield address


def builds(author: Author, registry: str, *before: str, password: str = "", **more: object) -> JobResult:
    """The end of a job that builds and pushes to the private registry; `password` is for GitLab's credentials."""
    author.writes("Dockerfile", DOCKERFILE)
    build = f'/kaniko/executor --context "$CI_PROJECT_DIR" --destination {registry}/image:1'
    logins = (Credentials(registry, USER, password),) if password else ()
    spec = JobSpec(author.tenant.name, script=(*before, build), credentials=logins, **more)  # type: ignore[arg-type] # keywords of JobSpec
    return author.submits(spec).wait()


def config_json(registry: str, password: str) -> str:
    """What `docker login` would write."""
    return f'{{"auths":{{"{registry}":{{"auth":"{b64encode(f"{USER}:{password}".encode()).decode()}"}}}}}}'


def test_the_login_that_gitlab_gives_to_the_job_is_used(author: Author, private_registry: str) -> None:
    result = builds(author, private_registry, password=PASSWORD)
    assert result.state == "success", plain(result.trace)
    assert PASSWORD not in plain(result.trace)


def test_a_config_json_that_the_script_writes_wins(author: Author, private_registry: str) -> None:
    classic = f"echo '{config_json(private_registry, PASSWORD)}' > /kaniko/.docker/config.json"
    result = builds(author, private_registry, "mkdir -p /kaniko/.docker", classic, password="wrong")
    assert result.state == "success", plain(result.trace)


def test_the_variable_docker_auth_config_wins_over_gitlabs_login(author: Author, private_registry: str) -> None:
    variable = Variable("DOCKER_AUTH_CONFIG", config_json(private_registry, PASSWORD))
    result = builds(author, private_registry, password="wrong", variables=(variable,))
    assert result.state == "success", plain(result.trace)


def test_without_a_login_the_push_fails_and_the_script_with_it(author: Author, private_registry: str) -> None:
    result = builds(author, private_registry)
    assert (result.state, result.exit_code, result.failure_reason) == ("failed", 1, "script_failure")
    assert "UNAUTHORIZED" in plain(result.trace)
