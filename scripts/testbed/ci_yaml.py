"""Turn a job of a `.gitlab-ci.yml` into a `JobSpec`, for the keys that the sample uses.

GitLab does this on its side, long before a runner sees the job. A key that is not known here is an error, so that the
sample cannot say something that the test bed silently leaves out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from testbed.errors import BedError
from testbed.jobs import Artifacts, Image, JobSpec, Variable

if TYPE_CHECKING:
    from pathlib import Path

KNOWN = frozenset({"stage", "image", "script", "after_script", "variables", "artifacts"})


def read_job(path: Path, name: str, tenant: str) -> JobSpec:
    """The job called `name` in the file, as a job of `tenant`.

    Raises:
        BedError: there is no such job, or it uses something that is not supported here.
    """
    content = yaml.safe_load(path.read_text())
    job = content.get(name) if isinstance(content, dict) else None
    if not isinstance(job, dict):
        raise BedError(f"{path} has no job {name!r}")
    if unknown := job.keys() - KNOWN:
        raise BedError(f"{path}: the test bed cannot read {', '.join(sorted(unknown))} of job {name!r}")
    return JobSpec(
        tenant,
        name=name,
        stage=job.get("stage", "test"),
        image=_image(job.get("image", "")),
        script=tuple(job.get("script", ())),
        after_script=tuple(job.get("after_script", ())),
        variables=tuple(Variable(key, str(value)) for key, value in job.get("variables", {}).items()),
        artifacts=_artifacts(job.get("artifacts")),
    )


def _image(image: str | dict[str, Any]) -> Image:
    if isinstance(image, str):
        return Image(image)
    return Image(image["name"], entrypoint=tuple(image.get("entrypoint", ())))


def _artifacts(artifacts: dict[str, Any] | None) -> tuple[Artifacts, ...]:
    if artifacts is None:
        return ()
    name, when = artifacts.get("name", "artifacts"), artifacts.get("when", "on_success")
    return (Artifacts(tuple(artifacts["paths"]), name=name, when=when),)
