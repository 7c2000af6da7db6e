"""The figures of `scripts/bench cache`: medians under the names that others read."""

from __future__ import annotations

from click.testing import CliRunner

from testbed.bench.cache import Build, cache, document, in_words


def builds(*seconds: float, requests: int = 0) -> list[Build]:
    return [Build(one, {"cache_requests": requests, "cpu_ms": round(one * 500)}) for one in seconds]


KINDS = {
    "no_cache": builds(10, 12, 11),
    "cold": builds(11, 12, 30, requests=40),
    "warm": builds(2, 3, 4, requests=9),
    "local_cache": builds(2.5, 2.5, 2.5),
}


def test_medians_stand_under_their_names() -> None:
    found = document(KINDS)
    assert (found["no_cache_seconds"], found["cold_seconds"], found["warm_seconds"]) == (11, 12, 3)
    assert found["local_cache_seconds"] == 2.5
    assert found["s3_requests"] == {"cold": 40, "warm": 9}
    assert found["cpu_seconds"] == {"no_cache": 5.5, "cold": 6.0, "warm": 1.5}


def test_people_read_ratios() -> None:
    text = in_words(document(KINDS))
    assert "1.09 of no cache, 40 requests" in text
    assert "4.0 times faster than cold" in text
    assert "warm is 1.20 of it" in text


def test_flags_are_a_line_each() -> None:
    cold = {"cold_seconds": 1.0, "cold_cpu_seconds": 0.9}
    rows = [{"flags": "--a", **cold, "warm_seconds": 0.5, "warm_cpu_seconds": 0.4, "memory_mb": 40}]
    assert in_words(rows).splitlines()[1].split() == ["--a", "1.0", "0.9", "0.5", "0.4", "40"]


def test_help_says_what_is_measured() -> None:
    assert "local directory" in CliRunner().invoke(cache, ["--help"]).output
