"""prepare, run and cleanup as the runner calls them, with a cluster that fails, and SIGTERM at any moment."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.conftest import BUILD_FAILURE, SYSTEM_FAILURE
from tests.support.jobs import READY, pod_state
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.contract.conftest import Attempt, Done
    from tests.support.api_server import ApiServer, Exchange
    from tests.support.tls import Certificate

LATER_STAGES = (("prepare",), ("run", "script", "build_script"), ("cleanup",))


class Cluster:
    """Answers prepare and cleanup as a healthy cluster does."""

    def __init__(self, server: ApiServer) -> None:
        self.pods: set[str] = set()
        self.ready = True
        self.waiting = False
        server.answers = [self.answer]

    def answer(self, exchange: Exchange) -> None:
        name = exchange.path.rsplit("/", 1)[-1]
        if exchange.path.endswith("/secrets"):
            exchange.json(201, {})
        elif exchange.method == "PATCH":
            exchange.json(200, pod_state(READY))
        elif exchange.method == "POST":
            self.pods.add(exchange.body["metadata"]["name"])
            exchange.json(201, pod_state(READY if self.ready else {}))
        elif exchange.method == "DELETE":
            known = name in self.pods
            self.pods.discard(name)
            exchange.json(200, {}) if known else exchange.refuse(404, "not found")
        elif ("watch", "true") in exchange.query:
            exchange.start_lines()
            self.waiting = True
            exchange.closing.wait(float(dict(exchange.query)["timeoutSeconds"]))
            exchange.end_lines()
        elif name in self.pods:
            exchange.json(200, pod_state(READY if self.ready else {}))
        else:
            exchange.json(200, {"items": []})


@pytest.fixture
def cluster(server: ApiServer) -> Cluster:
    return Cluster(server)


def failed(attempt: Attempt, done: Done, code: int = SYSTEM_FAILURE) -> str:
    """Hold what is true of every failure of a later stage; returns its words."""
    assert done.code == code
    assert "kaniko-driver: " in done.words
    after = attempt.stage("cleanup")
    assert after.code == 0
    assert after.seconds < 30
    return done.words


class TestWithoutConfig:
    @pytest.mark.parametrize("stage", [("prepare",), ("run", "script", "build_script")])
    def test_a_stage_that_does_not_know_its_job_says_what_is_missing(
        self, attempt: Attempt, stage: tuple[str, ...]
    ) -> None:
        assert "config_exec" in failed(attempt, attempt.stage(*stage))

    def test_cleanup_has_nothing_to_do_and_says_nothing(self, attempt: Attempt, server: ApiServer) -> None:
        done = attempt.stage("cleanup")
        assert (done.code, done.words) == (0, "")
        assert server.exchanges == []

    @pytest.mark.parametrize("stage", [*LATER_STAGES, ("config", "--tenant", "tenant-a")])
    def test_without_the_runners_codes_no_stage_begins(self, attempt: Attempt, stage: tuple[str, ...]) -> None:
        done = attempt.stage(*stage, without="SYSTEM_FAILURE_EXIT_CODE")
        assert done.code == 2
        assert "SYSTEM_FAILURE_EXIT_CODE is missing" in done.words

    @pytest.mark.parametrize("stage", LATER_STAGES)
    def test_a_job_file_of_another_version_is_told(self, attempt: Attempt, stage: tuple[str, ...]) -> None:
        attempt.config()
        (attempt.folder / "kaniko-driver.json").write_text(json.dumps(attempt.job | {"version": 99}))
        done = attempt.stage(*stage)
        assert done.code == SYSTEM_FAILURE
        assert "another version of kaniko-driver" in done.words

    @pytest.mark.parametrize("stage", [("prepare", "more"), ("cleanup", "more"), ("run",), ("run", "a", "b", "c")])
    def test_wrong_arguments_are_told(self, attempt: Attempt, stage: tuple[str, ...]) -> None:
        done = attempt.stage(*stage)
        assert done.code == SYSTEM_FAILURE
        assert "arguments" in done.words


NO_COLOR = [{"key": "NO_COLOR", "value": "1"}]


class TestPrepare:
    def test_a_pod_is_started_and_cleaned_up(self, attempt: Attempt, cluster: Cluster) -> None:
        attempt.config()
        done = attempt.stage("prepare")
        assert (done.code, done.err) == (0, "")
        assert f"pod tenant-a/{attempt.job['pod']} is ready on node node1" in done.out
        assert cluster.pods == {attempt.job["pod"]}
        after = attempt.stage("cleanup")
        assert (after.code, after.words) == (0, "")
        assert cluster.pods == set()

    def test_an_error_is_told_outside_of_the_section_that_it_ends(self, attempt: Attempt, server: ApiServer) -> None:
        server.answers = [lambda exchange: exchange.refuse(403, "no", "Forbidden")]
        attempt.response(features={"trace_sections": True})
        attempt.config()
        before, after = attempt.stage("prepare").out.split("section_end:")
        assert before.startswith("section_start:")
        assert "kaniko-driver: starting pod tenant-a/" in before
        assert after.partition("\r\x1b[0K")[2].startswith("kaniko-driver: The cluster refused the job pod.")

    @pytest.mark.parametrize("wish", [{"features": {"trace_sections": False}}, {"variables": NO_COLOR}])
    def test_without_sections_there_is_no_marker_and_no_colour(
        self, attempt: Attempt, cluster: Cluster, wish: dict[str, Any]
    ) -> None:
        attempt.response(**{"features": {"trace_sections": True}, **wish})
        attempt.config()
        done = attempt.stage("prepare")
        assert (done.code, cluster.pods) == (0, {attempt.job["pod"]})
        assert "\x1b" not in done.words
        assert "section_" not in done.words

    def test_a_second_cleanup_is_as_good(self, attempt: Attempt, cluster: Cluster) -> None:
        attempt.config()
        attempt.stage("prepare")
        assert [attempt.stage("cleanup").code for _ in range(2)] == [0, 0]
        assert cluster.pods == set()

    def test_after_a_failed_try_the_runner_begins_again_with_config(self, attempt: Attempt, server: ApiServer) -> None:
        attempt.config()
        failed(attempt, attempt.stage("prepare"))
        cluster = Cluster(server)
        attempt.config()
        assert attempt.stage("prepare").code == 0
        assert cluster.pods == {attempt.job["pod"]}

    def test_a_replaced_image_is_said_here(self, attempt: Attempt, cluster: Cluster) -> None:
        attempt.response(image={"name": "gcr.io/kaniko-project/executor:debug"})
        attempt.config()
        assert "in place of the job's image gcr.io/kaniko-project/executor:debug" in attempt.stage("prepare").out
        assert len(cluster.pods) == 1

    def test_a_closed_port_is_told_in_time(self, attempt: Attempt, certificate: Certificate) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        attempt.point_at(f"https://127.0.0.1:{port}", certificate)
        attempt.config()
        done = attempt.stage("prepare")
        assert done.seconds < 30
        said = failed(attempt, done)
        assert f"The Kubernetes API server does not answer (https://127.0.0.1:{port})" in said
        assert "run it again" in said

    def test_a_server_that_accepts_and_never_answers_is_told_in_time(
        self, attempt: Attempt, certificate: Certificate
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as hole:
            attempt.point_at(f"https://127.0.0.1:{hole.getsockname()[1]}", certificate)
            attempt.config()
            done = attempt.stage("prepare")
            # A second of settings for each: creating the pod, and deleting what may have been created.
            assert done.seconds < 30
            assert "does not answer" in failed(attempt, done)

    def test_a_refusal_is_told_in_the_servers_words(self, attempt: Attempt, server: ApiServer) -> None:
        words = 'pods "x" is forbidden: the tenant may not'
        server.answers = [lambda exchange: exchange.refuse(403, words, "Forbidden")]
        attempt.config()
        said = failed(attempt, attempt.stage("prepare"))
        assert words in said
        assert "operator of this runner must correct what the message names" in said

    def test_expired_credentials_are_told_with_who_must_act(self, attempt: Attempt, server: ApiServer) -> None:
        server.answers = [lambda exchange: exchange.refuse(401, "Unauthorized", "Unauthorized")]
        attempt.config()
        assert "the operator of this runner must renew the kubeconfig's token" in failed(
            attempt, attempt.stage("prepare")
        )

    def test_a_failure_is_in_the_operator_log_with_its_job(self, attempt: Attempt) -> None:
        attempt.config()
        attempt.stage("prepare")
        last = attempt.events[-1]
        assert (last["level"], last["stage"], last["job"], last["pod"]) == (
            "error",
            "prepare",
            4711,
            attempt.job["pod"],
        )


class TestCancel:
    def cancel(self, attempt: Attempt, when: Callable[[], object], *stage: str) -> Done:
        process = attempt.start(*stage)
        until("the moment to cancel", when)
        # The runner signals the whole group.
        os.killpg(process.pid, signal.SIGTERM)
        return attempt.finish(process)

    def test_a_cancelled_prepare_deletes_its_pod_and_ends_quickly(self, attempt: Attempt, cluster: Cluster) -> None:
        cluster.ready = False
        attempt.config()
        done = self.cancel(attempt, lambda: cluster.waiting, "prepare")
        assert done.code == SYSTEM_FAILURE
        assert done.seconds < 30
        assert "cancelled by the runner" in done.out
        assert cluster.pods == set()

    def test_a_prepare_whose_create_hangs_ends_quickly_and_cleanup_finds_what_lands(
        self, attempt: Attempt, server: ApiServer
    ) -> None:
        attempt.configure(timeouts='connection = "60s"')
        cluster = Cluster(server)

        def hangs(exchange: Exchange) -> None:
            server.answers = [cluster.answer]
            cluster.waiting = True
            exchange.silence()

        server.answers = [hangs]
        attempt.config()
        done = self.cancel(attempt, lambda: cluster.waiting, "prepare")
        assert done.code == SYSTEM_FAILURE
        assert done.seconds < 30
        assert (attempt.folder / "kaniko-driver.creating").exists()

    @pytest.mark.usefixtures("cluster")
    @pytest.mark.parametrize("stage", ["config", "prepare", "cleanup"])
    def test_term_at_any_moment_is_no_traceback_and_no_build_failure(self, attempt: Attempt, stage: str) -> None:
        attempt.config()
        arguments = ["--settings", str(attempt.settings), "--tenant", "tenant-a"] if stage == "config" else []
        took = attempt.stage(stage, *arguments).seconds
        codes = set()
        for step in range(24):
            process = attempt.start(stage, *arguments)
            select.select([], [], [], took * step / 20)
            os.killpg(process.pid, signal.SIGTERM)
            codes.add(attempt.finish(process).code)
        # Killed while Python itself was starting, cancelled, or done before.
        assert codes <= {-signal.SIGTERM, SYSTEM_FAILURE, 0}
        assert attempt.stage("cleanup").code == 0

    def test_a_second_term_changes_nothing(self, attempt: Attempt, cluster: Cluster) -> None:
        cluster.ready = False
        attempt.config()
        process = attempt.start("prepare")
        until("the watch", lambda: cluster.waiting)
        for _ in range(5):
            os.killpg(process.pid, signal.SIGTERM)
        assert attempt.finish(process).code == SYSTEM_FAILURE
        assert cluster.pods == set()


class TestCleanup:
    def test_a_cluster_that_is_out_of_reach_holds_no_job_up(self, attempt: Attempt, certificate: Certificate) -> None:
        with socket.create_server(("127.0.0.1", 0)) as hole:
            attempt.point_at(f"https://127.0.0.1:{hole.getsockname()[1]}", certificate)
            attempt.config()
            done = attempt.stage("cleanup")
        assert (done.code, done.words) == (0, "")
        assert done.seconds < 30
        assert attempt.events[-1]["event"] == "cleanup left something behind"

    def test_one_that_is_ended_while_it_waits_deletes_the_pod_first(self, attempt: Attempt, server: ApiServer) -> None:
        attempt.configure(timeouts='connection = "60s"')
        cluster = Cluster(server)
        attempt.config()
        assert attempt.stage("prepare").code == 0

        def hangs(exchange: Exchange) -> None:
            server.answers = [cluster.answer]
            cluster.waiting = True
            exchange.silence()

        server.answers = [hangs]
        cluster.waiting = False
        process = attempt.start("cleanup")
        until("the request that hangs", lambda: cluster.waiting)
        os.killpg(process.pid, signal.SIGTERM)
        done = attempt.finish(process)
        assert done.seconds < 30
        assert cluster.pods == set()

    def test_a_job_that_failed_is_not_failed_twice(self, attempt: Attempt, server: ApiServer) -> None:
        server.answers = [lambda exchange: exchange.refuse(403, "no right", "Forbidden")]
        attempt.config()
        assert attempt.stage("cleanup").code == 0


def test_a_build_failure_of_a_later_attempt_is_still_the_jobs_own(attempt: Attempt) -> None:
    attempt.response(image={"name": "debian:12"})
    assert [attempt.config().code for _ in range(2)] == [BUILD_FAILURE] * 2
