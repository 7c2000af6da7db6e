"""What a tenant used, added up."""

from __future__ import annotations

import pytest

from executor.figures.totals import by_tenant, percentile, totals
from tests.support.operator_log import BEGIN, GIB, LIMITS, job
from tests.unit.figures.test_attempts import read

HOUR = 3600


def test_jobs_are_counted_by_how_they_ended() -> None:
    found = totals("t", read(job(1), job(2, code=1), job(3, code=2), job(4, failure={"kind": "X"}), job(5)[:3]))
    assert (found.jobs, found.succeeded, found.unfinished) == (5, 1, 1)
    assert found.failures == {"script_failed": 2, "x": 1}


def test_a_peak_is_shown_beside_the_limit_of_its_own_job() -> None:
    small, large = LIMITS | {"memory_limit_bytes": 1 * GIB}, LIMITS | {"memory_limit_bytes": 8 * GIB}
    found = totals(
        "t", read(job(1, limits=small, memory_bytes=GIB), job(2, limits=large, memory_bytes=2 * GIB), job(3))
    )
    peak = found.peaks["memory"]
    assert (peak.used, peak.limit, peak.job, peak.share_p95) == (2 * GIB, 8 * GIB, 2, 1.0)
    assert "disk" not in found.peaks


def test_a_node_counts_once_while_several_jobs_are_on_it() -> None:
    # Pods begin 0.2 s after their jobs.
    hour = HOUR - 2 + 0.2
    jobs = [
        job(1, at=BEGIN, build=hour),
        job(2, at=BEGIN + HOUR / 2, build=hour),
        job(3, at=BEGIN + 4 * HOUR, build=hour),
        job(4, at=BEGIN, build=hour, node="node-2"),
    ]
    found = totals("t", read(*jobs))
    assert found.node_hours == {"node-1": pytest.approx(2.5, abs=1e-6), "node-2": pytest.approx(1.0, abs=1e-6)}
    assert found.pod_hours == pytest.approx(4.0, abs=1e-6)


def test_the_hit_rate_is_of_layers_and_not_of_jobs() -> None:
    found = totals("t", read(job(1, cache_hits=9, cache_misses=0), job(2, cache_hits=0, cache_misses=3), job(3)))
    assert found.cache_hit_rate == 0.75
    traffic = totals("t", read(job(1, cache_read_bytes=GIB, cache_saved_ms=HOUR * 1000), job(2, cache_read_bytes=GIB)))
    assert (traffic.cache_read_bytes, traffic.cache_written_bytes, traffic.cache_saved_hours) == (2 * GIB, 0, 1.0)
    assert totals("t", read(job(1))).cache_hit_rate is None


def test_warm_pods_cost_what_was_kept_free_for_as_long_as_they_waited() -> None:
    found = totals("t", read(job(1, waited=HOUR), job(2, waited=HOUR // 2), job(3)))
    assert (found.jobs, found.succeeded, found.warm_jobs, found.warm_hours) == (3, 3, 2, 1.5)
    assert (found.warm_cpu_hours, found.warm_memory_gib_hours) == (1.5 * 1.5, 1.5 * 2)


@pytest.mark.parametrize(("percent", "value"), [(50, 3), (95, 5), (1, 1), (100, 5)])
def test_a_percentile_is_a_value_that_was_seen(percent: int, value: float) -> None:
    assert percentile([1, 2, 3, 4, 5], percent) == value


def test_of_nothing_there_is_nothing() -> None:
    found = totals("t", [])
    assert (found.jobs, found.start.median, found.peaks, found.node_hours) == (0, None, {}, {})


def test_tenants_are_told_apart() -> None:
    groups = by_tenant(read(job(1, tenant="b"), job(2, tenant="a"), job(3, tenant="b")))
    assert {name: [one.job for one in group] for name, group in groups.items()} == {"a": [2], "b": [1, 3]}
