"""The summary says what is known, believes nothing that is impossible, and warns where a limit was near."""

from __future__ import annotations

from dataclasses import replace

import pytest

from executor.figures.words import size
from executor.job import Limits
from executor.pod.control import Exited, Used
from executor.stages.summary import summarize

MIB, GIB = 1 << 20, 1 << 30
LIMITS = Limits(memory=3 * GIB, disk=6 * GIB, builds=2 * GIB, cpu=2000)
ENDED = Exited(code=0, size=10, peak=812 * MIB, oom_kills=0, full=False)
USED = Used(cpu=41_300_000, programs=300 * MIB, disk=GIB * 6 // 5, builds=5 * MIB, hits=12, misses=1)
NOTHING = Used(cpu=None, programs=None, disk=None, builds=None, hits=None, misses=None)


def test_one_line_says_what_was_used_of_what_there_was() -> None:
    found = summarize(USED, ENDED, LIMITS, seconds=59)
    assert found is not None
    assert found.line == (
        "used memory 812 MiB of 3 GiB, CPU time 41.3 s, disk 1.2 GiB of 6 GiB, layer cache 12 hits and 1 miss"
    )
    assert found.details == (
        "memory: 812 MiB of 3 GiB at its peak, the cache of files included; programs themselves about 300 MiB",
        "CPU: 41.3 s in 59.0 s; 0.7 of 2 cores on average",
        "disk: 1.2 GiB of 6 GiB ephemeral storage, on top of the image",
        "/builds: 5 MiB of 2 GiB",
        "layer cache: 12 hits and 1 miss by Kaniko's own lines",
    )
    assert found.warnings == ()
    assert found.figures == {
        "memory_bytes": 812 * MIB,
        "programs_bytes": 300 * MIB,
        "cpu_ms": 41_300,
        "disk_bytes": GIB * 6 // 5,
        "builds_bytes": 5 * MIB,
        "cache_hits": 12,
        "cache_misses": 1,
    }


@pytest.mark.parametrize(
    ("used", "ended", "line"),
    [
        (None, ENDED, "used memory 812 MiB of 3 GiB"),
        (NOTHING, ENDED, "used memory 812 MiB of 3 GiB"),
        (replace(NOTHING, cpu=2_000_000), replace(ENDED, peak=0), "used CPU time 2.0 s"),
        (replace(NOTHING, hits=1, misses=0), None, "used layer cache 1 hit and 0 misses"),
    ],
)
def test_what_is_not_known_is_left_out(used: Used | None, ended: Exited | None, line: str) -> None:
    found = summarize(used, ended, LIMITS, seconds=5)
    assert found is not None
    assert found.line == line


@pytest.mark.parametrize("used", [None, NOTHING, replace(NOTHING, hits=0, misses=0), replace(NOTHING, builds=1)])
def test_nothing_is_said_where_nothing_is_known(used: Used | None) -> None:
    assert summarize(used, replace(ENDED, peak=0), LIMITS, seconds=5) is None


def test_a_forged_figure_is_no_more_than_its_limit() -> None:
    forged = Used(cpu=10**15, programs=10**15, disk=10**15, builds=10**15, hits=10**15, misses=10**15)
    found = summarize(forged, replace(ENDED, peak=10**15), LIMITS, seconds=9)
    assert found is not None
    assert found.figures == {
        "memory_bytes": LIMITS.memory,
        "programs_bytes": LIMITS.memory,
        "cpu_ms": 20_000,
        "disk_bytes": LIMITS.disk,
        "builds_bytes": LIMITS.builds,
        "cache_hits": 100_000,
        "cache_misses": 100_000,
    }


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"programs": 2800 * MIB}, "memory was near its limit: programs used 2.7 GiB of 3 GiB"),
        ({"disk": 5600 * MIB}, "disk was near its limit: 5.5 GiB of 6 GiB"),
        ({"builds": 1900 * MIB}, "/builds was near its limit: 1.9 GiB of 2 GiB"),
    ],
)
def test_a_limit_that_was_near_is_warned_of_with_its_setting(changes: dict[str, int], word: str) -> None:
    found = summarize(replace(USED, **changes), ENDED, LIMITS, seconds=9)
    assert found is not None
    (warning,) = found.warnings
    assert warning.startswith(word)
    assert "ask the operator of this runner to raise " in warning


def test_a_full_cache_of_files_is_no_danger() -> None:
    found = summarize(USED, replace(ENDED, peak=3 * GIB), LIMITS, seconds=9)
    assert found is not None
    assert found.warnings == ()


def test_without_limits_there_is_neither_a_warning_nor_a_comparison() -> None:
    found = summarize(USED, ENDED, Limits(), seconds=9)
    assert found is not None
    assert (found.warnings, found.line.split(",")[0]) == ((), "used memory 812 MiB")


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (812 * MIB, "812 MiB"),
        (10 * GIB, "10 GiB"),
    ],
)
def test_amounts_are_short(count: int, text: str) -> None:
    assert size(count) == text
