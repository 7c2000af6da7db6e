"""The project's own Dockerfile on the bed: stand-ins for its two base images, its context, and the job that builds it.

Made on demand, because only who builds this image needs them. The stand-in for Python is Debian's, so the context is
prepared for Debian's version of it.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from testbed import archive, cache, images, layout, programs, registry, rootfs
from testbed.ci import in_project
from testbed.gitserver import commit
from testbed.images import Image
from testbed.jobs import Image as JobImage
from testbed.jobs import JobSpec
from testbed.network import outside
from testbed.process import run
from testbed.rootfs import RootFileSystem

if TYPE_CHECKING:
    from testbed.archive import LayerWriter
    from testbed.coordinator import Coordinator
    from testbed.layout import Tenant
    from testbed.progress import Progress

PROJECT = "platform/runner"
PIPELINE_IMAGE = JobImage("gcr.io/kaniko-project/executor:v1.24.0-debug", entrypoint=("",))
PREPARE = Path(__file__).parents[1] / "runner-image"
PYTHON_VERSION = "3.11"  # of the Debian release that the stand-in is made from
PYTHON_ROOT = RootFileSystem("python", ("ca-certificates", "python3", "python3-pip"))


def _program(layer: LayerWriter) -> None:
    layer.folders("usr", "usr/bin")
    layer.copy("usr/bin/gitlab-runner", programs.RUNNER.path)


PYTHON = Image(
    "base-python",
    f"{layout.REGISTRY}/library/python:{PYTHON_VERSION}-slim",
    {"Cmd": ["python3"], "Env": [images.SYSTEM_PATH]},
    root=PYTHON_ROOT,
    packed=True,
)
RUNNER = Image(
    "base-gitlab-runner",
    f"{layout.REGISTRY}/gitlab/gitlab-runner:19.4",
    {"Entrypoint": ["/usr/bin/gitlab-runner"], "Env": [images.SYSTEM_PATH]},
    fill=_program,
    uses=(programs.RUNNER,),
    packed=True,
)
KANIKO = (
    '/kaniko/executor --context "$CI_PROJECT_DIR" --destination "$CI_REGISTRY_IMAGE:$CI_COMMIT_SHORT_SHA" '
    f"--build-arg PYTHON_IMAGE={PYTHON.reference} --build-arg RUNNER_IMAGE={RUNNER.reference}"
)


def provide(progress: Progress) -> None:
    """Have both base images in the bed's registry."""
    wanted = [image for image in (PYTHON, RUNNER) if not registry.has(image)]
    if any(not image.artifact.ready for image in wanted):
        with cache.lock(layout.CACHE / "lock", progress, "filling the cache"), outside():
            rootfs.build(PYTHON_ROOT, progress)
            for image in wanted:
                images.build(image, progress)
    with ThreadPoolExecutor() as pool:
        list(pool.map(registry.push, wanted))


def commit_context(coordinator: Coordinator, folder: Path) -> None:
    """Make the build context in a new folder, as an operator does, and put it into the project's repository.

    Raises:
        BedError: the wheels could not be had; carries what was said.
    """
    with outside():
        run((PREPARE, "--output", folder, "--python", PYTHON_VERSION, "--arch", archive.ARCHITECTURE))
    commit(coordinator.repository(PROJECT), folder)


def job(tenant: Tenant) -> JobSpec:
    """The job that builds the image from the project's files and pushes it."""
    return in_project(JobSpec(tenant.name, script=(KANIKO,), image=PIPELINE_IMAGE), PROJECT)
