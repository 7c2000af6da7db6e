"""A registry that asks for a login: the job's own from GitLab, one that the script writes, and none."""

from __future__ import annotations

import socket
import subprocess
from base64 import b64encode
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest

from testbed import layout, programs
from testbed.joblog import plain
from testbed.jobs import Credentials, JobSpec, Variable
from testbed.wait import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from testbed.coordinator_job import JobResult

    from .conftest import Author

USER, PASSWORD = "builder", "open sesame"
# bcrypt of the password, the only form that Distribution takes.
HTPASSWD = f"{USER}:$2b$05$abcdefghijklmnopqrstuupx2xBUC4954936wVIjyyPHmUBFu0wCW\n"
DOCKERFILE = "FROM scratch\nCOPY README /README\n"


@pytest.fixture(scope="module")
def private_registry(_bed: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a registry that lets nobody in without the login above."""
    with _registry(tmp_path_factory.mktemp("private")) as address:
        yield address


@contextmanager
def _registry(folder: Path) -> Iterator[str]:
    with closing(socket.create_server((layout.HOST_ADDRESS, 0))) as taken:
        address = f"{layout.HOST_ADDRESS}:{taken.getsockname()[1]}"
    (folder / "htpasswd").write_text(HTPASSWD)
    (folder / "config.yml").write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {folder}/data}}}}\n"
        f'http: {{addr: "{address}"}}\nauth: {{htpasswd: {{realm: test, path: {folder}/htpasswd}}}}\n'
    )
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [programs.REGISTRY.path, "serve", folder / "config.yml"],
            stdout=log,
            stderr=log,
            env={"OTEL_TRACES_EXPORTER": "none"},
        )
    try:
        wait_for("the private registry", lambda: _listens(address), 30)
        yield address
    finally:
        server.terminate()
        server.wait(10)


def _listens(address: str) -> bool:
    host, _, port = address.partition(":")
    with socket.create_connection((host, int(port))):
        return True


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
