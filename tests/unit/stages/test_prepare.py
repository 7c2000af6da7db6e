"""prepare: a pod that becomes ready, or an explanation and nothing left behind."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

import pytest

from executor.errors import (
    Cancelled,
    ClusterRefused,
    ClusterUnreachable,
    OwnContainerFailed,
    PodNotStarted,
    PodRejected,
    RunnerGone,
)
from executor.journal import Journal
from executor.stages import prepare as stage
from executor.stages import waiting as patience
from executor.stages.joblog import JobLog
from tests.support.jobs import CREATING, DONE, POD, PODS, READY, RUNNING, make_job, pod_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from executor.job import Connection, Job
    from tests.support.api_server import ApiServer, Exchange

SERVICE = {"name": "svc-0", "image": "postgres:16"}
UNSCHEDULED = [
    {"type": "PodScheduled", "status": "False", "message": "0/2 nodes are available: 2 Insufficient cpu."},
]
PULLING = {"build": {"waiting": {"reason": "ErrImagePull", "message": "not found"}}, "helper": CREATING}
BACKS_OFF = {"build": {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}, "helper": CREATING}


class Cluster:
    """A pod's life, told in states; the next one is sent when a watch asks for it."""

    def __init__(self, server: ApiServer) -> None:
        self.server = server
        self.states: list[dict[str, Any]] = []
        self.seen = pod_state(node="")
        self.secrets: list[dict[str, Any]] = []
        self.refuses_secrets = False
        self.patches: list[dict[str, Any]] = []
        self.created = False
        self.deleted = False
        self.on_create: Callable[[Exchange], None] | None = None
        self.on_watch: Callable[[Exchange], None] | None = None
        self.on_events: Callable[[Exchange], None] | None = None
        server.answers = [self.answer]

    def answer(self, exchange: Exchange) -> None:
        if exchange.path.endswith("/secrets"):
            self.secrets.append(exchange.body)
            exchange.refuse(403, "no right", "Forbidden") if self.refuses_secrets else exchange.json(201, {})
        elif exchange.method == "PATCH":
            self.patches.append(exchange.body)
            exchange.json(200, self.seen)
        elif exchange.method == "POST":
            if self.on_create is not None:
                self.on_create(exchange)
            else:
                self.created = True
                exchange.json(201, self.seen)
        elif exchange.method == "DELETE":
            self.deleted = True
            exchange.json(200, {})
        elif exchange.path.endswith("/events") and self.on_events is not None:
            self.on_events(exchange)
        elif exchange.path.endswith("/events"):
            exchange.json(200, {"items": [{"type": "Warning", "reason": "FailedMount", "message": "no disk"}, {}]})
        elif ("watch", "true") not in exchange.query:
            exchange.json(200, self.seen) if self.created and not self.deleted else exchange.refuse(404, "no pod")
        elif self.on_watch is not None:
            answer, self.on_watch = self.on_watch, None
            answer(exchange)
        else:
            self.watch(exchange)

    def watch(self, exchange: Exchange) -> None:
        exchange.start_lines()
        while self.states:
            self.seen = self.states.pop(0)
            exchange.line({"type": "MODIFIED", "object": self.seen})
        # As the server does: silence until the time that was asked for is over.
        exchange.closing.wait(float(dict(exchange.query)["timeoutSeconds"]))
        exchange.end_lines()


@pytest.fixture
def cluster(server: ApiServer) -> Cluster:
    return Cluster(server)


class Stage:
    """One call of prepare, with what it says and leaves."""

    def __init__(self, folder: Path, connection: Connection) -> None:
        self.connection = connection
        self.intent = folder / "creating"
        self.services_file = folder / "services"
        self.journal = folder / "journal"
        self.output = folder / "log"
        self.descriptor = os.open(self.output, os.O_WRONLY | os.O_CREAT, 0o600)
        self.log = JobLog(self.descriptor)
        self.rewritten: list[Job] = []

    def close(self) -> None:
        os.close(self.descriptor)

    def run(self, **changes: Any) -> int:
        job: Job = make_job(self.connection, **changes)
        return stage.prepare(
            job,
            Journal(str(self.journal)),
            self.log,
            intent=str(self.intent),
            services_file=str(self.services_file),
            rewrite=self.rewritten.append,
        )

    @property
    def said(self) -> str:
        return self.output.read_text()

    @property
    def events(self) -> list[str]:
        return [json.loads(line)["event"] for line in self.journal.read_text().splitlines()]


@pytest.fixture
def prepare(tmp_path: Path, connection: Connection, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setattr(stage, "_BETWEEN_WATCHES", 0.0)
    made = Stage(tmp_path, connection)
    yield made
    made.close()


def test_a_pod_is_created_and_awaited_and_its_place_is_said(prepare: Stage, cluster: Cluster) -> None:
    cluster.states = [
        pod_state({}, version=2),
        pod_state({"build": CREATING, "helper": CREATING, "tools": CREATING}, version=3),
        pod_state({"build": RUNNING, "helper": RUNNING, "tools": RUNNING}, version=4),
        pod_state(READY, version=5),
    ]
    assert prepare.run() == 0
    assert f"kaniko-driver: pod tenant-a/{POD} is ready on node node1 after" in prepare.said
    assert prepare.events == ["pod created", "pod scheduled", "pod ready"]
    assert not prepare.intent.exists()
    assert not cluster.deleted
    assert cluster.server.requests() == [f"POST {PODS}", f"GET {PODS}"]


def test_notes_of_config_are_said_first(prepare: Stage, cluster: Cluster) -> None:
    cluster.seen = pod_state(READY)
    prepare.run(notes=("using a in place of b",))
    assert prepare.said.startswith("kaniko-driver: using a in place of b\n")


def test_a_layer_cache_that_is_not_up_yet_holds_nothing_up(prepare: Stage, cluster: Cluster) -> None:
    cluster.seen = pod_state({**READY, "cache-registry": CREATING})
    assert prepare.run() == 0


def test_why_it_waits_is_said_once_and_on_change(prepare: Stage, cluster: Cluster) -> None:
    waiting = pod_state(node="", conditions=UNSCHEDULED)
    cluster.states = [waiting, waiting, waiting, pod_state(PULLING), pod_state(PULLING), pod_state(READY)]
    assert prepare.run() == 0
    assert prepare.said.count("waiting: No node of the tenant has room for the job pod now.") == 1
    assert prepare.said.count("waiting: The image of the build container cannot be pulled") == 1
    assert "2 Insufficient cpu" in prepare.said
    # Figures of how long jobs wait begin here.
    assert prepare.events.count("pod scheduled") == 1


def test_a_node_that_does_not_take_the_pod_is_lost_and_the_pod_goes_without_it(
    prepare: Stage, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "_FIRST_LOOK", 0.5)
    # The server of this test ends no watch by itself.
    monkeypatch.setattr("executor.stages.probe._WATCH_SLACK_SECONDS", 0.1)
    cluster.states = [pod_state({})]
    with pytest.raises(PodNotStarted, match="does not answer") as failed:
        prepare.run(start_timeout=600)
    assert failed.value.category == "node_lost"
    assert "node1" in failed.value.why
    (delete,) = [exchange for exchange in cluster.server.exchanges if exchange.method == "DELETE"]
    assert delete.body == {"gracePeriodSeconds": 0}


def test_a_slow_start_on_a_node_that_took_the_pod_is_waited_for(
    prepare: Stage, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "_FIRST_LOOK", 0.2)
    cluster.states = [pod_state({}, startTime="2026-01-01T00:00:00Z")]
    with pytest.raises(PodNotStarted, match="A volume of the job pod cannot be mounted"):
        prepare.run(start_timeout=3)


EVENTS = [
    {"type": "Warning", "reason": "Failed", "message": "Error: ErrImagePull", "lastTimestamp": "2026-01-01T00:00:02Z"},
    {"type": "Normal", "reason": "Scheduled", "message": "Successfully", "eventTime": "2026-01-01T00:00:01.5Z"},
]
LISTED = (
    "  Type     Reason      Message\n  Normal   Scheduled   Successfully\n  Warning   Failed   Error: ErrImagePull\n"
)


def test_events_are_listed_in_their_order_where_the_job_asks_for_them(prepare: Stage, cluster: Cluster) -> None:
    cluster.on_events = lambda exchange: exchange.json(200, {"items": EVENTS})
    cluster.states = [pod_state(READY)]
    assert prepare.run(print_events=True) == 0
    assert f"events of the pod (FF_PRINT_POD_EVENTS):\n{LISTED}" in prepare.said


def test_events_are_listed_also_where_the_pod_does_not_start(prepare: Stage, cluster: Cluster) -> None:
    cluster.on_events = lambda exchange: exchange.json(200, {"items": EVENTS})
    cluster.states = [pod_state({}, reason="Evicted", message="DiskPressure")]
    with pytest.raises(PodNotStarted):
        prepare.run(print_events=True)
    assert LISTED in prepare.said


def test_events_that_cannot_be_read_are_no_failure(prepare: Stage, cluster: Cluster) -> None:
    cluster.on_events = lambda exchange: exchange.refuse(403, "no right", "Forbidden")
    cluster.states = [pod_state(READY)]
    assert prepare.run(print_events=True) == 0
    assert "the events of the pod cannot be read" in prepare.journal.read_text()


def test_an_image_that_stays_away_ends_the_wait(prepare: Stage, cluster: Cluster) -> None:
    cluster.states = [pod_state(PULLING), pod_state(BACKS_OFF), pod_state(PULLING)]
    with pytest.raises(PodNotStarted, match="The image of the build container") as failed:
        prepare.run()
    assert "ErrImagePull: not found" in failed.value.why
    assert cluster.deleted


def test_an_image_that_cannot_be_pulled_is_tried_with_the_next_policy_in_another_pod(
    prepare: Stage, cluster: Cluster
) -> None:
    made: list[dict[str, Any]] = []

    def create(exchange: Exchange) -> None:
        made.append(exchange.body)
        cluster.created, cluster.deleted = True, False
        if len(made) == 3:
            cluster.states = [pod_state(READY)]
        else:
            cluster.states = [pod_state(PULLING)]
        exchange.json(201, cluster.seen)

    cluster.on_create = create
    build = {"name": "build", "image": "tools:1", "imagePullPolicy": "Always"}
    manifest = {"metadata": {"name": POD}, "spec": {"containers": [build], "volumes": [{"secretName": f"{POD}-pull"}]}}
    policies = {"build": ["IfNotPresent", "Never"], "svc-0": ["Never"]}
    secret = {"metadata": {"name": f"{POD}-pull"}}
    assert prepare.run(manifest=manifest, secrets=(secret,), pull_policies=policies) == 0
    pods = [one["metadata"]["name"] for one in made]
    assert len(set(pods)) == 3
    assert [one["spec"]["containers"][0]["imagePullPolicy"] for one in made] == ["Always", "IfNotPresent", "Never"]
    assert [one["spec"]["volumes"][0]["secretName"] for one in made] == [f"{pod}-pull" for pod in pods]
    assert [one["metadata"]["name"] for one in cluster.secrets] == [f"{pod}-pull" for pod in pods]
    deleted = [one.path for one in cluster.server.exchanges if one.method == "DELETE"]
    assert deleted == [f"{PODS}/{pod}" for pod in pods[:2]]
    assert [(job.pod, job.pull_policies) for job in prepare.rewritten] == [
        (pods[1], {"build": ["Never"], "svc-0": ["Never"]}),
        (pods[2], {"svc-0": ["Never"]}),
    ]
    assert "trying the pull policy IfNotPresent in another pod, since it failed with Always: The image" in prepare.said
    assert "ErrImagePull: not found" in prepare.said


def test_the_last_policy_that_fails_fails_the_job(prepare: Stage, cluster: Cluster) -> None:
    def create(exchange: Exchange) -> None:
        cluster.created, cluster.deleted = True, False
        cluster.states = [pod_state(PULLING), pod_state(BACKS_OFF), pod_state(PULLING)]
        exchange.json(201, cluster.seen)

    cluster.on_create = create
    build = {"name": "build", "image": "tools:1", "imagePullPolicy": "Always"}
    with pytest.raises(PodNotStarted, match="The image of the build container"):
        prepare.run(
            manifest={"metadata": {"name": POD}, "spec": {"containers": [build]}},
            pull_policies={"build": ["IfNotPresent"]},
        )
    assert cluster.deleted
    assert len(prepare.rewritten) == 1


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (
            pod_state({"build": {"terminated": {"exitCode": 127}}, "helper": RUNNING}),
            "The build container ended before",
        ),
        (pod_state({}, reason="Evicted", message="DiskPressure"), "evicted"),
        (pod_state({"tools": {"waiting": {"reason": "InvalidImageName"}}}), "The image of the tools container"),
    ],
)
def test_what_can_never_start_ends_the_wait_at_once(
    prepare: Stage, cluster: Cluster, state: dict[str, Any], words: str
) -> None:
    cluster.states = [state]
    with pytest.raises(PodNotStarted, match=words):
        prepare.run()
    assert cluster.deleted


def test_a_pod_that_vanishes_ends_the_wait(prepare: Stage, cluster: Cluster) -> None:
    def vanish(exchange: Exchange) -> None:
        cluster.created = False
        exchange.start_lines()
        exchange.end_lines()

    cluster.on_watch = vanish
    with pytest.raises(PodNotStarted, match="deleted"):
        prepare.run()


@pytest.mark.parametrize(
    "fault",
    [
        lambda exchange: exchange.refuse(410, "too old", "Expired"),
        lambda exchange: exchange.refuse(429, "too many requests", "TooManyRequests"),
        lambda exchange: exchange.refuse(503, "apiserver is shutting down", "ServiceUnavailable"),
        lambda exchange: exchange.reset(),
        lambda exchange: exchange.raw(200, b"{"),
        lambda exchange: exchange.raw(200, b""),
    ],
    ids=["expired", "too many", "restarting", "reset", "garbage", "empty"],
)
def test_a_watch_that_fails_is_begun_again_from_the_pod_as_it_is(
    prepare: Stage, cluster: Cluster, fault: Callable[[Exchange], None]
) -> None:
    cluster.on_watch = fault
    cluster.states = [pod_state(READY)]
    assert prepare.run() == 0
    assert cluster.server.requests() == [f"POST {PODS}", f"GET {PODS}", f"GET {PODS}/{POD}", f"GET {PODS}"]


def test_a_watch_that_never_lasts_is_not_begun_again_without_a_pause(
    prepare: Stage, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "_BETWEEN_WATCHES", 0.3)

    def fail(exchange: Exchange) -> None:
        exchange.refuse(503, "apiserver is shutting down")

    monkeypatch.setattr(cluster, "watch", fail)
    with pytest.raises(PodNotStarted):
        prepare.run(schedule_timeout=1)
    assert cluster.server.requests().count(f"GET {PODS}") <= 5


def test_a_right_to_watch_that_the_server_does_not_know_yet_is_waited_for(prepare: Stage, cluster: Cluster) -> None:
    cluster.on_watch = lambda exchange: exchange.refuse(403, 'cannot watch resource "pods"', "Forbidden")
    cluster.states = [pod_state(READY)]
    assert prepare.run() == 0


def test_a_missing_right_to_watch_is_told(prepare: Stage, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "_DENIALS", 1)
    cluster.on_watch = lambda exchange: exchange.refuse(403, 'cannot watch resource "pods"', "Forbidden")
    with pytest.raises(ClusterRefused) as refused:
        prepare.run()
    assert "cannot watch" in refused.value.why
    assert cluster.deleted


def test_a_runner_that_is_gone_by_then_leaves_no_pod(
    prepare: Stage, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_: object) -> None:
        raise RunnerGone

    monkeypatch.setattr("executor.stages.cancel.Runner.check", gone)
    cluster.states = [pod_state(READY)]
    with pytest.raises(RunnerGone):
        prepare.run()
    assert cluster.deleted


class TestRefused:
    @pytest.mark.parametrize(
        ("message", "remedy"),
        [
            (
                'pods "job" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot',
                "Pod Security level forbids it",
            ),
            ('admission webhook "x" denied the request: no', "The admission webhook x of the cluster forbids it"),
            (
                "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no",
                "The admission policy p of the cluster forbids it",
            ),
            ('error looking up service account tenant-a/default: "default" not found', "tenant apply"),
            ('pods is forbidden: User "x" cannot create resource "pods"', "the verb create on pods"),
        ],
    )
    def test_a_refusal_is_told_in_its_own_words_with_who_can_act(
        self, prepare: Stage, cluster: Cluster, message: str, remedy: str
    ) -> None:
        cluster.on_create = lambda exchange: exchange.refuse(403, message, "Forbidden")
        with pytest.raises(PodRejected) as rejected:
            prepare.run()
        assert message in rejected.value.why
        assert remedy in rejected.value.remedy
        assert "operator" in rejected.value.remedy
        assert rejected.value.category in {"admission_refused", "right_missing"}
        # Nothing can land any more, and `cleanup` need not look for it.
        assert not prepare.intent.exists()

    def test_an_unclear_answer_leaves_a_mark_for_cleanup(self, prepare: Stage, cluster: Cluster) -> None:
        cluster.server.answers = [lambda exchange: exchange.refuse(500, "etcdserver: request timed out")]
        with pytest.raises(PodRejected):
            prepare.run(connection_timeout=1)
        assert prepare.intent.read_text() == POD


class TestOutOfTime:
    def test_no_node_in_time_is_told_with_the_schedulers_words(self, prepare: Stage, cluster: Cluster) -> None:
        cluster.states = [pod_state(node="", conditions=UNSCHEDULED)]
        with pytest.raises(PodNotStarted, match="No node of the tenant") as failed:
            prepare.run(schedule_timeout=1)
        assert "2 Insufficient cpu" in failed.value.why
        assert cluster.deleted

    def test_a_scheduler_that_says_nothing_is_told_with_the_setting(self, prepare: Stage, cluster: Cluster) -> None:
        with pytest.raises(PodNotStarted, match=r"within 1 s \(timeouts.schedule of the tenant\)"):
            prepare.run(schedule_timeout=1)
        assert cluster.deleted

    def test_a_slow_start_is_told_with_the_setting_and_the_clusters_warnings(
        self, prepare: Stage, cluster: Cluster
    ) -> None:
        # What held it up earlier is over, and no reason any more.
        cluster.states = [pod_state(node="", conditions=UNSCHEDULED), pod_state({"build": CREATING, "tools": DONE})]
        with pytest.raises(PodNotStarted, match=r"within 1 s \(timeouts.start of the tenant\)") as failed:
            prepare.run(start_timeout=1)
        assert failed.value.why == "FailedMount: no disk"
        assert cluster.deleted

    def test_a_missing_right_to_read_the_warnings_is_named(self, prepare: Stage, cluster: Cluster) -> None:
        words = 'events is forbidden: User "u" cannot list resource "events"'
        cluster.states = [pod_state({"build": CREATING, "tools": DONE})]
        cluster.on_events = lambda exchange: exchange.refuse(403, words, "Forbidden")
        with pytest.raises(PodNotStarted, match=r"within 1 s \(timeouts.start of the tenant\)") as failed:
            prepare.run(start_timeout=1)
        assert failed.value.why == f"The cluster's warnings cannot be read: 403 {words}"

    def test_an_api_server_that_never_answers_ends_the_stage_in_time(self, prepare: Stage, cluster: Cluster) -> None:
        cluster.server.answers = [lambda exchange: exchange.silence()]
        started = time.monotonic()
        with pytest.raises(ClusterUnreachable):
            prepare.run(connection_timeout=1)
        assert time.monotonic() - started < 25
        assert prepare.intent.exists()


def test_a_cancel_deletes_what_was_created(prepare: Stage, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    def cancel(_: str) -> None:
        raise Cancelled

    monkeypatch.setattr(prepare.log, "say", cancel)
    cluster.states = [pod_state(PULLING)]
    with pytest.raises(Cancelled):
        prepare.run()
    assert cluster.deleted


def test_a_delete_that_is_tried_again_stands_in_the_operator_log(prepare: Stage, cluster: Cluster) -> None:
    refusals = iter([True])

    def answer(exchange: Exchange) -> None:
        if exchange.method == "DELETE" and next(refusals, False):
            exchange.refuse(503, "apiserver is shutting down")
        else:
            cluster.answer(exchange)

    cluster.server.answers = [answer]
    cluster.states = [pod_state({}, reason="Evicted", message="DiskPressure")]
    with pytest.raises(PodNotStarted):
        prepare.run()
    assert cluster.deleted
    assert prepare.events[-1] == "API request tried again"


SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": f"{POD}-pull", "namespace": "tenant-a"}}


class TestSecrets:
    def test_they_are_made_for_the_pod_before_it_may_be_scheduled(self, cluster: Cluster, prepare: Stage) -> None:
        cluster.seen["metadata"]["uid"] = "u-1"
        cluster.states = [pod_state(READY)]
        assert prepare.run(secrets=(SECRET,)) == 0
        (secret,) = cluster.secrets
        assert secret["metadata"]["ownerReferences"] == [{"apiVersion": "v1", "kind": "Pod", "name": POD, "uid": "u-1"}]
        assert cluster.patches == [{"spec": {"schedulingGates": None}}]
        asked = [(exchange.method, exchange.path.rsplit("/", 1)[-1]) for exchange in cluster.server.exchanges]
        assert asked[:3] == [("POST", "pods"), ("POST", "secrets"), ("PATCH", POD)]

    def test_a_job_without_any_asks_nothing_more(self, cluster: Cluster, prepare: Stage) -> None:
        cluster.states = [pod_state(READY)]
        prepare.run()
        assert [exchange.method for exchange in cluster.server.exchanges] == ["POST", "GET"]

    def test_without_the_right_to_make_them_the_pod_goes_and_the_right_is_named(
        self, cluster: Cluster, prepare: Stage
    ) -> None:
        cluster.seen["metadata"]["uid"] = "u-1"
        cluster.refuses_secrets = True
        with pytest.raises(PodRejected) as rejected:
            prepare.run(secrets=(SECRET,))
        assert "Secrets" in rejected.value.what
        assert "no right" in rejected.value.why
        assert cluster.deleted

    def test_the_gate_is_no_news_for_the_author(self, cluster: Cluster, prepare: Stage) -> None:
        gated = [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated", "message": "x"}]
        cluster.seen = pod_state(node="", conditions=gated)
        cluster.seen["metadata"]["uid"] = "u-1"
        cluster.states = [pod_state(READY)]
        prepare.run(secrets=(SECRET,))
        assert "waiting" not in prepare.said


def service_state(state: dict[str, Any], *, restarts: int = 0, last: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "initContainerStatuses": [{**SERVICE, "state": state, "restartCount": restarts, "lastState": last or {}}],
    }


CRASHED = {"terminated": {"exitCode": 3, "reason": "Error", "message": "no password given\n"}}
BACK_OFF = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}
WITH_SERVICE = {"metadata": {"name": POD}, "spec": {"containers": [], "initContainers": [{"name": "svc-0"}]}}


class TestServices:
    def test_one_that_runs_is_not_mentioned(self, cluster: Cluster, prepare: Stage) -> None:
        cluster.states = [pod_state(READY, **service_state(RUNNING))]
        assert prepare.run(manifest=WITH_SERVICE) == 0
        assert "service" not in prepare.said

    def test_one_that_ended_is_a_warning_with_its_last_words(self, cluster: Cluster, prepare: Stage) -> None:
        cluster.states = [pod_state(READY, **service_state(BACK_OFF, restarts=1, last=CRASHED))]
        assert prepare.run(manifest=WITH_SERVICE) == 0
        assert "the service postgres:16 does not stay up" in prepare.said
        assert "exit code 3 (Error)" in prepare.said
        assert "no password given" in prepare.said

    def test_one_that_ended_while_its_port_was_waited_for_is_the_authors_to_mend(
        self, cluster: Cluster, prepare: Stage
    ) -> None:
        state = pod_state(READY, **service_state(BACK_OFF, restarts=1, last=CRASHED))
        state["spec"]["initContainers"] = [SERVICE]
        cluster.states = [state]
        with pytest.raises(OwnContainerFailed) as failed:
            prepare.run(manifest=WITH_SERVICE, health_ports={"5432": "postgres:16"})
        assert "postgres:16 ended before it listened on port 5432" in failed.value.what
        assert "no password given" in failed.value.why
        assert cluster.deleted

    def test_one_that_runs_and_does_not_listen_is_a_warning(self, cluster: Cluster, prepare: Stage) -> None:
        state = pod_state(READY, **service_state(RUNNING))
        state["spec"]["initContainers"] = [SERVICE]
        cluster.states = [state]
        assert prepare.run(manifest=WITH_SERVICE, health_ports={"5432": "postgres:16"}) == 0
        assert "does not listen on port 5432" in prepare.said

    ENDS_AT_ONCE = (
        pod_state({}, **service_state(CRASHED)),
        pod_state({}, **service_state(BACK_OFF, restarts=1, last=CRASHED)),
    )

    def test_the_job_goes_on_in_another_pod_without_one_that_lets_none_start(
        self, cluster: Cluster, prepare: Stage
    ) -> None:
        made: list[dict[str, Any]] = []

        def create(exchange: Exchange) -> None:
            made.append(exchange.body)
            cluster.states = [pod_state(READY)] if len(made) > 1 else list(self.ENDS_AT_ONCE)
            cluster.created, cluster.deleted, cluster.seen = True, False, pod_state({})
            exchange.json(201, cluster.seen)

        cluster.on_create = create
        services = [SERVICE, {"name": "svc-1", "image": "redis:7"}]
        manifest = {"metadata": {"name": POD}, "spec": {"containers": [], "initContainers": services}}
        assert prepare.run(manifest=manifest, pull_policies={"svc-0": ["Never"]}, service_logs={"svc-0": "a"}) == 0
        assert [one["name"] for one in made[1]["spec"]["initContainers"]] == ["svc-1"]
        assert [one.path for one in cluster.server.exchanges if one.method == "DELETE"] == [f"{PODS}/{POD}"]
        (job,) = prepare.rewritten
        assert job.pod == made[1]["metadata"]["name"] != POD
        assert (job.pull_policies, job.service_logs) == ({}, {})
        assert "warning: The service postgres:16 ended again and again right after its start." in prepare.said
        assert "no password given" in prepare.said
        assert "service left out" in prepare.events

    def test_one_whose_port_the_job_waits_for_is_the_authors_to_mend(self, cluster: Cluster, prepare: Stage) -> None:
        cluster.states = list(self.ENDS_AT_ONCE)
        manifest = {"metadata": {"name": POD}, "spec": {"containers": [], "initContainers": [SERVICE]}}
        with pytest.raises(OwnContainerFailed) as failed:
            prepare.run(manifest=manifest, health_ports={"5432": "postgres:16"})
        assert "postgres:16 ended again and again" in failed.value.what
        assert "no password given" in failed.value.why
        assert cluster.deleted

    @pytest.mark.parametrize(
        ("message", "error"),
        [
            ('failed to resolve reference "postgres:16": not found', OwnContainerFailed),
            ("pull access denied, repository does not exist or may require authorization", OwnContainerFailed),
            ("dial tcp 10.0.0.1:443: connect: connection refused", PodNotStarted),
        ],
    )
    def test_a_missing_image_is_the_authors_and_a_broken_registry_is_not(
        self,
        cluster: Cluster,
        prepare: Stage,
        monkeypatch: pytest.MonkeyPatch,
        message: str,
        error: type[PodNotStarted],
    ) -> None:
        monkeypatch.setattr(patience, "_IMAGE_GRACE", -1.0)
        monkeypatch.setattr(patience, "_OUTAGE_GRACE", -1.0)
        pulling = {"waiting": {"reason": "ImagePullBackOff", "message": message}}
        cluster.states = [pod_state({}, **service_state(pulling))]
        with pytest.raises(PodNotStarted) as failed:
            prepare.run(manifest=WITH_SERVICE)
        assert type(failed.value) is error
        assert "postgres:16" in failed.value.what
        assert message in failed.value.why

    @pytest.mark.parametrize(("authors", "error"), [(True, OwnContainerFailed), (False, PodNotStarted)])
    def test_so_is_a_missing_build_image_that_the_job_named(
        self,
        cluster: Cluster,
        prepare: Stage,
        monkeypatch: pytest.MonkeyPatch,
        *,
        authors: bool,
        error: type[PodNotStarted],
    ) -> None:
        monkeypatch.setattr(patience, "_IMAGE_GRACE", -1.0)
        cluster.states = [pod_state(PULLING)]
        with pytest.raises(PodNotStarted) as failed:
            prepare.run(authors_image=authors)
        assert type(failed.value) is error
