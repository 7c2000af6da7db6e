"""A tenant whose quota is full: jobs wait their turn, or say at once what is full."""

from __future__ import annotations

import json
import shutil
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from testbed import api, ci, layout
from testbed.errors import BedError
from testbed.gitserver import commit
from testbed.joblog import plain
from testbed.jobs import JobSpec
from testbed.wait import wait_for

from .conftest import BUSY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from testbed.coordinator_job import SubmittedJob

    from .conftest import Author

TENANT = layout.TENANTS[0]
QUOTA = "room-for-two"


@pytest.fixture
def _room_for_two() -> Iterator[None]:
    """Tenant-a may have two pods at once."""
    wanted = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": QUOTA, "namespace": TENANT.name},
        "spec": {"hard": {"pods": "2"}},
    }
    api.apply(wanted)
    counted = lambda: ((api.get("ResourceQuota", QUOTA, TENANT.name) or {}).get("status") or {}).get("used")  # noqa: E731
    wait_for("the quota to be counted", counted, 180)
    yield
    api.request("DELETE", api.path_of("ResourceQuota", QUOTA, TENANT.name))


@pytest.mark.usefixtures("_room_for_two")
def test_five_jobs_share_room_for_two_and_all_succeed(author: Author) -> None:
    before, began = len(refused_creates()), time.monotonic()
    jobs = [author.starts("echo at work", ci.GATE) for _ in range(5)]
    wait_for("one that waits", lambda: any(b"waiting for room" in job.trace for job in jobs), 300)
    wait_for("the end of all", lambda: sum(is_over(job) for job in jobs) == len(jobs), 600)
    results = [job.wait() for job in jobs]
    logs = [plain(result.trace) for result in results]
    assert [result.state for result in results] == ["success"] * 5, "\n".join(logs)
    waited = [log for log in logs if f"waiting for room: quota {QUOTA}: used pods 2 of 2" in log]
    assert waited
    # Said once, and not again while nothing changes.
    assert all(log.count("waiting for room") == 1 for log in waited), waited
    refused = len(refused_creates()) - before
    # Who waits tries now and then even if nothing is seen to change; a busy machine lets them wait for longer.
    most = 15 + (time.monotonic() - began) // 20
    assert refused <= most, f"{refused} refused creates of three jobs that waited, {most} at most"


def is_over(job: SubmittedJob) -> bool:
    """Open a job's gate if it is at it, and tell whether the job has ended."""
    if b"at work" in job.trace and job.result is None:
        with suppress(BedError):  # its pod may go at this moment
            ci.let_go(*ci.job_pods(TENANT, job.ident))
    return job.result is not None


def refused_creates() -> list[dict[str, Any]]:
    """The creates of the tenant's pods that the API server has refused since it was started."""
    entries = (json.loads(line) for line in layout.AUDIT_LOG.read_text().splitlines())
    return [entry for entry in entries if entry["verb"] == "create" and is_refused_pod(entry)]


def is_refused_pod(entry: dict[str, Any]) -> bool:
    what, answer = entry.get("objectRef", {}), entry.get("responseStatus", {})
    return (what.get("resource"), what.get("namespace"), answer.get("code")) == ("pods", TENANT.name, 403)


@pytest.mark.usefixtures("_room_for_two")
def test_a_job_that_is_cancelled_while_it_waits_ends_and_never_gets_a_pod(author: Author) -> None:
    busy = [author.starts("echo at work", BUSY) for _ in range(2)]
    for job in busy:
        job.wait_for("tick")
    waiting = author.starts("echo never")
    waiting.cancel_when("waiting for room")
    assert waiting.wait().state == "canceled"
    for job in busy:
        job.abort()
    for job in busy:
        job.wait()
    assert not ci.job_pods(TENANT, waiting.ident)


@pytest.mark.usefixtures("_room_for_two")
def test_a_tenant_that_does_not_wait_is_told_which_quota_is_full(tmp_path: Path, author: Author) -> None:
    busy = [author.starts("echo at work", BUSY) for _ in range(2)]
    for job in busy:
        job.wait_for("tick")
    settings = tmp_path / "settings"
    shutil.copytree(layout.DRIVER, settings, ignore=shutil.ignore_patterns("*.jsonl*"))
    file = settings / "tenants" / f"{TENANT.name}.toml"
    # A copy may hold the table already: one key in front of its other ones.
    text = file.read_text()
    line = '[capacity]\nwhen_full = "fail"\n'
    file.write_text(text.replace("[capacity]\n", line) if "[capacity]\n" in text else text + line)
    with ci.at_work(tmp_path, tenants=[TENANT], settings=settings) as impatient:
        (tmp_path / "own").mkdir()
        commit(impatient.coordinator.repository("group/impatient"), tmp_path / "own")
        job = impatient.coordinator.submit(ci.in_project(JobSpec(TENANT.name, script=("true",)), "group/impatient"))
        result = job.wait()
    for one in busy:
        one.abort()
        one.wait()
    assert (result.state, result.failure_reason) == ("failed", "runner_system_failure")
    assert f"There was no room for the job pod: quota {QUOTA}: used pods 2 of 2." in plain(result.trace)
