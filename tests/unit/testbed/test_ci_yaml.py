"""A job is read from a pipeline file, and nothing in it is silently left out."""

from __future__ import annotations

from pathlib import Path

import pytest

import testbed
from testbed.ci_yaml import read_job
from testbed.errors import BedError

SAMPLE = Path(testbed.__file__).parent / "sample" / ".gitlab-ci.yml"


def test_the_samples_job_is_the_usual_kaniko_job() -> None:
    job = read_job(SAMPLE, "build-image", "tenant-a")
    assert job.tenant == "tenant-a"
    assert job.image.entrypoint == ("",)
    assert any(line.startswith("/kaniko/executor --context") for line in job.script)
    assert job.artifacts[0].paths == ("image.digest", "build-report.txt")
    assert job.after_script


def test_a_job_may_be_as_short_as_a_script(tmp_path: Path) -> None:
    path = tmp_path / "ci.yml"
    path.write_text("short: {image: busybox, script: [make], variables: {N: 1}}")
    job = read_job(path, "short", "tenant-a")
    assert (job.image.name, job.script, job.artifacts) == ("busybox", ("make",), ())
    assert [(variable.key, variable.value) for variable in job.variables] == [("N", "1")]


@pytest.mark.parametrize(
    ("text", "named"), [("other: {script: [x]}", "job"), ("job: {script: [x], services: [db]}", "services")]
)
def test_what_cannot_be_read_is_named(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "ci.yml"
    path.write_text(text)
    with pytest.raises(BedError, match=named):
        read_job(path, "job", "tenant-a")
