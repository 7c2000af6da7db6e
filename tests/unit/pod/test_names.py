"""Names fit where Kubernetes puts them, and never meet."""

from __future__ import annotations

import re

import pytest

from executor.pod import names

# k8s.io/apimachinery/pkg/util/validation.
DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")


@pytest.mark.parametrize("job", [0, 1, 10**9, 2**63 - 1])
def test_a_pods_name_is_a_dns_label_and_holds_the_jobs_number(job: int) -> None:
    name = names.pod_name(job)
    assert DNS_LABEL.fullmatch(name)
    assert f"-{job}-" in name


def test_no_two_attempts_of_a_job_share_a_name() -> None:
    assert len({names.pod_name(1) for _ in range(1000)}) == 1000
    assert len({names.attempt_id() for _ in range(1000)}) == 1000
    assert len({names.stage_id("get_sources") for _ in range(1000)}) == 1000


def test_an_attempt_is_a_label_value() -> None:
    assert LABEL_VALUE.fullmatch(names.attempt_id())


@pytest.mark.parametrize(
    "sub_stage",
    ["build_script", "step_release", "", ".", "..", "../../etc", "a/b", "step_ÄÖ$(reboot)", "x" * 500, "a\nb"],
)
def test_a_stage_is_one_plain_folder_name_whatever_the_sub_stage_is_called(sub_stage: str) -> None:
    stage = names.stage_id(sub_stage)
    assert re.fullmatch(r"[a-z0-9_-]{1,60}", stage)
