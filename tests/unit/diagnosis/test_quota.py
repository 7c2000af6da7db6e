"""What a refusal says about a quota."""

from __future__ import annotations

import pytest

from executor.diagnosis.quota import of_refusal

FULL = (
    '403 pods "kaniko-job-7-bcdfgh" is forbidden: exceeded quota: kaniko-driver, requested: limits.cpu=3600m,pods=1, '
    "used: limits.cpu=7200m,pods=2, limited: limits.cpu=8,pods=2"
)


def test_quota_and_what_is_used_up_are_named() -> None:
    shortage = of_refusal(FULL)
    assert shortage is not None
    assert shortage.words == "quota kaniko-driver: used limits.cpu 7200m of 8, pods 2 of 2"
    assert not shortage.hopeless


@pytest.mark.parametrize(
    ("requested", "limited", "hopeless"),
    [
        ("pods=1", "pods=0", "pods 1 of 0"),
        ("limits.memory=4608Mi", "limits.memory=4Gi", "limits.memory 4608Mi of 4Gi"),
        ("limits.memory=4Gi", "limits.memory=4294967296", ""),
        ("limits.cpu=2500m", "limits.cpu=2", "limits.cpu 2500m of 2"),
        ("limits.cpu=2", "limits.cpu=2000m", ""),
        ("limits.memory=2e9", "limits.memory=1G", "limits.memory 2e9 of 1G"),
        ("limits.memory=1", "limits.memory=1500m", ""),
        ("limits.memory=strange", "limits.memory=1", ""),
        ("pods=1,limits.cpu=9", "pods=3,limits.cpu=8", "limits.cpu 9 of 8"),
    ],
)
def test_a_pod_that_no_empty_quota_has_room_for_is_hopeless(requested: str, limited: str, hopeless: str) -> None:
    shortage = of_refusal(f"exceeded quota: q, requested: {requested}, used: pods=0, limited: {limited}")
    assert shortage is not None
    assert shortage.hopeless == hopeless


def test_a_quota_that_was_not_counted_yet_is_one_to_wait_for() -> None:
    shortage = of_refusal('pods "job" is forbidden: status unknown for quota: q, resources: pods')
    assert shortage is not None
    assert shortage.words == "quota q: its use is not known yet"
    assert not shortage.hopeless


@pytest.mark.parametrize(
    "message",
    [
        'pods "job" is forbidden: failed quota: q: must specify limits.cpu for: build',
        'pods "job" is forbidden: violates PodSecurity "restricted:latest"',
        'User "u" cannot create resource "pods"',
        "",
    ],
)
def test_other_refusals_are_about_no_room(message: str) -> None:
    assert of_refusal(message) is None
