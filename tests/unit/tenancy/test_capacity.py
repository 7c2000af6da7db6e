"""The quota has room for the tenant's jobs as the driver makes them, and for no more."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, ClassVar

import pytest

from executor.settings.units import Bytes, Cpu
from executor.tenancy import capacity, sizes
from executor.tenancy.sample import largest, usual
from tests.support.tenants import CACHE, tenant


def amount(name: str, text: str) -> Decimal:
    return Cpu.parse(text).cores if name.endswith("cpu") else Decimal(Bytes.parse(text).count)


def container(cpu: str, *, sidecar: bool = False) -> dict[str, Any]:
    quantities = {"cpu": cpu, "memory": "1Mi", "ephemeral-storage": "1Mi"}
    always = {"restartPolicy": "Always"} if sidecar else {}
    return {"resources": {"requests": quantities, "limits": quantities}, **always}


def cpu_of(*containers: dict[str, Any], first: tuple[dict[str, Any], ...] = ()) -> str:
    pod = {"spec": {"containers": list(containers), "initContainers": list(first)}}
    return sizes.written(sizes.of_pod(pod, "requests"))["cpu"]


@pytest.mark.parametrize("cache", [CACHE, {"mode": "off"}])
@pytest.mark.parametrize(("jobs", "spare"), [(1, 0), (20, 2), (300, 7)])
def test_the_quota_is_the_job_pod_times_the_jobs(jobs: int, spare: int, cache: dict[str, Any]) -> None:
    settings = tenant(capacity={"jobs": jobs, "spare": spare}, cache=cache)
    pod = usual(settings)
    hard = capacity.quota(settings, pod)["hard"]
    for kind in ("requests", "limits"):
        for name in ("cpu", "memory", "ephemeral-storage"):
            one = sum(amount(name, container["resources"][kind][name]) for container in pod["spec"]["containers"])
            assert amount(name, hard[f"{kind}.{name}"]) == one * (jobs + spare), f"{kind}.{name}"
    assert hard["pods"] == str(jobs + spare)
    assert int(hard["count/secrets"]) > jobs + spare


def test_larger_jobs_make_a_larger_quota() -> None:
    def memory(limit: str) -> Decimal:
        settings = tenant(resources={"build": {"memory_limit": limit}}, capacity={"jobs": 10, "spare": 0})
        return amount("memory", capacity.quota(settings, usual(settings))["hard"]["limits.memory"])

    assert memory("6Gi") - memory("4Gi") == 10 * 2 * 2**30


class TestLimits:
    SETTINGS: ClassVar = tenant(cache=CACHE, resources={"build": {"cpu_limit": "3"}, "helper": {"memory_limit": "7Gi"}})
    LIMITS: ClassVar = {entry["type"]: entry for entry in capacity.limits(usual(SETTINGS), largest(SETTINGS))["limits"]}

    def test_no_container_may_be_larger_than_the_largest_of_the_job_pod(self) -> None:
        assert self.LIMITS["Container"]["max"] == {"cpu": "3", "memory": "7Gi", "ephemeral-storage": "20Gi"}

    def test_no_pod_may_be_larger_than_the_job_pod(self) -> None:
        containers = usual(self.SETTINGS)["spec"]["containers"]
        memory = sum(Bytes.parse(one["resources"]["limits"]["memory"]).count for one in containers)
        assert Bytes.parse(self.LIMITS["Pod"]["max"]["memory"]).count == memory

    def test_a_container_without_limits_gets_some(self) -> None:
        # Without them a quota on limits refuses it with words that help nobody.
        for key in ("default", "defaultRequest"):
            assert set(self.LIMITS["Container"][key]) == {"cpu", "memory", "ephemeral-storage"}


class TestSums:
    def test_containers_run_side_by_side(self) -> None:
        assert cpu_of(container("100m"), container("1500m")) == "1600m"

    def test_init_containers_run_before_and_count_only_when_larger(self) -> None:
        assert cpu_of(container("1"), first=(container("500m"),)) == "1"
        assert cpu_of(container("1"), first=(container("3"), container("2"))) == "3"

    def test_sidecars_run_beside_everything_that_follows(self) -> None:
        assert cpu_of(container("1"), first=(container("1", sidecar=True),)) == "2"
        assert cpu_of(container("1"), first=(container("1", sidecar=True), container("3"))) == "4"
        assert cpu_of(container("1"), first=(container("3"), container("1", sidecar=True))) == "3"

    @pytest.mark.parametrize("text", ["1", "1500m", "20"])
    def test_cpu_is_written_as_kubernetes_writes_it(self, text: str) -> None:
        assert cpu_of(container(text)) == text

    @pytest.mark.parametrize(("count", "text"), [(2**30, "1Gi"), (1536 * 2**20, "1536Mi"), (1000, "1000")])
    def test_bytes_are_written_without_loss(self, count: int, text: str) -> None:
        assert sizes.written({"memory": Decimal(count)}) == {"memory": text}
