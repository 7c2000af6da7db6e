"""The bed, a coordinator and a real runner for the stories of this folder. What a story leaves behind fails it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from testbed import bed, ci, layout
from testbed.errors import BedError
from testbed.gitserver import commit
from testbed.jobs import Image, JobSpec
from testbed.network import inside
from testbed.progress import Progress
from testbed.wait import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from testbed.coordinator import Coordinator
    from testbed.coordinator_job import SubmittedJob
    from testbed.layout import Tenant

PIPELINE_IMAGE = Image("gcr.io/kaniko-project/executor:v1.24.0-debug", entrypoint=("",))
BUSY = "while sleep 0.5; do echo tick; done"
"""A script that goes on until it is cancelled. Never a silent one: the runner hears of a cancel in the answer to new
output, and after half a minute of silence."""
CLEANUP_TIMEOUT = 180.0  # seconds; the driver does not wait until the node has let go of a pod


@pytest.fixture(scope="session")
def _bed() -> Iterator[None]:
    """The bed is up and this process is in its network namespace."""
    try:
        bed.up(Progress())
    except BedError as error:
        pytest.exit(f"the cluster tests need the test bed: {error}", returncode=2)
    with inside():
        ci.delete_job_pods()  # of a session that was killed
        yield


@pytest.fixture(scope="session")
def gitlab(_bed: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ci.Ci]:
    """Coordinator and runner with the driver, at work for both tenants."""
    with ci.at_work(tmp_path_factory.mktemp("gitlab")) as running:
        ci.commit_sample(running.coordinator)
        yield running
        running.runner.check()


@pytest.fixture(autouse=True)
def _nothing_left(_bed: None) -> Iterator[None]:
    """After every story, whatever became of its jobs, no pod of any job is left."""
    yield
    try:
        wait_for("the end of all job pods", lambda: not ci.all_job_pods(), CLEANUP_TIMEOUT)
    except BedError as error:
        left = ", ".join(pod["metadata"]["name"] for pod in ci.all_job_pods())
        ci.delete_job_pods()  # so that the next story fails for its own reasons only
        pytest.fail(f"{error}; left: {left}")


@dataclass(frozen=True)
class Author:
    """A developer of a tenant: writes files into a project and starts its jobs."""

    coordinator: Coordinator
    tenant: Tenant
    project: str
    files: Path

    def writes(self, name: str, text: str) -> None:
        """Commit a file."""
        (self.files / name).write_text(text)
        commit(self.coordinator.repository(self.project), self.files)

    def starts(self, *script: str, after_script: tuple[str, ...] = (), ident: int | None = None) -> SubmittedJob:
        """Start a job with this script in the usual Kaniko image."""
        return self.submits(JobSpec(self.tenant.name, script=script, after_script=after_script, ident=ident))

    def submits(self, spec: JobSpec) -> SubmittedJob:
        """Start a job of this project, in the usual Kaniko image unless it names another."""
        image = spec.image if spec.image.name else PIPELINE_IMAGE
        given = ci.in_project(spec, self.project)
        return self.coordinator.submit(JobSpec(**{**vars(given), "image": image}))


@pytest.fixture
def author(gitlab: ci.Ci, tmp_path: Path, request: pytest.FixtureRequest) -> Author:
    """A developer of tenant-a with a new project that holds only a README."""
    files = tmp_path / "files"
    files.mkdir()
    project = f"group/{request.node.name.replace('_', '-')}"
    newcomer = Author(gitlab.coordinator, layout.TENANTS[0], project, files)
    newcomer.writes("README", "a project of a test\n")
    return newcomer
