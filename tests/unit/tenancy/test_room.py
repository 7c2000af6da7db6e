"""How many jobs fit onto a tenant's nodes, and what is too small for one more."""

from __future__ import annotations

from typing import Any

import pytest

from executor.tenancy import sample
from executor.tenancy.room import Node, in_words, nodes_of
from tests.support.tenants import tenant

SETTINGS: dict[str, dict[str, Any]] = {
    "resources": {"build": {"cpu_request": "1", "cpu_limit": "2", "memory_request": "2Gi", "memory_limit": "4Gi"}},
}


def node(
    name: str = "node1", *, cpu: str = "8", memory: str = "32Gi", disk: str = "500Gi", **more: Any
) -> dict[str, Any]:
    """Make a node of tenant a."""
    return {
        "metadata": {"name": name, "labels": more.pop("labels", {"tenant": "a"})},
        "spec": more.pop("spec", {}),
        "status": {
            "allocatable": {"cpu": cpu, "memory": memory, "ephemeral-storage": disk, "pods": more.pop("pods", "110")},
            "conditions": [{"type": "Ready", "status": more.pop("ready", "True")}],
        },
    }


def pod(namespace: str = "other", *, cpu: str = "1", node: str = "node1", **status: Any) -> dict[str, Any]:
    """Make somebody's pod on a node."""
    return {
        "metadata": {"name": "x", "namespace": namespace},
        "spec": {"nodeName": node, "containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]},
        "status": status,
    }


def room(
    cluster: list[dict[str, Any]], pods: list[dict[str, Any]] | None = None, **tables: dict[str, Any]
) -> list[Node]:
    """Compute the room of a tenant."""
    made = tenant(**(SETTINGS | tables))
    return nodes_of(made, cluster, pods or [], sample.usual(made), jobs_namespace="tenant-a")


def test_the_issue_of_twenty_jobs_and_eight_cores() -> None:
    made = tenant(**SETTINGS)
    job = sample.usual(made)
    found = nodes_of(made, [node()], [], job, jobs_namespace="tenant-a")
    words = in_words(made, found, job)
    # 1.1 with the helper: 8 / 1.1 = 7.3.
    assert found[0].fits == 7
    assert words.startswith("20 jobs need 22.2-70 CPU, 43-91Gi memory, 210-440Gi disk; ")
    assert "node1 has 8 CPU, 32Gi, 500Gi disk free: 7 fit (cpu)" in words


@pytest.mark.parametrize(
    ("made", "bound"),
    [(node(cpu="64"), "memory"), (node(cpu="64", memory="1Ti", disk="40Gi"), "ephemeral-storage")],
)
def test_whatever_is_least_bounds(made: dict[str, Any], bound: str) -> None:
    (found,) = room([made])
    assert found.bound == bound


def test_places_for_pods_bound_too() -> None:
    (found,) = room([node(cpu="100", memory="1Ti", disk="10Ti", pods="12")], [pod(cpu="0")] * 10)
    assert (found.fits, found.bound) == (2, "pods")


def test_pods_of_others_take_room_and_jobs_and_ended_ones_do_not() -> None:
    (whole,) = room([node()])
    (same,) = room([node()], [pod("tenant-a", cpu="4"), pod(cpu="4", phase="Succeeded"), pod(cpu="4", node="node2")])
    (less,) = room([node()], [pod(cpu="4")])
    assert (whole.fits, same.fits, less.fits) == (7, 7, 3)


def test_nodes_of_others_do_not_count() -> None:
    assert room([node(labels={"tenant": "b"}), node(labels={})]) == []
    assert room([node()], pod={"node_selector": {"disk": "ssd"}}) == []
    assert len(room([node(labels={"tenant": "a", "disk": "ssd"})], pod={"node_selector": {"disk": "ssd"}})) == 1


@pytest.mark.parametrize(
    ("operator", "values", "matches"),
    [
        ("In", ["4", "5"], True),
        ("NotIn", ["5"], False),
        ("Exists", [], True),
        ("DoesNotExist", [], False),
        ("Gt", ["4"], True),
        ("Lt", ["5"], False),
    ],
)
def test_further_conditions_hold_as_the_scheduler_reads_them(
    operator: str, values: list[str], *, matches: bool
) -> None:
    conditions = {"node_requirements": [{"key": "size", "operator": operator, "values": values}]}
    assert bool(room([node(labels={"tenant": "a", "size": "5"})], pod=conditions)) == matches


@pytest.mark.parametrize(
    ("closed", "why"),
    [
        (node(spec={"unschedulable": True}), "cordoned"),
        (node(ready="Unknown"), "not ready"),
        (node(spec={"taints": [{"key": "gpu", "effect": "NoSchedule"}]}), "its taint gpu is not in nodes.tolerations"),
    ],
)
def test_a_node_that_takes_no_pods_has_no_room_and_says_why(closed: dict[str, Any], why: str) -> None:
    (found,) = room([closed])
    assert (found.fits, found.bound) == (0, why)


@pytest.mark.parametrize(
    "toleration",
    [
        {"key": "gpu", "operator": "Exists"},
        {"key": "gpu", "value": "x"},
        {"key": "gpu", "value": "x", "effect": "NoExecute"},
    ],
)
def test_a_taint_that_is_put_up_with_closes_nothing(toleration: dict[str, Any]) -> None:
    made = node(spec={"taints": [{"key": "gpu", "value": "x", "effect": "NoExecute"}]})
    (found,) = room([made], nodes={"labels": {"tenant": ["a"]}, "tolerations": [toleration]})
    assert found.fits == 7


@pytest.mark.parametrize(
    ("cpu", "memory", "small"), [("8", "16Gi", False), ("7910m", "15Gi", False), ("4", "64Gi", True)]
)
def test_small_nodes_are_known(cpu: str, memory: str, *, small: bool) -> None:
    (found,) = room([node(cpu=cpu, memory=memory)])
    assert found.small == small
