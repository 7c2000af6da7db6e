"""A job may bring its own build image where its tenant allows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from testbed import layout
from testbed.joblog import plain
from testbed.jobs import Image, JobSpec

if TYPE_CHECKING:
    from .conftest import Author


@pytest.mark.parametrize(("image", "shell"), [("debian:bookworm", "bash"), ("alpine:3", "sh")])
def test_an_allowed_image_runs_the_authors_scripts_by_bash_where_it_has_one(
    author: Author, image: str, shell: str
) -> None:
    job = author.submits(
        JobSpec(
            author.tenant.name,
            script=('echo "by ${BASH_VERSION:+ba}sh"', "cat README", "exit 3"),
            after_script=("echo after in $PWD",),
            image=Image(f"{layout.REGISTRY}/library/{image}"),
        )
    )
    result = job.wait()
    log = plain(result.trace)
    assert (result.state, result.exit_code) == ("failed", 3), log
    assert f"\nby {shell}\na project of a test\n" in log.replace("$ cat README\n", ""), log
    assert f"\nafter in /builds/{author.project}\n" in log
