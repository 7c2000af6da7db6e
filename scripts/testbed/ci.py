"""The bed's CI system: the coordinator and a real runner at work for both tenants, and the sample project in it.

Whoever uses it must be inside the bed's network namespace.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from executor.pod.names import HELPER, JOB_LABEL
from testbed import api, cluster, layout, programs, s3
from testbed.ci_yaml import read_job
from testbed.coordinator import Coordinator
from testbed.gitserver import commit
from testbed.jobs import Project, Variable
from testbed.runner import Runner, S3Login, Section, custom
from testbed.tenants import COMMAND

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from testbed.coordinator_job import SubmittedJob
    from testbed.jobs import JobSpec
    from testbed.layout import Tenant

DRIVER_COMMAND = COMMAND
SAMPLE = Path(__file__).parent / "sample"
SAMPLE_JOB = "build-image"
SAMPLE_PROJECT = "group/collatz"
KANIKO = (
    '/kaniko/executor --context "$CI_PROJECT_DIR" --dockerfile "$CI_PROJECT_DIR/Dockerfile" '
    '--destination "$CI_REGISTRY_IMAGE:$CI_COMMIT_SHORT_SHA"'
)
"""The script line of a plain build: the Dockerfile at the top of the project."""


GATE = "until [ -e /builds/go ]; do sleep 0.1; done"
"""A line of a script that waits for `let_go`: a test may look at a running job for as long as it takes."""


@dataclass(frozen=True)
class Ci:
    """A coordinator and the runner that asks it for jobs."""

    coordinator: Coordinator
    runner: Runner


def driver_section(coordinator: Coordinator, tenant: Tenant, *, settings: Path = layout.DRIVER) -> Section:
    """The runner's section for a tenant: this checkout's driver, the tenant's own build cache."""
    keys = s3.credentials(tenant.name)
    login = S3Login(keys.access_key, keys.secret_key, tenant.runner_bucket)
    token = coordinator.runner_token(tenant.name)
    return custom(tenant.name, token, driver=DRIVER_COMMAND, settings=settings, cache=login)


@contextmanager
def at_work(
    folder: Path, *, port: int = 0, tenants: Sequence[Tenant] = layout.TENANTS, settings: Path = layout.DRIVER
) -> Iterator[Ci]:
    """Run the coordinator and the runner for the block; logs, artifacts and repositories are in `folder`."""
    names = [tenant.name for tenant in tenants]
    repositories = folder / "repositories"
    with Coordinator(
        layout.HOST_ADDRESS, port=port, folder=folder / "jobs", repositories=repositories, tenants=names
    ) as coordinator:
        sections = [driver_section(coordinator, tenant, settings=settings) for tenant in tenants]
        with Runner(programs.RUNNER.path, folder / "runner", url=coordinator.url, sections=sections) as runner:
            yield Ci(coordinator, runner)


def commit_sample(coordinator: Coordinator) -> str:
    """Put the sample into its project's repository; returns the commit."""
    return commit(coordinator.repository(SAMPLE_PROJECT), SAMPLE)


def sample_job(tenant: Tenant) -> JobSpec:
    """The sample's job as its .gitlab-ci.yml describes it."""
    spec = read_job(SAMPLE / ".gitlab-ci.yml", SAMPLE_JOB, tenant.name)
    return in_project(spec, SAMPLE_PROJECT)


def in_project(spec: JobSpec, path: str) -> JobSpec:
    """The job in a project, with the variables that the project's settings would add."""
    project = Project(path)
    registry = (
        Variable("CI_REGISTRY", layout.REGISTRY),
        Variable("CI_REGISTRY_IMAGE", f"{layout.REGISTRY}/{spec.tenant}/{project.name}"),
    )
    return replace(spec, project=project, variables=(*spec.variables, *registry))


def image_of(job: SubmittedJob) -> str:
    """Where a job that pushes as the sample does pushes its image."""
    return f"{layout.REGISTRY}/{job.spec.tenant}/{job.spec.project.name}:{job.given.sha[:8]}"


def job_pods(tenant: Tenant, ident: int) -> list[dict[str, Any]]:
    """The pods that the cluster has for a job now; several when the job is tried again."""
    wanted = {JOB_LABEL: str(ident)}.items()
    return [pod for pod in api.items("Pod", tenant.name) if wanted <= pod["metadata"].get("labels", {}).items()]


def let_go(*pods: dict[str, Any]) -> None:
    """Open the gate for the scripts in these pods."""
    for pod in pods:
        place = (pod["metadata"]["name"], f"--namespace={pod['metadata']['namespace']}", f"--container={HELPER}")
        cluster.kubectl("exec", *place, "--", "/driver/tools/busybox", "touch", "/builds/go")


def all_job_pods() -> list[dict[str, Any]]:
    """The pods of any job in any namespace that the cluster has now."""
    return [pod for pod in api.items("Pod") if JOB_LABEL in pod["metadata"].get("labels", {})]


def delete_job_pods() -> int:
    """Delete what an interrupted run left, without waiting for grace periods; returns how many pods there were."""
    pods = all_job_pods()
    for pod in pods:
        meta = pod["metadata"]
        with suppress(api.ApiError):  # it may be gone by now
            api.request("DELETE", f"{api.path_of('Pod', meta['name'], meta['namespace'])}?gracePeriodSeconds=0")
    return len(pods)
