"""The stories of `scripts/chaos`: which there are, and that a seed decides their order."""

from __future__ import annotations

from itertools import islice

import pytest

from testbed.chaos.__main__ import table
from testbed.chaos.judge import Row
from testbed.chaos.play import order, spec
from testbed.chaos.stories import stories
from testbed.chaos.story import BEFORE, LATE, STAGES

ALL = stories()


def names(seed: int, count: int, *, short: bool = False) -> list[tuple[str, str]]:
    return [(story.fault, story.stage) for story in islice(order(seed, short=short), count)]


def test_each_story_is_told_once_a_round() -> None:
    told = [(story.fault, story.stage) for story in ALL]
    assert len(told) == len(set(told)) > 100
    assert sorted(names(3, len(told))) == sorted(told)


@pytest.mark.parametrize("fault", ["API server restarted", "API server cut for 30 s", "driver's process killed"])
def test_what_can_break_anywhere_breaks_in_every_stage(fault: str) -> None:
    assert {story.stage for story in ALL if story.fault == fault} == set(STAGES)


@pytest.mark.parametrize(
    "fault", ["pod deleted", "pod deleted at once", "pod evicted by a drain", "pod evicted at once"]
)
def test_pods_go_in_every_sub_stage(fault: str) -> None:
    told = {story.stage for story in ALL if story.fault == fault}
    assert told == set(STAGES) - {"config", "cleanup"} | set(BEFORE) | set(LATE)


def test_a_seed_decides_the_order() -> None:
    assert names(3, 200) == names(3, 200)
    assert names(3, 20) != names(4, 20)


def test_a_run_goes_on_behind_what_was_counted_before_it_ended() -> None:
    whole = list(islice(order(3, short=False), 2 * len(ALL)))
    good = {"injected": True, "outcome_right": True, "log_exact": True, "explained": True, "leftovers": 0}
    done = [Row(fault=one.fault, stage=one.stage, **good) for one in whole[:40]]  # type: ignore[arg-type]
    # What is counted last was told before: the first of them is told again.
    rest = list(islice(order(3, short=False, done=done[1:]), len(whole) - 39))
    assert [one.fault for one in rest] == [one.fault for one in (whole[0], *whole[40:])]


def test_the_short_form_is_short_and_of_every_kind() -> None:
    short = names(1, 1000, short=True)
    assert 8 <= len(short) <= 14
    faults = " ".join(fault for fault, _ in short)
    for kind in ("API server", "pod", "memory", "driver", "runner", "storm"):
        assert kind in faults


@pytest.mark.parametrize("story", ALL, ids=lambda story: f"{story.fault}-{story.stage}")
def test_a_story_has_a_job_that_can_be_judged(story: object) -> None:
    (one,) = [each for each in ALL if each is story]
    made = spec(one)
    assert one.ends
    assert "line $i" in made.script[0]
    assert "after $i" in made.after_script[0]


def test_the_table_adds_up_what_was_told_more_than_once() -> None:
    good = Row(fault="f", stage="s", injected=True, outcome_right=True, log_exact=True, explained=True, leftovers=0)
    bad = Row(fault="f", stage="s", injected=True, outcome_right=False, log_exact=True, explained=True, leftovers=2)
    (line,) = zip(*(column.cells for column in table([good, bad], markdown=False).columns), strict=True)
    assert line == ("f", "s", "2", "2", "1", "2", "2", "2")
