"""How long a pod is waited for, what is said meanwhile, and when it is given up."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, cast

import pytest

from executor.errors import ClusterUnreachable, OwnContainerFailed, PodNotStarted
from executor.journal import Journal
from executor.stages.joblog import JobLog
from executor.stages.waiting import Waiting
from tests.support.jobs import CREATING, DONE, RUNNING, make_job, pod_state

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from executor.cluster.api import Api


def pull(reason: str, message: str, container: str = "build") -> dict[str, Any]:
    return pod_state({"helper": CREATING, container: {"waiting": {"reason": reason, "message": message}}})


REFUSED = pull("ErrImagePull", "401 Unauthorized")
BACKS_OFF = pull("ImagePullBackOff", "Back-off pulling image: ErrImagePull: 401 Unauthorized")
# Before Kubernetes 1.31 the reason is not said again.
BACKS_OFF_SILENTLY = pull("ImagePullBackOff", "Back-off pulling image")
NO_ANSWER = pull("ErrImagePull", "dial tcp 10.0.0.1:443: i/o timeout")
SET_UP = [{"type": "PodReadyToStartContainers", "status": "True"}]
WAITS_FOR_BUILD = {"build": CREATING, "helper": RUNNING, "tools": DONE}
NO_LABEL = "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector."
TOO_LARGE = (
    "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 Preemption is not helpful."
)
FULL = "0/1 nodes are available: 1 Insufficient cpu."


def event(reason: str, message: str, *, second: int = 0, by: str = "cluster-autoscaler") -> dict[str, Any]:
    moment = f"2026-01-01T00:00:{second:02d}Z"
    return {"reason": reason, "message": message, "source": {"component": by}, "lastTimestamp": moment}


ADDS = event("TriggeredScaleUp", "pod triggered scale-up: [{pool-a 0->1 (max: 5)}]", second=1)
NO_LOGIN = event(
    "FailedToRetrieveImagePullSecret",
    "Unable to retrieve some image pull secrets (mirror); attempting to pull the image may not succeed.",
    by="kubelet",
)
DOES_NOT = event("NotTriggerScaleUp", "pod didn't trigger scale-up: 1 max node group size reached", second=2)


def without_a_node(message: str) -> dict[str, Any]:
    return pod_state(node="", conditions=[{"type": "PodScheduled", "status": "False", "message": message}])


class Patience:
    """A waiting driver whose clock the test moves."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.events: list[dict[str, Any]] = []
        self.no_events: ClusterUnreachable | None = None
        self._output = folder / "log"
        self._descriptor = os.open(self._output, os.O_WRONLY | os.O_CREAT, 0o600)
        monkeypatch.setattr("time.monotonic", lambda: self.now)

    def close(self) -> None:
        os.close(self._descriptor)

    def begin(self, *, waited: float = 0, **changes: Any) -> Waiting:
        log = JobLog(self._descriptor)
        # The test stands in for the API: all that is asked for is events.
        return Waiting(cast("Api", self), make_job(**changes), Journal(), log, since=self.now - waited)

    def events_of(self, _: str) -> list[dict[str, Any]]:
        if self.no_events is not None:
            raise self.no_events
        return self.events

    def look(self, waiting: Waiting, pod: dict[str, Any]) -> None:
        waiting.look_at(pod)
        waiting.look_closer(pod)

    def timed_out(self, waiting: Waiting, pod: dict[str, Any]) -> PodNotStarted:
        error = waiting.timed_out(pod)
        assert isinstance(error, PodNotStarted)
        return error

    @property
    def said(self) -> str:
        return self._output.read_text()


@pytest.fixture
def watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Patience]:
    made = Patience(tmp_path, monkeypatch)
    yield made
    made.close()


class TestBudgets:
    def test_time_spent_waiting_for_room_is_not_given_again_for_a_node(self, watch: Patience) -> None:
        assert watch.begin(waited=29, schedule_timeout=30).seconds_left() == 1

    def test_pulling_does_not_use_up_the_time_of_the_start(self, watch: Patience) -> None:
        waiting = watch.begin(start_timeout=60, pull_timeout=600)
        waiting.look_at(pod_state({}))
        watch.now += 10
        waiting.look_at(pod_state(WAITS_FOR_BUILD, conditions=SET_UP))
        watch.now += 500
        assert waiting.seconds_left() == 100
        waiting.look_at(pod_state({"build": RUNNING, "helper": RUNNING, "tools": RUNNING}, conditions=SET_UP))
        assert waiting.seconds_left() == 50

    def test_a_pod_that_is_not_set_up_yet_pulls_nothing(self, watch: Patience) -> None:
        waiting = watch.begin(start_timeout=60, pull_timeout=600)
        waiting.look_at(pod_state(WAITS_FOR_BUILD))
        assert waiting.seconds_left() == 60

    def test_no_watch_outlasts_a_budget_that_may_begin_during_it(self, watch: Patience) -> None:
        waiting = watch.begin(start_timeout=7, pull_timeout=9)
        assert waiting.seconds_to_watch(600) == 7

    def test_images_that_take_too_long_are_named_with_the_setting(self, watch: Patience) -> None:
        waiting = watch.begin(pull_timeout=30)
        pod = pod_state(WAITS_FOR_BUILD, conditions=SET_UP)
        waiting.look_at(pod)
        watch.now += 31
        assert waiting.seconds_left() < 0
        error = watch.timed_out(waiting, pod)
        assert "within 30 s (timeouts.pull of the tenant)" in error.what
        assert error.why == "Still to come: build:1."
        assert error.category == "image_slow"

    def test_a_long_pull_is_told_once(self, watch: Patience) -> None:
        waiting = watch.begin(pull_timeout=600)
        pod = pod_state(WAITS_FOR_BUILD, conditions=SET_UP, startTime="2026-01-01T00:00:00Z")
        for _ in range(4):
            watch.look(waiting, pod)
            watch.now += 100
        assert watch.said == "kaniko-driver: waiting: The node pulls images.\n    Still to come: build:1\n"


class TestImages:
    @pytest.mark.parametrize("backs_off", [BACKS_OFF, BACKS_OFF_SILENTLY])
    def test_a_registrys_second_answer_counts(self, watch: Patience, backs_off: dict[str, Any]) -> None:
        waiting = watch.begin()
        waiting.look_at(REFUSED)
        watch.now += 1
        waiting.look_at(backs_off)
        watch.now += 12
        with pytest.raises(PodNotStarted) as failed:
            waiting.look_at(REFUSED)
        assert failed.value.category == "image_denied"

    def test_a_node_that_takes_its_time_before_it_asks_again_is_waited_for(self, watch: Patience) -> None:
        waiting = watch.begin()
        for state in (REFUSED, BACKS_OFF, BACKS_OFF):
            waiting.look_at(state)
            watch.now += 14
        waiting.look_at(pod_state({"build": RUNNING, "helper": RUNNING}))
        assert watch.said.count("waiting:") == 1

    def test_a_second_answer_that_was_missed_ends_the_wait_too(self, watch: Patience) -> None:
        waiting = watch.begin()
        waiting.look_at(REFUSED)
        watch.now += 31
        with pytest.raises(PodNotStarted):
            waiting.look_at(BACKS_OFF)

    def test_the_answer_about_another_container_is_its_first(self, watch: Patience) -> None:
        waiting = watch.begin()
        waiting.look_at(BACKS_OFF)
        waiting.look_at(pull("ErrImagePull", "not found", container="tools"))
        assert watch.said.count("waiting:") == 2

    @pytest.mark.parametrize(
        "between",
        [{"build": RUNNING, "helper": CREATING}, {"helper": {"waiting": {"reason": "CreateContainerConfigError"}}}],
    )
    def test_an_image_that_came_after_all_begins_anew_when_it_fails_again(
        self, watch: Patience, between: dict[str, Any]
    ) -> None:
        waiting = watch.begin()
        waiting.look_at(BACKS_OFF)
        watch.now += 29
        waiting.look_at(pod_state(between))
        watch.now += 29
        waiting.look_at(REFUSED)
        waiting.look_at(BACKS_OFF)
        with pytest.raises(PodNotStarted):
            waiting.look_at(REFUSED)

    @pytest.mark.parametrize("backs_off", [pull("ImagePullBackOff", "i/o timeout"), BACKS_OFF_SILENTLY])
    def test_a_registry_that_does_not_answer_has_two_minutes(self, watch: Patience, backs_off: dict[str, Any]) -> None:
        waiting = watch.begin()
        for state in (NO_ANSWER, backs_off, NO_ANSWER, backs_off):
            waiting.look_at(state)
            watch.now += 40
        with pytest.raises(PodNotStarted) as failed:
            waiting.look_at(backs_off)
        assert failed.value.category == "image_unreachable"
        assert "i/o timeout" in failed.value.why

    def refused_twice(self, watch: Patience) -> PodNotStarted:
        waiting = watch.begin(authors_image=True)
        for state in (REFUSED, BACKS_OFF):
            waiting.look_at(state)
        with pytest.raises(PodNotStarted) as failed:
            waiting.look_at(REFUSED)
        return failed.value

    def test_a_login_that_the_node_cannot_read_is_the_operators_to_mend(self, watch: Patience) -> None:
        watch.events = [NO_LOGIN | {"count": 3}]
        error = self.refused_twice(watch)
        assert error.category == "secret_missing"
        assert "Unable to retrieve some image pull secrets (mirror)" in error.why
        assert "401 Unauthorized" in error.why
        assert not isinstance(error, OwnContainerFailed)

    def test_one_that_it_read_for_the_second_try_was_refused(self, watch: Patience) -> None:
        watch.events = [NO_LOGIN | {"count": 1}]
        error = self.refused_twice(watch)
        assert error.category == "image_denied"
        assert isinstance(error, OwnContainerFailed)

    def test_a_refusal_is_told_also_where_events_cannot_be_read(self, watch: Patience) -> None:
        watch.no_events = ClusterUnreachable("The API server does not answer.")
        assert self.refused_twice(watch).category == "image_denied"


class TestNewNodes:
    @pytest.mark.parametrize("message", [NO_LABEL, TOO_LARGE])
    def test_without_the_setting_the_job_fails_at_once_and_names_it(self, watch: Patience, message: str) -> None:
        with pytest.raises(PodNotStarted) as failed:
            watch.begin().look_at(without_a_node(message))
        assert "timeouts.new_node" in failed.value.remedy

    @pytest.mark.parametrize("message", [NO_LABEL, TOO_LARGE])
    def test_a_node_that_comes_in_time_ends_the_wait(self, watch: Patience, message: str) -> None:
        waiting = watch.begin(new_node_timeout=60, schedule_timeout=600)
        watch.look(waiting, without_a_node(message))
        watch.now += 59
        watch.look(waiting, without_a_node(message))
        watch.look(waiting, pod_state({}))
        assert waiting.seconds_left() == 30

    def test_none_in_time_is_told_with_the_setting(self, watch: Patience) -> None:
        waiting = watch.begin(new_node_timeout=60, schedule_timeout=600)
        watch.look(waiting, without_a_node(NO_LABEL))
        assert waiting.seconds_to_watch(600) == 20
        watch.now += 50
        assert waiting.seconds_to_watch(600) == 10
        watch.now += 11
        with pytest.raises(PodNotStarted) as failed:
            waiting.look_at(without_a_node(NO_LABEL))
        assert failed.value.category == "no_matching_node"
        assert "within 60 s (timeouts.new_node of the tenant)" in failed.value.why

    def test_an_autoscaler_that_says_it_adds_one_is_believed(self, watch: Patience) -> None:
        waiting = watch.begin(new_node_timeout=60, schedule_timeout=600)
        watch.events = [ADDS]
        watch.look(waiting, without_a_node(NO_LABEL))
        watch.now += 500
        watch.look(waiting, without_a_node(NO_LABEL))
        assert watch.said.count("waiting: A node is being added for the job pod.") == 1
        assert "cluster-autoscaler: TriggeredScaleUp: pod triggered scale-up: [{pool-a 0->1 (max: 5)}]" in watch.said

    def test_the_autoscalers_newest_word_counts_and_stands_in_the_failure(self, watch: Patience) -> None:
        waiting = watch.begin(new_node_timeout=60, schedule_timeout=600)
        watch.events = [DOES_NOT, ADDS]
        watch.look(waiting, without_a_node(NO_LABEL))
        watch.now += 61
        with pytest.raises(PodNotStarted) as failed:
            waiting.look_at(without_a_node(NO_LABEL))
        assert "1 max node group size reached" in failed.value.why

    def test_a_job_that_found_no_room_in_time_hears_what_the_autoscaler_said(self, watch: Patience) -> None:
        waiting = watch.begin(schedule_timeout=60)
        watch.events = [DOES_NOT]
        watch.look(waiting, without_a_node(FULL))
        error = watch.timed_out(waiting, without_a_node(FULL))
        assert error.category == "no_room"
        assert "No node is added for the job pod." in error.why

    def test_karpenters_words_are_known(self, watch: Patience) -> None:
        waiting = watch.begin(new_node_timeout=60, schedule_timeout=600)
        watch.events = [
            event("FailedScheduling", NO_LABEL, second=9, by="default-scheduler"),
            event("Nominated", "Pod should schedule on: nodeclaim/a", second=5, by="karpenter"),
            event("FailedScheduling", "incompatible with nodepool", second=3, by="karpenter"),
        ]
        watch.look(waiting, without_a_node(NO_LABEL))
        watch.now += 100
        watch.look(waiting, without_a_node(NO_LABEL))
        assert "karpenter: Nominated: Pod should schedule on: nodeclaim/a" in watch.said
