"""A cancelled build stops at once and wholly; what should still happen after it does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from executor.pod.names import BUILD
from testbed import ci, layout
from testbed.containers import container_id, processes
from testbed.joblog import plain
from testbed.wait import wait_for

if TYPE_CHECKING:
    from .conftest import Author

# Kaniko prints the instruction before it runs it: the quotes make the output another text than the instruction.
# It ticks, because the runner hears of a cancel with the answer to a piece of log, and of a silent job after 30 s only.
BUSY = f"""\
FROM {layout.REGISTRY}/library/busybox:1
RUN (setsid sleep 4242 &) ; sleep 4243 & echo in the" "instruction ; while sleep 0.5 ; do echo tick ; done
"""
STILL_RUNNING = ("/kaniko/executor", "sleep 4242", "sleep 4243", "while sleep")


def test_cancel_stops_every_process_of_the_build_and_after_script_still_runs(author: Author) -> None:
    author.writes("Dockerfile", BUSY)
    job = author.starts(ci.KANIKO, "echo not reached", after_script=("echo cleaning up", ci.GATE, "echo done"))
    job.wait_for("in the instruction")
    (pod,) = ci.job_pods(author.tenant, job.ident)
    container = container_id(pod, BUILD)
    assert {word for word in STILL_RUNNING if any(word in found.command for found in processes(container))} == {
        *STILL_RUNNING
    }

    job.cancel()

    # Ten seconds are promised; a machine with other work may take longer.
    wait_for("the end of the build's processes", lambda: not leftovers(container), 180)
    job.wait_for("cleaning up")
    # The same container still lives: what was looked at above was not the empty list of a deleted one.
    wait_for("after_script", lambda: any("sleep 0.1" in found.command for found in processes(container)), 180)
    ci.let_go(pod)
    result = job.wait()
    log = plain(result.trace)
    assert (result.state, result.failure_reason) == ("canceled", "job_canceled"), log
    assert "\ndone" in log
    assert "\nnot reached" not in log


def leftovers(container: str) -> list[str]:
    """The commands of what is left of the build in its container."""
    return [found.command for found in processes(container) if any(word in found.command for word in STILL_RUNNING)]


def test_a_job_cancelled_while_its_pod_starts_leaves_nothing(author: Author) -> None:
    job = author.starts("sleep 600")
    wait_for("the job's pod", lambda: ci.job_pods(author.tenant, job.ident), 180)
    job.cancel()
    assert job.wait().state == "canceled"


def test_an_aborted_job_leaves_nothing(author: Author) -> None:
    job = author.starts("while true; do echo tick; sleep 1; done", after_script=("echo never",))
    job.wait_for("tick")
    job.abort()
    result = job.wait()
    assert result.state == "canceled"
    assert "$ echo never" not in plain(result.trace)
