"""Some of the simulated jobs: the driver's own prepare and cleanup for each, in threads of one process.

Prints a JSON list of seconds from the beginning of each prepare to its pod's readiness.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

from executor.cluster import kubeconfig
from executor.job import Job
from executor.journal import Journal
from executor.pod.names import ATTEMPT_LABEL
from executor.stages.cleanup import cleanup
from executor.stages.joblog import JobLog
from executor.stages.prepare import prepare
from testbed import layout
from testbed.sim.ground import NAMESPACE, job_pod


def main(first: int, jobs: int, folder: Path) -> None:
    """Play jobs with the numbers from `first` on, all at once; each holds its pod until all are ready."""
    access = kubeconfig.connect(
        path=str(layout.ADMIN_KUBECONFIG), context="", namespace=NAMESPACE, folder=tempfile.mkdtemp(dir=folder)
    )
    log = os.open(folder / "job.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    seconds: list[float] = []
    failures: list[str] = []

    def play(ident: int) -> None:
        pod = job_pod(ident, overdue=-3600, gated=False)
        attempt = f"attempt{ident}"
        pod["metadata"]["labels"][ATTEMPT_LABEL] = attempt
        job = Job(
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
        journal, began = Journal(str(folder / "driver.jsonl"), job=ident), time.monotonic()
        marks = {mark: str(folder / f"{mark}-{ident}") for mark in ("intent", "keep_mark", "lost_mark")}
        try:
            prepare(job, journal, JobLog(log), intent=marks["intent"], rewrite=lambda _: None)
            seconds.append(time.monotonic() - began)
            cleanup(job, journal, **marks)
        except Exception as error:  # noqa: BLE001 - one job's failure is a figure of the others
            failures.append(str(error))

    threads = [threading.Thread(target=play, args=(first + number,)) for number in range(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps({"seconds": seconds, "failures": failures}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
