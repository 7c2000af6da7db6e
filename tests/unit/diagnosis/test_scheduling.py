"""The scheduler's message and the pod's own requests become a cause, and whether waiting can help."""

from __future__ import annotations

from typing import Any

import pytest

from executor.diagnosis import scheduling

HOPELESS = " preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
NO_VICTIMS = " preemption: 0/2 nodes are available: 1 No preemption victims found for incoming pod, 1 Preemption is not"
ELSEWHERE = "1 node(s) didn't match Pod's node affinity/selector."


def pod(**requests: str) -> dict[str, Any]:
    wanted = {name.replace("_", "-"): text for name, text in requests.items()}
    sidecar = {"name": "s", "restartPolicy": "Always", "resources": {"requests": {"cpu": "500m"}}}
    return {
        "spec": {
            "initContainers": [sidecar, {"name": "i", "resources": {"requests": {"cpu": "9"}}}],
            "containers": [{"name": "build", "resources": {"requests": wanted}}, {"name": "helper"}],
        }
    }


@pytest.mark.parametrize(
    ("message", "category", "final"),
    [
        (
            "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector." + HOPELESS,
            "no_matching_node",
            True,
        ),
        ("0/2 nodes are available: 2 node(s) didn't match node selector.", "no_matching_node", True),
        (f"0/2 nodes are available: 1 Insufficient memory, {ELSEWHERE}{HOPELESS}", "too_large", True),
        (f"0/2 nodes are available: 1 Insufficient memory, {ELSEWHERE}{NO_VICTIMS}", "no_room", False),
        (
            (
                f"0/2 nodes are available: 1 Insufficient cpu, {ELSEWHERE} preemption: not eligible due to "
                "preemptionPolicy=Never."
            ),
            "no_room",
            False,
        ),
        (f"0/2 nodes are available: 1 Too many pods, {ELSEWHERE}{NO_VICTIMS}", "no_room", False),
        (
            f"0/2 nodes are available: 1 node(s) had untolerated taint {{team: x}}, {ELSEWHERE}",
            "untolerated_taint",
            False,
        ),
        (f"0/2 nodes are available: 1 node(s) had untolerated taint(s), {ELSEWHERE}", "untolerated_taint", False),
        (
            f"0/2 nodes are available: 1 node(s) had untolerated taint {{node.kubernetes.io/not-ready: }}, {ELSEWHERE}",
            "unschedulable",
            False,
        ),
        (f"0/2 nodes are available: 1 node(s) were unschedulable, {ELSEWHERE}", "unschedulable", False),
        ('0/2 nodes are available: persistentvolumeclaim "x" not found. not found', "volume_failed", False),
        ("0/2 nodes are available: 2 pod has unbound immediate PersistentVolumeClaims.", "volume_failed", False),
        ("no nodes available to schedule pods", "unschedulable", False),
        ("", "unschedulable", False),
    ],
)
def test_what_is_in_the_way_and_whether_waiting_helps(message: str, category: str, *, final: bool) -> None:
    found = scheduling.unscheduled(pod(cpu="2", memory="4Gi"), message)
    assert (found.category, found.final) == (category, final)
    assert message in found.why
    assert found.remedy


def test_what_the_pod_asks_for_is_told_with_its_sidecars() -> None:
    message = f"0/2 nodes are available: 1 Insufficient cpu, 1 Insufficient memory, {ELSEWHERE}{NO_VICTIMS}"
    found = scheduling.unscheduled(pod(cpu="2", memory="4Gi", ephemeral_storage="20Gi"), message)
    assert found.why.startswith("The job pod asks for cpu 2.5 and memory 4Gi. 0/2 nodes")


@pytest.mark.parametrize(
    ("message", "category", "missing"),
    [
        (
            "Node didn't have enough resource: cpu, requested: 1000, used: 800, capacity: 1500",
            "unschedulable",
            "0.3 of cpu",
        ),
        ("Node didn't have enough resource: cpu, requested: 4000, used: 0, capacity: 1500", "too_large", "2.5 of cpu"),
        (
            "Node didn't have enough resource: memory, requested: 2147483648, used: 1073741824, capacity: 2147483648",
            "unschedulable",
            "1Gi of memory",
        ),
    ],
)
def test_a_node_that_refuses_says_how_much_is_missing(message: str, category: str, missing: str) -> None:
    found = scheduling.of_kubelet("OutOfcpu", message)
    assert found.category == category
    assert found.why.startswith(f"{missing} are missing.")
