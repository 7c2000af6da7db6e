"""A job's own image behind a login is pulled with the login that GitLab gives to the job, and with no other."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from testbed import api, ci, layout, programs, tenants
from testbed.coordinator import Coordinator
from testbed.gitserver import commit
from testbed.joblog import plain
from testbed.jobs import Credentials, Image, JobSpec
from testbed.runner import Runner, custom
from testbed.wait import wait_for
from tests.support.private_registry import PASSWORD, USER, private_registry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.coordinator_job import JobResult

TENANT = layout.TENANTS[0]
PROJECT = "group/private"


@pytest.fixture(scope="module")
def registry(_bed: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the registry, which the nodes reach without TLS."""
    with private_registry(tmp_path_factory.mktemp("private")) as address:
        folders = [node.state / "registries" / address for node in layout.NODES]
        for folder in folders:
            folder.mkdir()
            text = f'server = "http://{address}"\n[host."http://{address}"]\ncapabilities = ["pull", "resolve"]\n'
            (folder / "hosts.toml").write_text(text)
        yield address
        for folder in folders:
            shutil.rmtree(folder)


@pytest.fixture(scope="module")
def coordinator(registry: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Coordinator]:
    """A coordinator and a runner whose tenant allows images of that registry."""
    folder = tmp_path_factory.mktemp("work")
    settings = folder / "settings"
    shutil.copytree(layout.DRIVER, settings, ignore=shutil.ignore_patterns("*.jsonl*"))
    file = settings / "tenants" / f"{TENANT.name}.toml"
    text = file.read_text()
    allowed = f'allowed = ["{layout.REGISTRY}/library/*"'
    assert allowed in text
    file.write_text(text.replace(allowed, f'{allowed}, "{registry}/*", "{layout.HELPER_IMAGE}"'))
    # The cluster's own policy knows the allowed images too. It has it by the time that the first one is built.
    tenants.operate("apply", TENANT.name, "--yes", folder=settings)
    (folder / "files").mkdir()
    (folder / "files" / "Dockerfile").write_text(f"FROM {layout.REGISTRY}/library/alpine:3\nRUN echo > /private\n")
    with Coordinator(
        layout.HOST_ADDRESS, folder=folder / "jobs", repositories=folder / "repositories", tenants=[TENANT.name]
    ) as running:
        commit(running.repository(PROJECT), folder / "files")
        token = running.runner_token(TENANT.name)
        section = custom(TENANT.name, token, driver=ci.DRIVER_COMMAND, settings=settings)
        with Runner(programs.RUNNER.path, folder / "runner", url=running.url, sections=[section]):
            yield running
    tenants.operate("apply", TENANT.name, "--yes")


def runs(
    coordinator: Coordinator, *script: str, image: str = "", password: str = PASSWORD, policies: tuple[str, ...] = ()
) -> JobResult:
    """The end of a job with GitLab's login for the registry; the images of this file differ, as nodes keep them."""
    credentials = (Credentials(image.partition("/")[0], USER, password),)
    spec = JobSpec(TENANT.name, script=script, image=Image(image, pull_policy=policies), credentials=credentials)
    return coordinator.submit(ci.in_project(spec, PROJECT)).wait()


def pushed(coordinator: Coordinator, registry: str, name: str) -> str:
    """The image of that name, built and pushed by a job."""
    image = f"{registry}/{name}:1"
    login = (Credentials(registry, USER, PASSWORD),)
    build = f'/kaniko/executor --context "$CI_PROJECT_DIR" --destination {image} --label=name={name}'
    spec = JobSpec(TENANT.name, script=(build,), credentials=login)
    result = coordinator.submit(ci.in_project(spec, PROJECT)).wait()
    assert result.state == "success", plain(result.trace)
    return image


def test_the_jobs_own_login_pulls_its_image_and_leaves_nothing(coordinator: Coordinator, registry: str) -> None:
    image = pushed(coordinator, registry, "mine")
    result = runs(coordinator, "ls /private", image=image)
    log = plain(result.trace)
    assert result.state == "success", log
    assert PASSWORD not in log
    wait_for("the end of the job's Secret", lambda: not secrets_of_jobs(), 180)


def secrets_of_jobs() -> list[str]:
    """The names of the Secrets that belong to jobs."""
    names: list[str] = [secret["metadata"]["name"] for secret in api.items("Secret", TENANT.name)]
    return [name for name in names if name.startswith("kaniko-job-")]


def test_with_a_wrong_login_the_image_is_refused_in_words(coordinator: Coordinator, registry: str) -> None:
    image = pushed(coordinator, registry, "other")
    result = runs(coordinator, "echo never", image=image, password="wrong")
    log = plain(result.trace)
    assert result.state == "failed"
    assert image in log
    assert "cannot be pulled" in log
    # The author's to mend, so it is not tried three times.
    assert result.failure_reason == "script_failure"


def test_the_next_policy_of_a_list_is_tried_in_another_pod_with_the_login(coordinator: Coordinator) -> None:
    # Every node has this image, and no registry.
    result = runs(coordinator, "echo he''re", image=layout.HELPER_IMAGE, policies=("always", "if-not-present"))
    log = plain(result.trace)
    assert result.state == "success", log
    assert "trying the pull policy IfNotPresent in another pod, since it failed with Always" in log
    assert "\nhere\n" in log
    assert log.count("kaniko-driver: starting pod") == 2
    wait_for("the end of the job's Secret", lambda: not secrets_of_jobs(), 180)
