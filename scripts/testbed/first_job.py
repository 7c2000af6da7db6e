"""The command behind `scripts/first-job`: a real gitlab-runner takes one job of any tenant, for the tutorial."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import click
from rich.console import Console

from testbed import bed, ci, layout, programs
from testbed.coordinator import Coordinator
from testbed.demo import print_log
from testbed.errors import BedError
from testbed.gitserver import commit
from testbed.jobs import Image, JobSpec
from testbed.paths import FilePath
from testbed.runner import Runner, custom

_SECONDS = 300.0
_IMAGE = Image("gcr.io/kaniko-project/executor:v1.24.0-debug", entrypoint=("",))
_DOCKERFILE = "FROM scratch\nCOPY README /README\n"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("tenant")
@click.option("--settings", type=FilePath(exists=True, file_okay=False), required=True, help="Its settings folder.")
def main(tenant: str, settings: Path) -> None:
    """Let TENANT build its first image on the running bed, and show the job's log.

    The bed's stand-in for GitLab hands the job to a real gitlab-runner, which calls the driver with these settings.
    """
    bed.enter_namespace()
    with tempfile.TemporaryDirectory(prefix="first-job-") as temporary:
        folder = Path(temporary)
        with Coordinator(
            layout.HOST_ADDRESS, folder=folder / "jobs", repositories=folder / "repositories", tenants=[tenant]
        ) as coordinator:
            spec = ci.in_project(JobSpec(tenant, image=_IMAGE, script=("echo building", ci.KANIKO)), f"{tenant}/first")
            files = folder / "files"
            files.mkdir()
            (files / "README").write_text("the first image\n")
            (files / "Dockerfile").write_text(_DOCKERFILE)
            commit(coordinator.repository(spec.project.path), files)
            token = coordinator.runner_token(tenant)
            section = custom(tenant, token, driver=ci.DRIVER_COMMAND, settings=settings)
            with Runner(programs.RUNNER.path, folder / "runner", url=coordinator.url, sections=[section]):
                job = coordinator.submit(spec)
                print_log(job, Console(highlight=False))
                result = job.wait(_SECONDS)
    if result.state != "success":
        raise BedError(f"the job ended as {result.state} ({result.failure_reason}); its log says why")


if __name__ == "__main__":
    try:
        main(prog_name="scripts/first-job")
    except BedError as error:
        print(f"first-job: {error}", file=sys.stderr)
        sys.exit(1)
