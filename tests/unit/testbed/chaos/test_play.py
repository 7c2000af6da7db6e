"""Leftovers are counted after a minute at the latest, and sooner only where nothing is left."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

import pytest

from testbed.chaos import play
from testbed.chaos.judge import Row
from testbed.chaos.stories import stories

if TYPE_CHECKING:
    from testbed.chaos.ground import Ground
    from testbed.coordinator_job import SubmittedJob


class Left:
    """A ground on which so many pods of each job are left."""

    def __init__(self, count: int) -> None:
        self.count = count

    def leftovers(self, _: object) -> int:
        return self.count


@pytest.mark.parametrize(
    ("seconds_ago", "left", "told"),
    [(5, 0, None), (20, 0, 0), (20, 1, None), (70, 0, 0), (70, 1, 1)],
)
def test_a_pod_that_goes_late_within_the_minute_is_no_leftover(seconds_ago: float, left: int, told: int | None) -> None:
    story = next(one for one in stories() if not one.swept)
    row = Row(fault="f", stage="s", injected=True, outcome_right=True, log_exact=True, explained=True, leftovers=0)
    one = play.Told(story, [cast("SubmittedJob", None)], time.monotonic() - seconds_ago, row)
    rows: list[Row] = []
    waiting = play._count(cast("Ground", Left(left)), [one], 15, rows.append)
    assert [found.leftovers for found in rows] == ([] if told is None else [told])
    assert waiting == ([one] if told is None else [])
