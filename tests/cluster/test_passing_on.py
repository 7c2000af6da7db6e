"""What one job hands on to another: artifacts through GitLab, `cache:` through the tenant's own bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed import layout, s3
from testbed.joblog import plain
from testbed.jobs import Artifacts, Cache, JobSpec

if TYPE_CHECKING:
    from .conftest import Author

KEPT = Cache("dependencies", ("downloaded/",))


def test_a_later_job_finds_the_artifacts_of_an_earlier_one(author: Author) -> None:
    made = Artifacts(("made/",), exclude=("made/scrap",))
    script = ("mkdir made", "echo useful > made/result", "echo useless > made/scrap")
    maker = author.submits(JobSpec("tenant-a", script=script, artifacts=(made,)))
    user = author.submits(JobSpec("tenant-a", script=("ls made", "cat made/result"), dependencies=(maker,)))
    log = plain(user.wait().trace)
    assert user.wait().state == "success", log
    assert "\nuseful" in log
    assert "\nscrap" not in log


def test_a_jobs_cache_comes_back_from_the_tenants_own_bucket(author: Author) -> None:
    fill = JobSpec("tenant-a", script=("mkdir -p downloaded", "echo from the net > downloaded/it"), cache=(KEPT,))
    first = author.submits(fill).wait()
    assert first.state == "success", plain(first.trace)

    second = author.submits(JobSpec("tenant-a", script=("cat downloaded/it",), cache=(KEPT,))).wait()
    log = plain(second.trace)
    assert second.state == "success", log
    assert "\nfrom the net" in log
    found = s3.client().list_objects_v2(Bucket=layout.TENANTS[0].runner_bucket).get("Contents", [])
    assert any("dependencies" in item["Key"] for item in found)
    assert {item["Key"].split("/")[0] for item in found} == {"tenant-a"}
