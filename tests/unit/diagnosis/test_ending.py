"""Whatever the cluster says of a pod's end has one category that never changes, and its words as evidence."""

from __future__ import annotations

from typing import Any

import pytest

from executor.diagnosis import ending


def condition(reason: str, message: str = "why", status: str = "True") -> dict[str, Any]:
    return {
        "status": {"conditions": [{"type": "DisruptionTarget", "status": status, "reason": reason, "message": message}]}
    }


@pytest.mark.parametrize(
    ("reason", "category"),
    [
        ("Evicted", "node_pressure"),
        ("DeadlineExceeded", "deadline"),
        *((reason, "preempted") for reason in ("Preempting", "Preempted")),
        *((reason, "node_lost") for reason in ("NodeLost", "NodeShutdown", "Terminated", "Shutdown")),
        *(
            (reason, "unschedulable")
            for reason in (
                *("NodeAffinity", "OutOfcpu", "OutOfmemory", "OutOfephemeral-storage", "OutOfpods"),
                *("UnexpectedAdmissionError", "Taints"),
            )
        ),
    ],
)
def test_what_the_pod_says_of_itself(reason: str, category: str) -> None:
    found = ending.of_pod({"status": {"reason": reason, "message": " why \n"}})
    assert found is not None
    assert (found.category, found.final) == (category, True)
    assert found.why.endswith("why")
    assert found.what
    assert found.remedy


@pytest.mark.parametrize(
    ("said", "category"),
    [
        (condition("TerminationByKubelet", "low on resource: memory"), "node_pressure"),
        (condition("TerminationByKubelet", "Pod was terminated in response to imminent node shutdown."), "node_lost"),
        (condition("PreemptionByScheduler"), "preempted"),
        (condition("EvictionByEvictionAPI"), "drained"),
        (condition("DeletionByTaintManager"), "node_lost"),
        (condition("DeletionByPodGC"), "node_lost"),
    ],
)
def test_what_the_cluster_marks_before_it_ends_a_pod(said: dict[str, Any], category: str) -> None:
    found = ending.of_pod(said)
    assert found is not None
    assert (found.category, found.final) == (category, True)
    assert said["status"]["conditions"][0]["message"] in found.why


@pytest.mark.parametrize(
    "said", [{}, {"status": {"reason": "Other"}}, condition("Other"), condition("DeletionByPodGC", status="False")]
)
def test_other_words_tell_no_cause(said: dict[str, Any]) -> None:
    assert ending.of_pod(said) is None


def test_a_deadline_is_told_in_seconds() -> None:
    found = ending.of_pod({"spec": {"activeDeadlineSeconds": 4200}, "status": {"reason": "DeadlineExceeded"}})
    assert found is not None
    assert found.why == "It may run for 4200 s. "


@pytest.mark.parametrize(
    ("reason", "message", "category"),
    [
        ("Evicted", "The node was low on resource: memory.", "node_pressure"),
        *((reason, "by default/big", "preempted") for reason in ("Preempted", "Preempting")),
        ("TaintManagerEviction", "Marking for deletion Pod a/b", "node_lost"),
        ("NodeNotReady", "Node is not ready", "node_lost"),
    ],
)
def test_events_tell_of_a_pod_that_is_gone(reason: str, message: str, category: str) -> None:
    others = [{"reason": "Started", "message": "Started container build"}]
    found = ending.of_events([*others, {"reason": reason, "message": message}])
    assert found is not None
    assert found.category == category
    assert message in found.why


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("Evicted", "Evicted by Eviction API"),
        ("TaintManagerEviction", "Cancelling deletion of Pod a/b"),
        ("Killing", "Stopping container build"),
    ],
)
def test_events_that_tell_no_end_are_passed_over(reason: str, message: str) -> None:
    assert ending.of_events([{"reason": reason, "message": message}]) is None
