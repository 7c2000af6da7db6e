"""Tell one story after the other, and judge each; what is left over is counted a minute after a job's end."""

from __future__ import annotations

import random
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from executor.pod.names import DEADLINE_ANNOTATION
from testbed import api, ci
from testbed.chaos import ground as grounds
from testbed.chaos import judge
from testbed.chaos.faults import Missed, containerd_restart
from testbed.chaos.judge import Row
from testbed.chaos.stories import stories
from testbed.chaos.story import AFTER_LINES, counting
from testbed.errors import BedError
from testbed.joblog import plain
from testbed.jobs import Image, JobSpec
from testbed.process import run
from testbed.wait import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from testbed.chaos.ground import Ground
    from testbed.chaos.story import Story
    from testbed.coordinator_job import SubmittedJob

IMAGE = Image("gcr.io/kaniko-project/executor:v1.24.0-debug", entrypoint=("",))
LEFT_AFTER = 60.0
"""Seconds after a job's end at which nothing of it may be left."""

_TRIES = 3


@dataclass
class Told:
    """A story whose jobs have ended, and whose leftovers are not yet counted."""

    story: Story
    jobs: list[SubmittedJob]
    ended: float
    """On the monotonic clock."""
    row: Row


def order(seed: int, *, short: bool, only: str = "", done: Iterable[Row] = ()) -> Iterator[Story]:
    """Give the stories in an order that follows from the seed; the long form again and again.

    `done` are rows of a run with this seed that ended early: what they are about is left out, once for each.
    """
    chance = random.Random(seed)  # noqa: S311 - repeatable on purpose
    counted = Counter((row.fault, row.stage) for row in done)
    while True:
        told = [story for story in stories() if (story.short or not short) and only in story.fault]
        chance.shuffle(told)
        for story in told:
            if counted[story.fault, story.stage]:
                counted[story.fault, story.stage] -= 1
            else:
                yield story
        if short or only:
            return


def play(
    ground: Ground,
    told: Iterator[Story],
    seconds: float,
    tell: Callable[[Row], None],
    *,
    left_after: float = LEFT_AFTER,
) -> None:
    """Tell stories for so many seconds, then count the last leftovers; `left_after` seconds after each job's end."""
    end = time.monotonic() + seconds
    waiting: list[Told] = []
    for story in told:
        if time.monotonic() >= end:
            break
        with ground.progress.step(f"{story.fault} in {story.stage}"):
            waiting.append(_tell_until_met(ground, story))
        waiting = _count(ground, waiting, left_after, tell)
    while waiting:
        time.sleep(0.5)
        waiting = _count(ground, waiting, left_after, tell)


def _tell_until_met(ground: Ground, story: Story) -> Told:
    """Tell a story again whose fault came too late: a busy machine may miss a stage that lasts a fifth of a second.

    Only where the jobs then ended as if there were no faults; whatever else went wrong is kept.
    """
    for _ in range(_TRIES - 1):
        told = tell_story(ground, story)
        if told.row.injected or not all(job.result and job.result.state == "success" for job in told.jobs):
            return told
    return tell_story(ground, story)


def tell_story(ground: Ground, story: Story) -> Told:
    """Let one fault meet its jobs, wait for their end, and judge what they left in their logs."""
    jobs = [ground.coordinator.submit(spec(story)) for _ in range(story.jobs)]
    clock_needed = "clock" in story.fault
    if clock_needed:
        ground.clock.write_text("+0\n")
    injected, undo = _inject(ground, story, jobs[0])
    try:
        _wait(story, jobs)
    finally:
        undo()
    grounds.wait_until_well(containerd_restart)
    rows = [_judge(ground, story, job, injected=injected) for job in jobs]
    row = Row(
        fault=story.fault,
        stage=story.stage,
        injected=injected,
        outcome_right=all(one.outcome_right for one in rows),
        log_exact=all(one.log_exact for one in rows),
        explained=all(one.explained for one in rows),
        leftovers=0,
    )
    return Told(story, jobs, time.monotonic(), row)


def spec(story: Story) -> JobSpec:
    """The job of a story."""
    return ci.in_project(
        JobSpec(
            grounds.TENANT.name,
            script=story.script,
            after_script=(counting(AFTER_LINES, "after"),),
            image=IMAGE,
            timeout=story.timeout,
            overrides=story.overrides,
            **story.stored,
        ),
        grounds.PROJECT,
    )


def _inject(ground: Ground, story: Story, job: SubmittedJob) -> tuple[bool, Callable[[], object]]:
    """Catch the stage and do the fault; returns whether it met the job, and how to undo it."""
    try:
        if story.mark:
            job.wait_for(story.mark, grounds.CATCH_SECONDS)
    except BedError:
        return False, lambda: None
    words = (story.stage,) if story.stage in {"config", "prepare", "cleanup"} else ("run", story.stage)
    stage = ground.caught(job, *words)
    if not stage:
        return False, lambda: None
    try:
        return True, story.act(ground, job, stage)
    except Missed:
        return False, lambda: None


def _wait(story: Story, jobs: list[SubmittedJob]) -> None:
    """Return when the runner has reported the end of every job, or will not any more."""
    end = time.monotonic() + story.patience
    for job in jobs:
        with suppress(BedError):
            job.wait(max(1.0, end - time.monotonic()))


def _judge(ground: Ground, story: Story, job: SubmittedJob, *, injected: bool) -> Row:
    result = job.result
    text = plain(job.trace)
    how = judge.outcome(result.state if result else None, result.failure_reason if result else "")
    return Row(
        fault=story.fault,
        stage=story.stage,
        injected=injected,
        outcome_right=how in story.ends,
        log_exact=judge.exact(
            text,
            lines=story.lines,
            after=AFTER_LINES,
            all_lines=how == judge.SUCCESS,
            all_after=how == judge.SUCCESS and not story.loses_after,
        ),
        explained=judge.explained(text, how, ground.categories(job), by_runner=story.by_runner),
        leftovers=0,
    )


def _count(ground: Ground, waiting: list[Told], left_after: float, tell: Callable[[Row], None]) -> list[Told]:
    """Count what is left of jobs whose time has come; returns the others.

    Where something is left and `left_after` is less than a minute, the whole minute is waited for: a node that has much
    to do lets go of its pods late.
    """
    others = []
    for one in waiting:
        age = time.monotonic() - one.ended
        left = _left(ground, one) if age >= left_after else 1
        if left and age < LEFT_AFTER:
            others.append(one)
        else:
            tell(replace(one.row, leftovers=left))
    return others


def _left(ground: Ground, one: Told) -> int:
    if one.story.swept:
        _sweep(ground, one)
    return sum(ground.leftovers(job) for job in one.jobs)


def _sweep(ground: Ground, one: Told) -> None:
    """Let the deadline of pods that nobody is left to delete pass, and sweep as the timer does.

    The deadline is moved, since nobody wants to wait for it; everything else is as it would be.
    """
    passed = {"metadata": {"annotations": {DEADLINE_ANNOTATION: str(int(time.time()) - 1)}}}
    for job in one.jobs:
        for pod in ground.pods(job):
            path = api.path_of("Pod", pod["metadata"]["name"], pod["metadata"]["namespace"])
            with suppress(api.ApiError):  # it may be gone by now
                api.request("PATCH", path, passed, "application/merge-patch+json")
    run((ci.DRIVER_COMMAND, "gc", "--settings", ground.folder / "settings", "--older-than", "0s"))
    with suppress(BedError):  # what is left then is counted
        wait_for("the end of what was swept", lambda: not any(ground.pods(job) for job in one.jobs), LEFT_AFTER)
