"""The short form of `scripts/chaos`: a dozen faults meet real jobs, and each ends as it has to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from testbed.chaos.ground import prepared
from testbed.chaos.play import order, play
from testbed.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from testbed.chaos.ground import Ground
    from testbed.chaos.judge import Row

SEED = 1
LEFT_AFTER = 15.0
"""Seconds; the long form waits for a minute, and this one where something is left."""


@pytest.fixture
def ground(_bed: None, tmp_path: Path) -> Iterator[Ground]:
    """A coordinator and a runner of their own, whose driver reaches the API server through a proxy."""
    with prepared(tmp_path / "chaos", SEED, Progress()) as made:
        yield made


def test_jobs_under_faults_end_as_they_have_to_with_every_line_and_nothing_left(ground: Ground) -> None:
    rows: list[Row] = []
    play(ground, order(SEED, short=True), 300, rows.append, left_after=LEFT_AFTER)
    # On a machine with other work the five minutes are over before all dozen are told.
    assert len(rows) >= 5
    assert [row for row in rows if not row.good] == []
