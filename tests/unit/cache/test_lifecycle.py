"""Old generations expire whole, and no rule may take what builds still read."""

from __future__ import annotations

from typing import Any

import pytest

from executor.cache import lifecycle
from executor.cache.generation import stagger
from tests.support.tenants import CACHE, tenant

TENANT = tenant(cache=CACHE | {"generation": "336h"}, runner={"longest_job": "3h"})
NEEDED = 28 + 1 + 2
FOLDER = "layer-cache/tenant-a/"


def rule(**fields: Any) -> dict[str, Any]:
    return {"ID": "theirs", "Status": "Enabled", "Filter": {"Prefix": ""}} | fields


def test_a_tenant_has_one_rule_for_its_own_prefix() -> None:
    (found,) = lifecycle.rules(TENANT, versioned=False)
    assert found == {
        "ID": "kaniko-driver-tenant-a",
        "Status": "Enabled",
        "Filter": {"Prefix": FOLDER},
        "Expiration": {"Days": NEEDED},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
    }


def test_old_versions_go_too_where_the_bucket_keeps_them() -> None:
    (found,) = lifecycle.rules(TENANT, versioned=True)
    assert found["NoncurrentVersionExpiration"] == {"NoncurrentDays": 1}


def test_other_rules_of_the_bucket_stay_and_an_older_one_of_ours_goes() -> None:
    own = lifecycle.rules(TENANT, versioned=False)
    theirs, old = rule(), rule(ID="kaniko-driver-tenant-a")
    assert lifecycle.merged([theirs, old], own) == [theirs, *own]


@pytest.mark.parametrize(
    "fields",
    [
        {"Expiration": {"Days": NEEDED - 1}},
        {"Expiration": {"Days": 7}, "Filter": {"Prefix": "layer-cache/"}},
        {"Expiration": {"Days": 7}, "Filter": {"Prefix": f"{FOLDER}protected/"}},
        {"Expiration": {"Days": 7}, "Filter": {"And": {"Prefix": "layer", "ObjectSizeGreaterThan": 9}}},
        {"Expiration": {"Days": 7}, "Filter": {}, "Prefix": "layer-cache"},
        {"Expiration": {"Date": "2027-01-01"}},
        {"Transitions": [{"Days": 1, "StorageClass": "GLACIER"}]},
    ],
)
def test_a_rule_that_takes_objects_of_a_live_generation_is_in_the_way(fields: dict[str, Any]) -> None:
    (line,) = lifecycle.conflicts(TENANT, [rule(**fields)])
    assert line.startswith("rule theirs on ")


@pytest.mark.parametrize(
    "fields",
    [
        {"Expiration": {"Days": NEEDED}},
        {"Expiration": {"Days": 1}, "Status": "Disabled"},
        {"Expiration": {"Days": 1}, "Filter": {"Prefix": "layer-cache/tenant-ab/"}},
        {"Expiration": {"Days": 1}, "Filter": {"Tag": {"Key": "a", "Value": "b"}}},
        {"Expiration": {"Days": 1}, "Filter": {"And": {"Prefix": "", "Tags": [{"Key": "a", "Value": "b"}]}}},
        {"Expiration": {"ExpiredObjectDeleteMarker": True}},
        {"Transitions": [{"Days": 1, "StorageClass": "STANDARD_IA"}]},
        {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}},
        {"ID": "kaniko-driver-tenant-a", "Expiration": {"Days": 1}, "Filter": {"Prefix": FOLDER}},
    ],
)
def test_other_rules_are_none_of_our_business(fields: dict[str, Any]) -> None:
    assert list(lifecycle.conflicts(TENANT, [rule(**fields)])) == []


@pytest.mark.parametrize(("days", "oldest"), [(0, -2), (1, -2), (3, -1), (13, -1)])
def test_a_generation_is_read_until_the_jobs_that_began_before_its_end_are_over(days: int, oldest: int) -> None:
    """`days` after a generation began, with two days of slack."""
    length = 14 * 86_400
    begins = 1500 * length - stagger("tenant-a", length)
    assert lifecycle.oldest_read(TENANT, begins + days * 86_400 + 1) - 1500 == oldest
