"""What a job may override moves the fence just as far, and no further."""

from __future__ import annotations

from typing import Any

from executor.tenancy import capacity, sample
from executor.tenancy.objects import render
from tests.support.tenants import CACHE, tenant

BUILD = {"build": {"memory_limit": "16Gi", "cpu_limit": "1"}}


def expressions(**tables: dict[str, Any]) -> str:
    policy = next(one for one in render(tenant(**tables)) if one["kind"] == "ValidatingAdmissionPolicy")
    return "\n".join(rule["expression"] for rule in policy["spec"]["validations"])


def test_an_open_gate_raises_the_highest_limit_and_a_low_one_lowers_nothing() -> None:
    assert 'quantity("4Gi")' in expressions()
    raised = expressions(overrides=BUILD)
    assert 'quantity("16Gi")' in raised
    assert 'c.resources.limits["cpu"]).isGreaterThan(quantity("2"))' in raised


def test_an_open_gate_makes_no_larger_quota() -> None:
    # It is counted in jobs of the usual size: a larger job takes the room of several.
    usual, gated = tenant(), tenant(overrides=BUILD)
    assert capacity.quota(usual, sample.usual(usual)) == capacity.quota(gated, sample.usual(gated))


def test_services_get_their_images_and_their_room_only_where_they_are_allowed() -> None:
    services = {"allowed": ["registry.example.com/db/*"], "most": 2}
    assert "registry\\\\.example\\\\.com/db/.*" in expressions(services=services)
    without, beside = tenant(), tenant(services=services)
    assert "initContainers" not in sample.usual(without)["spec"]
    sidecars = sample.usual(beside)["spec"]["initContainers"]
    assert [one["restartPolicy"] for one in sidecars] == ["Always", "Always"]
    hard = capacity.quota(beside, sample.usual(beside))["hard"]
    assert hard["limits.cpu"] != capacity.quota(without, sample.usual(without))["hard"]["limits.cpu"]


def test_a_token_for_aws_is_let_in_for_the_cache_registry_alone_and_only_where_keys_come_by_it() -> None:
    assert "cache-identity" not in expressions(cache=CACHE)
    role = {"credentials": "service-account", "role": "arn:aws:iam::1:role/r"}
    opened = expressions(cache=CACHE | role, pod={"service_account": "kaniko-build"})
    assert 's.serviceAccountToken.audience == "sts.amazonaws.com"' in opened
    assert 'c.name == "cache-registry" ||' in opened
    assert "cache-identity" not in expressions(cache=CACHE | role | {"mode": "off"})


def test_service_accounts_and_tolerations_that_jobs_may_wish_are_let_in() -> None:
    gates = {"service_accounts": ["deploy-.*"], "tolerations": ["spot=.*:NoSchedule"]}
    opened = expressions(overrides=gates)
    assert '.serviceAccountName.matches("^(?:deploy-.*)$")' in opened
    assert '.matches("^(?:spot=.*:NoSchedule)$")' in opened
