"""What is proposed never cuts into a peak that was seen."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from executor.figures.tuning import BUILDS, DISK, MEMORY, Proposal, proposals, usable
from tests.support.operator_log import GIB, LIMITS, MIB, job
from tests.unit.figures.test_attempts import read

if TYPE_CHECKING:
    from executor.figures.attempts import Attempt

NOW = {MEMORY: 4 * GIB, DISK: 20 * GIB, BUILDS: 10 * GIB}


def of(*peaks: dict[str, Any], now: dict[tuple[str, ...], int] = NOW, margin: float = 0.2) -> dict[Any, Proposal]:
    """Propose from twenty modest jobs and these."""
    modest: dict[str, Any] = {
        "memory_bytes": GIB,
        "programs_bytes": GIB // 2,
        "disk_bytes": 5 * GIB,
        "builds_bytes": GIB,
    }
    jobs = [job(number, **modest) for number in range(20)]
    jobs += [job(100 + number, **(modest | peak)) for number, peak in enumerate(peaks)]
    return {one.key: one for one in proposals(usable(read(*jobs)), now, margin=margin)}


def test_a_limit_far_above_the_peaks_comes_down_to_the_highest_and_the_margin() -> None:
    found = of({"memory_bytes": 2 * GIB, "disk_bytes": 10 * GIB})
    assert found[MEMORY].proposed == 2560 * MIB
    assert found[DISK].proposed == 12 * GIB
    assert found[BUILDS].proposed == 1280 * MIB
    assert "20 % more" in found[MEMORY].why


def test_memory_that_the_file_cache_filled_is_left_alone() -> None:
    found = of({"memory_bytes": 4 * GIB, "programs_bytes": GIB})
    assert not found[MEMORY].changes
    assert "cache of files" in found[MEMORY].why


def test_memory_that_filled_an_earlier_and_smaller_limit_is_left_alone_too() -> None:
    found = of({"memory_bytes": 4 * GIB, "limits": LIMITS}, now=NOW | {MEMORY: 8 * GIB})
    assert not found[MEMORY].changes


@pytest.mark.parametrize("sign", [{"oom_kills": 1}, {"programs_bytes": 4 * GIB - 1}], ids=["killed", "near"])
def test_memory_that_did_not_suffice_is_raised_by_half(sign: dict[str, int]) -> None:
    found = of(sign | {"memory_bytes": 4 * GIB})
    assert found[MEMORY].proposed == 6 * GIB


def test_disk_of_a_tenant_with_evictions_never_comes_down() -> None:
    assert not of({"failure": None}, {"code": 0})[DISK].why.startswith("1 pods")
    jobs = [job(number, memory_bytes=GIB, disk_bytes=GIB) for number in range(25)]
    evicted = read(*jobs)
    evicted[3].failure = "evicted"
    found = {one.key: one for one in proposals(evicted, NOW, margin=0.2)}
    assert not found[DISK].changes


def test_a_small_difference_is_no_change() -> None:
    assert not of({"memory_bytes": int(3.3 * GIB)})[MEMORY].changes


def test_jobs_with_limits_of_their_own_say_nothing() -> None:
    jobs = read(job(1, memory_bytes=5, wished=True), job(2), job(3, memory_bytes=5))
    assert [one.job for one in usable(jobs)] == [3]


def attempt(dice: random.Random) -> Attempt:
    """Make a job with any peaks and any limits."""
    limits = {name: dice.randint(1, 16) * GIB for name in LIMITS}
    used: dict[str, Any] = {
        name: dice.randint(0, 20 * GIB) for name in ("memory_bytes", "programs_bytes", "disk_bytes", "builds_bytes")
    }
    (made,) = read(job(dice.randint(1, 9), limits=limits, oom_kills=dice.choice([0, 0, 0, 1]), **used))
    return made


@pytest.mark.parametrize("seed", range(40))
def test_no_proposal_is_below_any_peak(seed: int) -> None:
    dice = random.Random(seed)
    jobs = [attempt(dice) for _ in range(dice.randint(20, 40))]
    now = {key: dice.randint(1, 24) * GIB for key in NOW}
    names = {MEMORY: "memory_bytes", DISK: "disk_bytes", BUILDS: "builds_bytes"}
    for one in proposals(jobs, now, margin=dice.choice([0, 0.2])):
        assert one.proposed >= max(each.figures[names[one.key]] for each in jobs)
