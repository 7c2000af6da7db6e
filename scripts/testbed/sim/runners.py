"""Several runners with all their jobs at once, on a tenant whose quota has room for a third: real pods and scripts."""

from __future__ import annotations

import statistics
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from testbed import ci, cluster, layout, programs
from testbed.bench.ground import TENANT, write_settings
from testbed.chaos import judge
from testbed.chaos.story import LINES, counting
from testbed.coordinator import Coordinator
from testbed.errors import BedError
from testbed.gitserver import commit
from testbed.joblog import plain
from testbed.jobs import JobSpec
from testbed.runner import Runner, custom

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.coordinator_job import JobResult
    from testbed.progress import Progress

PROJECT = "group/many"
USER = f"system:serviceaccount:{TENANT.name}:kaniko-driver"
PATIENCE = 900.0


def play(runners: int, jobs: int, folder: Path, progress: Progress) -> dict[str, Any]:
    """Hand `jobs` jobs for each of the runners out at once, and tell how they fared."""
    settings = write_settings(folder / "settings")
    files = folder / "files"
    files.mkdir()
    (files / "README").write_text("a project\n")
    with ExitStack() as stack:
        coordinator = stack.enter_context(
            Coordinator(
                layout.HOST_ADDRESS,
                folder=folder / "jobs",
                repositories=folder / "repositories",
                tenants=[TENANT.name],
            )
        )
        commit(coordinator.repository(PROJECT), files)
        section = custom(
            TENANT.name, coordinator.runner_token(TENANT.name), driver=ci.DRIVER_COMMAND, settings=settings
        )
        hosts = [
            stack.enter_context(
                Runner(programs.RUNNER.path, folder / f"runner{number}", url=coordinator.url, sections=[section])
            )
            for number in range(runners)
        ]
        began = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        with progress.step(f"{runners * jobs} jobs on {runners} runners"):
            spec = ci.in_project(JobSpec(TENANT.name, script=(counting(LINES),)), PROJECT)
            submitted = [coordinator.submit(spec) for _ in range(runners * jobs)]
            results = [job.wait(PATIENCE) for job in submitted]
        logs = [host.log.read_text() for host in hosts]
        requests = [one for one in cluster.requests_of(USER) if one["requestReceivedTimestamp"] >= began]
    return _figures(results, logs, len(requests))


def _figures(results: list[JobResult], logs: list[str], requests: int) -> dict[str, Any]:
    texts = [plain(result.trace) for result in results]
    exact = [judge.exact(text, lines=LINES, after=0, all_lines=True, all_after=True) for text in texts]
    ends = [result.timings.finished for result in results]
    begins = [result.timings.submitted for result in results]
    if None in ends:
        raise BedError("a job has no end")
    waits = sorted((end - begin).total_seconds() for end, begin in zip(ends, begins, strict=True) if end)
    return {
        "runners": len(logs),
        "jobs": len(results),
        "succeeded": sum(result.state == "success" for result in results),
        "log_exact": sum(exact),
        "jobs_of_each_runner": [log.count("Checking for jobs... received") for log in logs],
        "waited_for_room": sum("waiting for room" in text for text in texts),
        "finished_seconds": {
            "first": round(waits[0]),
            "p50": round(statistics.median(waits)),
            "last": round(waits[-1]),
        },
        "api_requests_per_job": round(requests / len(results), 1),
    }
