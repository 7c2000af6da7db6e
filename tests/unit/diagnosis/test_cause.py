"""A pod's status becomes the cause, in words for the one who can act. The statuses are as clusters write them."""

from __future__ import annotations

from typing import Any

import pytest

from executor.diagnosis import cause

RUNNING = {"running": {"startedAt": "2026-08-01T10:00:00Z"}}
CREATING = {"waiting": {"reason": "ContainerCreating"}}
DONE = {"terminated": {"exitCode": 0, "reason": "Completed"}}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


def terminated(code: int, reason: str = "Error", **more: Any) -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": reason, **more}}


def pod(states: dict[str, dict[str, Any]] | None = None, *, deleted: bool = False, **status: Any) -> dict[str, Any]:
    """A job pod whose containers have these states; `status` are further fields of the pod's own."""
    return {
        "metadata": {"name": "job", **({"deletionTimestamp": "2026-08-01T10:05:00Z"} if deleted else {})},
        "spec": {
            "containers": [
                {"name": "build", "resources": {"limits": {"memory": "4Gi"}}},
                {"name": "helper", "resources": {"limits": {"memory": "512Mi"}}},
            ]
        },
        "status": {
            "containerStatuses": [
                {"name": name, "image": f"registry.example.com/{name}:1", "state": state}
                for name, state in (states or {}).items()
            ],
            **status,
        },
    }


EVICTED: dict[str, Any] = {
    "phase": "Failed",
    "reason": "Evicted",
    "message": 'Usage of EmptyDir volume "builds" exceeds the limit "10Gi". ',
}
DEADLINE: dict[str, Any] = {
    "phase": "Failed",
    "reason": "DeadlineExceeded",
    "message": "Pod was active on the node longer than the specified deadline",
}
SHUTDOWN: dict[str, Any] = {
    "phase": "Failed",
    "reason": "Terminated",
    "message": "Pod was terminated in response to imminent node shutdown.",
}
DRAINED = [
    {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "EvictionByEvictionAPI",
        "message": "Eviction API: evicting",
    }
]
ALIVE: dict[str, Any] = {"build": RUNNING, "helper": RUNNING, "tools": DONE}
# While some container of the pod may still run, the pod's own reason is not there yet.
ENDED_BY_NODE = [
    {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "TerminationByKubelet",
        "message": 'Usage of EmptyDir volume "stages" exceeds the limit "1536Mi".',
    }
]


class TestLost:
    """Why a container that ran a script no longer does."""

    @pytest.mark.parametrize(
        ("status", "category", "evidence"),
        [
            (None, "pod_deleted", ""),
            # The pod's own reason comes before the container states, which are stale.
            (pod(ALIVE, **EVICTED), "disk_limit", 'EmptyDir volume "builds" exceeds the limit'),
            (pod({"build": terminated(137, "OOMKilled")}, **EVICTED), "disk_limit", "exceeds the limit"),
            (pod({"build": terminated(143)}, **DEADLINE), "deadline", "longer than the specified deadline"),
            (pod(ALIVE, **SHUTDOWN), "node_lost", "imminent node shutdown"),
            (
                pod(ALIVE, reason="NodeLost", message="Node n1 which was running pod job is unresponsive"),
                "node_lost",
                "n1",
            ),
            (pod({"build": terminated(137, "OOMKilled"), "helper": RUNNING}), "out_of_memory", "4Gi"),
            (pod({"build": terminated(137, "OOMKilled")}, deleted=True), "out_of_memory", "4Gi"),
            (pod({"build": terminated(143)}, deleted=True), "pod_deleted", ""),
            (pod(ALIVE, deleted=True, conditions=DRAINED), "drained", "EvictionByEvictionAPI"),
            (pod({"build": terminated(137), "helper": RUNNING}), "container_ended", "exit code 137, by signal 9"),
            (pod({"build": terminated(0, "Completed")}), "container_ended", "Completed, exit code 0"),
            (
                pod({"build": terminated(0, "Completed")}, conditions=ENDED_BY_NODE),
                "disk_limit",
                'volume "stages" exceeds',
            ),
            (pod({}), "container_ended", ""),
            (pod({}, containerStatuses=None), "container_ended", ""),
        ],
    )
    def test_the_cause_is_found_with_its_evidence(
        self, status: dict[str, Any] | None, category: str, evidence: str
    ) -> None:
        found = cause.of_lost_pod(status, "build")
        assert found.category == category
        assert evidence in found.why
        assert found.what.endswith(".")
        assert found.remedy
        assert found.final

    def test_memory_names_the_container_and_its_own_limit(self) -> None:
        found = cause.of_lost_pod(pod({"build": RUNNING, "helper": terminated(137, "OOMKilled")}), "helper")
        assert "The helper container used more memory" in found.what
        assert "512Mi" in found.why

    def test_another_containers_memory_is_not_blamed(self) -> None:
        found = cause.of_lost_pod(pod({"build": terminated(1), "helper": terminated(137, "OOMKilled")}), "build")
        assert found.category == "container_ended"

    def test_a_limit_that_nobody_set_is_called_unknown(self) -> None:
        status = pod({"build": terminated(137, "OOMKilled")})
        status["spec"]["containers"][0].pop("resources")
        assert "unknown" in cause.of_lost_pod(status, "build").why


PULL = 'failed to pull and unpack image "registry.example.com/build:1": not found'
AFFINITY = "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector. preemption: 0/2 nodes are "
SOME = "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) didn't match Pod's node affinity/selector. preemption: "
TAINTED = (
    "0/3 nodes are available: 1 node(s) had untolerated taint {tenant: b}, 2 node(s) didn't match Pod's node affinity"
)
MOST = "0/3 nodes are available: 2 node(s) didn't match Pod's node affinity/selector, 1 Insufficient memory."


def unscheduled(message: str) -> dict[str, Any]:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return pod(conditions=[{"type": "PodReadyToStartContainers", "status": "False"}, condition])


class TestWaiting:
    """Why a pod is not ready yet."""

    @pytest.mark.parametrize(
        ("status", "category", "evidence", "final"),
        [
            (pod({"build": waiting("ErrImagePull", PULL)}), "image_not_found", "ErrImagePull: failed to pull", False),
            (
                pod({"build": waiting("ImagePullBackOff", "Back-off")}),
                "image_failed",
                "ImagePullBackOff: Back-off",
                False,
            ),
            (pod({"tools": waiting("RegistryUnavailable", "x")}), "image_unreachable", "RegistryUnavailable", False),
            (pod({"helper": waiting("ErrImageNeverPull", "x")}), "image_not_found", "ErrImageNeverPull", True),
            (pod({"build": waiting("InvalidImageName", "x")}), "image_not_found", "InvalidImageName", True),
            (
                pod({"build": waiting("CreateContainerConfigError", 'secret "s" not found')}),
                "secret_missing",
                'secret "s" not found',
                False,
            ),
            (
                pod({"build": waiting("CreateContainerError", "x")}),
                "container_not_started",
                "CreateContainerError",
                False,
            ),
            (pod({"build": waiting("RunContainerError", "no sh")}), "container_not_started", "no sh", False),
            (pod({"build": terminated(127), "helper": RUNNING}), "container_ended", "exit code 127", True),
            (pod({"build": RUNNING, "helper": terminated(0, "Completed")}), "container_ended", "exit code 0", True),
            (
                pod({"build": RUNNING, "helper": RUNNING, "tools": terminated(1)}),
                "container_ended",
                "exit code 1",
                True,
            ),
            (
                pod({"tools": terminated(128, "StartError", message="no /bin/busybox")}),
                "container_ended",
                "no /bin/busybox",
                True,
            ),
            (pod({"build": CREATING}, **EVICTED), "disk_limit", "exceeds the limit", True),
            (pod({"build": CREATING}, deleted=True), "pod_deleted", "", True),
            (
                pod(reason="OutOfcpu", message="Node didn't have enough resource: cpu"),
                "unschedulable",
                "OutOfcpu",
                True,
            ),
            (pod(reason="NodeAffinity", message="x"), "unschedulable", "NodeAffinity", True),
            (unscheduled(AFFINITY), "no_matching_node", "2 node(s) didn't match", True),
            (unscheduled(SOME), "no_room", "1 Insufficient cpu", False),
            (unscheduled(MOST), "no_room", "1 Insufficient memory", False),
            (unscheduled(TAINTED), "untolerated_taint", "untolerated taint", False),
            (unscheduled(""), "unschedulable", "Unschedulable", False),
        ],
    )
    def test_what_holds_it_up_is_found_with_its_evidence(
        self, status: dict[str, Any], category: str, evidence: str, *, final: bool
    ) -> None:
        found = cause.of_waiting_pod(status)
        assert found is not None
        assert (found.category, found.final) == (category, final)
        assert evidence in found.why
        assert found.remedy

    @pytest.mark.parametrize(
        "status",
        [
            pod(),
            pod(containerStatuses=None),
            {"metadata": {"name": "job"}, "spec": {}},
            {"metadata": {"name": "job"}, "spec": {}, "status": None},
            pod({"build": CREATING, "helper": CREATING, "tools": CREATING}),
            pod(ALIVE),
            pod({"build": RUNNING, "helper": CREATING, "tools": RUNNING}),
            pod(conditions=[{"type": "PodScheduled", "status": "True"}]),
        ],
    )
    def test_nothing_holds_up_a_pod_that_is_on_its_way(self, status: dict[str, Any]) -> None:
        assert cause.of_waiting_pod(status) is None

    @pytest.mark.parametrize(
        "state",
        [waiting("ErrImagePull", PULL), waiting("CreateContainerConfigError", "no secret"), terminated(2)],
    )
    def test_a_layer_cache_that_does_not_start_is_no_reason_to_wait_or_fail(self, state: dict[str, Any]) -> None:
        assert cause.of_waiting_pod(pod({"cache-registry": state, **ALIVE})) is None

    @pytest.mark.parametrize(
        ("state", "category"),
        [
            (waiting("ErrImagePull", PULL), "image_not_found"),
            (terminated(128, "StartError", message="no /bin/busybox"), "container_ended"),
            (terminated(1), "container_ended"),
        ],
    )
    def test_one_that_brings_the_tools_is_needed(self, state: dict[str, Any], category: str) -> None:
        found = cause.of_waiting_pod(pod({"cache-registry": state, "build": RUNNING, "helper": RUNNING}))
        assert found is not None
        assert found.category == category

    def test_but_not_after_that(self) -> None:
        states = {"cache-registry": terminated(0, "Completed"), "build": RUNNING, "helper": RUNNING}
        assert cause.of_waiting_pod(pod(states)) is None

    def test_an_image_is_named_as_it_was_asked_for(self) -> None:
        found = cause.of_waiting_pod(pod({"helper": waiting("ErrImagePull", PULL)}))
        assert found is not None
        assert "The image of the helper container cannot be pulled: registry.example.com/helper:1" in found.what

    def test_who_can_act_differs_between_no_node_and_no_room(self) -> None:
        no_node, no_room = cause.of_waiting_pod(unscheduled(AFFINITY)), cause.of_waiting_pod(unscheduled(SOME))
        assert no_node is not None
        assert no_room is not None
        assert "label nodes" in no_node.remedy
        assert "when other jobs end" in no_room.remedy


def test_a_containers_state_is_found_by_name_or_empty() -> None:
    assert cause.container_state(pod(ALIVE), "helper") == RUNNING
    assert cause.container_state(pod(ALIVE), "absent") == {}
    assert cause.container_state({"metadata": {}}, "build") == {}


class TestServices:
    """Of `services:`; what the author wrote is theirs to mend."""

    def with_service(self, restarts: int, state: dict[str, Any], **more: Any) -> dict[str, Any]:
        status = {"name": "svc-0", "image": "db:1", "restartCount": restarts, "state": state, **more}
        found = pod(ALIVE, initContainerStatuses=[status])
        found["spec"]["initContainers"] = [{"name": "svc-0", "image": "registry.example.com/db:1"}]
        return found

    @pytest.mark.parametrize(("restarts", "state"), [(0, terminated(3)), (1, RUNNING)])
    def test_one_start_may_fail(self, restarts: int, state: dict[str, Any]) -> None:
        assert cause.of_waiting_pod(self.with_service(restarts, state)) is None

    @pytest.mark.parametrize(
        "state",
        [terminated(3, message="no password given\n"), waiting("CrashLoopBackOff"), waiting("RunContainerError")],
    )
    def test_one_that_ends_again_and_again_is_told_with_its_last_words(self, state: dict[str, Any]) -> None:
        ended = terminated(3, message="no password given\n")
        found = cause.of_waiting_pod(self.with_service(1, state, lastState=ended))
        assert found is not None
        assert (found.category, found.final, found.container) == ("service_failed", True, "svc-0")
        assert "db:1 ended again and again" in found.what
        assert found.why == "It ended with exit code 3 (Error). Its last words:\nno password given"

    @pytest.mark.parametrize(("restarts", "state"), [(0, terminated(3)), (1, RUNNING)])
    def test_one_that_ended_under_its_port_is_told(self, restarts: int, state: dict[str, Any]) -> None:
        status = self.with_service(restarts, state)
        found = cause.of_ended_service(status, "registry.example.com/db:1", "5432")
        assert found is not None
        assert (found.category, found.final, found.container) == ("service_failed", True, "svc-0")
        assert "5432" in found.what
        assert cause.of_ended_service(status, "other:1", "5432") is None

    def test_one_that_is_only_deaf_has_not_ended(self) -> None:
        status = self.with_service(0, RUNNING)
        assert cause.failed_services(status) == []
        assert cause.of_ended_service(status, "registry.example.com/db:1", "5432") is None

    def test_without_an_end_there_are_no_last_words(self) -> None:
        assert cause.last_words({"state": RUNNING}) == ""
        assert cause.last_words({"state": terminated(1)}) == "It ended with exit code 1 (Error)."
