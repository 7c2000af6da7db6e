"""Faults of the runner's host: its processes, its disk, its clock, and the driver's way to prove who it is."""

from __future__ import annotations

import os
import shutil
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from testbed.chaos.faults import SHORT, Missed, nothing

if TYPE_CHECKING:
    from testbed.chaos.faults import Undo
    from testbed.chaos.ground import Ground
    from testbed.coordinator_job import SubmittedJob


def driver_killed(_ground: Ground, _job: SubmittedJob, stage: int) -> Undo:
    """The stage's own process is killed."""
    try:
        os.kill(stage, signal.SIGKILL)
    except ProcessLookupError as error:
        raise Missed from error
    return nothing


def _runner_ended(ground: Ground, number: signal.Signals) -> Undo:
    os.kill(ground.runner.pid, number)

    def again() -> None:
        ground.runner.stop()
        ground.runner.start()

    return again


def runner_killed(ground: Ground, *_: object) -> Undo:
    """The runner is killed, and started again later."""
    ground.runner.kill()
    return ground.runner.start


def runner_terminated(ground: Ground, *_: object) -> Undo:
    """The runner aborts its jobs."""
    return _runner_ended(ground, signal.SIGTERM)


def runner_drained(ground: Ground, *_: object) -> Undo:
    """The runner is told to end after its jobs."""
    return _runner_ended(ground, signal.SIGQUIT)


def disk_full(ground: Ground, *_: object) -> Undo:
    """The disk with the runner's temporary files takes no new file for some seconds.

    Files that are there may still grow: the runner keeps the job log in one, and never gets over a failure there.
    """
    filler = ground.temporary / "filler"
    filler.mkdir()
    with suppress(OSError):
        for number in range(ground.files_at_most):
            (filler / str(number)).touch()
    time.sleep(SHORT)
    shutil.rmtree(filler)
    return nothing


def clock_forward(ground: Ground, *_: object) -> Undo:
    """The time of day jumps by an hour under the stage that works."""
    ground.clock.write_text("+3600\n")
    return lambda: ground.clock.unlink(missing_ok=True)


def clock_back(ground: Ground, *_: object) -> Undo:
    """The time of day jumps back by an hour."""
    ground.clock.write_text("-3600\n")
    return lambda: ground.clock.unlink(missing_ok=True)


def token_expired(ground: Ground, *_: object) -> Undo:
    """The driver's token is no good until the job is over."""
    good = ground.token.read_text()
    ground.token.write_text(good[:-8] + "expired0")
    return lambda: ground.token.write_text(good)


def token_renewed(ground: Ground, *_: object) -> Undo:
    """The driver's token is no good for some seconds, and then another one is."""
    renew = token_expired(ground)
    time.sleep(SHORT)
    renew()
    return nothing


def nothing_more(*_: object) -> Undo:
    """The job brings its fault along."""
    return nothing
