"""Some of the simulated jobs: the driver's own prepare and cleanup for each, in threads of one process.

Prints a line of JSON when all have their pods, or failed: seconds from the beginning of each prepare to its pod's
readiness. Then waits for a line on stdin, so that the pods of all processes exist at once, and cleans up.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from executor.cluster import kubeconfig
from executor.job import Connection, Job
from executor.journal import Journal
from executor.pod.names import ATTEMPT_LABEL
from executor.stages.cleanup import cleanup
from executor.stages.joblog import JobLog
from executor.stages.prepare import prepare
from testbed import layout
from testbed.sim.ground import NAMESPACE, job_pod


def main(first: int, jobs: int, at_once: int, folder: Path) -> None:
    """Play jobs with the numbers from `first` on; so many of their stages work at a time."""
    access = kubeconfig.connect(
        path=str(layout.ADMIN_KUBECONFIG), context="", namespace=NAMESPACE, folder=tempfile.mkdtemp(dir=folder)
    )
    log = os.open(folder / "job.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    seconds: list[float] = []
    failures: list[str] = []

    def begin(number: int) -> tuple[Job, Journal]:
        job = _job(first + number, access)
        journal, began = Journal(str(folder / "driver.jsonl"), job=job.id), time.monotonic()
        try:
            intent, none = _marks(folder, job)["intent"], str(folder / "no-services")
            prepare(job, journal, JobLog(log), intent=intent, services_file=none, rewrite=lambda _: None)
            seconds.append(time.monotonic() - began)
        except Exception as error:  # noqa: BLE001 - one job's failure is a figure of the others
            failures.append(str(error))
        return job, journal

    with ThreadPoolExecutor(at_once) as pool:
        begun = list(pool.map(begin, range(jobs)))
        print(json.dumps({"seconds": seconds, "failures": failures}), flush=True)
        sys.stdin.readline()
        list(pool.map(lambda one: cleanup(one[0], one[1], **_marks(folder, one[0])), begun))


def _marks(folder: Path, job: Job) -> dict[str, str]:
    return {mark: str(folder / f"{mark}-{job.id}") for mark in ("intent", "keep_mark", "lost_mark", "unreachable_mark")}


def _job(ident: int, access: Connection) -> Job:
    pod = job_pod(ident, overdue=-3600, gated=False)
    attempt = f"attempt{ident}"
    pod["metadata"]["labels"][ATTEMPT_LABEL] = attempt
    return Job(
        id=ident,
        tenant=NAMESPACE,
        pod=pod["metadata"]["name"],
        attempt=attempt,
        connection=access,
        manifest=pod,
        logins="",
        build_shell="sh",
        output_limit=10**9,
        schedule_timeout=600,
        start_timeout=600,
        stop_grace=1,
        connection_timeout=60,
        journal="",
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
