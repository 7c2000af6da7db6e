"""Jobs of a tenant with warm pods: the pods that wait serve them, once each, and what does not fit starts cold."""

from __future__ import annotations

import re
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from executor.pod.names import (
    ATTEMPT_LABEL,
    BUILD,
    JOB_LABEL,
    KEPT_LABEL,
    TENANT_LABEL,
    WARM_LABEL,
    WAS_WARM_LABEL,
)
from testbed import api, ci, cluster, layout, tenants
from testbed.gitserver import commit
from testbed.joblog import plain
from testbed.jobs import Image, JobSpec
from testbed.wait import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from testbed.coordinator_job import SubmittedJob

TENANT = layout.TENANTS[0]
PROJECT = "group/warm"
COUNT = 2


@dataclass(frozen=True)
class Warm:
    """A runner whose tenant has two warm pods."""

    running: ci.Ci

    def starts(self, *script: str, image: Image | None = None) -> SubmittedJob:
        """Start a job that clones a small project."""
        wanted = image or Image(layout.KANIKO_IMAGE)
        return self.running.coordinator.submit(
            ci.in_project(JobSpec(TENANT.name, script=script, image=wanted), PROJECT)
        )


@pytest.fixture(scope="module")
def settings(_bed: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The tenant's objects and settings with warm pods; afterwards as they were."""
    folder = tmp_path_factory.mktemp("warm")
    copied = folder / "settings"
    shutil.copytree(layout.DRIVER, copied, ignore=shutil.ignore_patterns("*.jsonl*"))
    file = copied / "tenants" / f"{TENANT.name}.toml"
    text = file.read_text()
    assert "[capacity]" not in text
    file.write_text(f"{text}\n[capacity]\nwarm_pods = {COUNT}\n")
    try:
        tenants.operate("apply", TENANT.name, "--yes", folder=copied)
        yield copied
    finally:
        said = tenants.operate("apply", TENANT.name, "--yes")
        assert "removed ReplicaSet kaniko-warm-" in said
        wait_for("the end of the warm pods", lambda: not waiting(), 180)


@pytest.fixture(scope="module")
def warm(settings: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    folder = tmp_path_factory.mktemp("runner")
    with ci.at_work(folder, tenants=[TENANT], settings=settings) as running:
        (folder / "files").mkdir()
        commit(running.coordinator.repository(PROJECT), folder / "files")
        yield Warm(running)


def waiting() -> list[dict[str, Any]]:
    return [pod for pod in api.items("Pod", TENANT.name) if WARM_LABEL in pod["metadata"].get("labels", {})]


def await_pods() -> dict[str, dict[str, Any]]:
    """The pods that a job could claim, by name, once they are all that there are.

    Those of earlier settings stay for a while: the cluster deletes them after their ReplicaSet, and a node lets go of
    them, and of the room that they took, later still.
    """
    return wait_for("as many warm pods as are wanted, and no others", settled, 300)


def settled() -> dict[str, dict[str, Any]] | None:
    keepers = {one["metadata"]["uid"] for one in api.items("ReplicaSet", TENANT.name)}
    pods = waiting()
    fine = len(pods) == COUNT and all(is_ready(pod) and owners(pod) & keepers for pod in pods)
    return {pod["metadata"]["name"]: pod for pod in pods} if fine else None


def is_ready(pod: dict[str, Any]) -> bool:
    conditions = {one["type"]: one["status"] for one in pod["status"].get("conditions", ())}
    return conditions.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]


def owners(pod: dict[str, Any]) -> set[str]:
    return {one["uid"] for one in pod["metadata"].get("ownerReferences", ())}


def test_a_waiting_pod_serves_one_job_and_another_takes_its_place(warm: Warm) -> None:
    before = await_pods()
    job = warm.starts("echo at work", ci.GATE, "ls /kaniko/executor.real")
    job.wait_for("at work")
    (pod,) = ci.job_pods(TENANT, job.ident)
    ci.let_go(pod)
    result = job.wait()
    log = plain(result.trace)
    assert result.state == "success", log
    assert pod["metadata"]["name"] in before
    assert f"warm pod {TENANT.name}/{pod['metadata']['name']} is ready on node" in log
    labels = pod["metadata"]["labels"]
    assert (labels[TENANT_LABEL], labels[JOB_LABEL], labels[WAS_WARM_LABEL]) == (TENANT.name, str(job.ident), "true")
    assert ATTEMPT_LABEL in labels
    assert WARM_LABEL not in labels
    assert "ownerReferences" not in pod["metadata"]
    assert pod["spec"]["activeDeadlineSeconds"] > 0
    after = await_pods()
    assert pod["metadata"]["name"] not in after


def test_jobs_at_once_take_the_pods_that_wait_and_no_two_the_same(warm: Warm) -> None:
    before = await_pods()
    jobs = [warm.starts("echo at work", "sleep 2", f"echo number {number}") for number in range(3)]
    results = [job.wait() for job in jobs]
    logs = "\n".join(plain(result.trace) for result in results)
    assert [result.state for result in results] == ["success"] * 3, logs
    used = re.findall(rf"pod {TENANT.name}/(\S+) is ready", logs)
    assert len(set(used)) == len(used) == 3
    # The first at least, and as a rule both: a slow machine has the next one ready before the second job looks.
    assert before.keys() & set(used)


def test_a_job_with_an_image_of_its_own_starts_cold_and_says_why(warm: Warm) -> None:
    before = await_pods()
    result = warm.starts("echo plain", image=Image(f"{layout.REGISTRY}/library/alpine:3")).wait()
    log = plain(result.trace)
    assert result.state == "success", log
    assert "no warm pod for this job: its pod differs from those that wait in image of build" in log
    assert await_pods().keys() == before.keys()


def test_a_container_that_was_started_again_fails_the_job_with_its_cause(warm: Warm) -> None:
    await_pods()
    # Process 1 ends when it is told to, and the pod's policy starts it again.
    result = warm.starts("echo at work; sleep 2", "kill -TERM 1; sleep 60").wait()
    log = plain(result.trace)
    assert (result.state, result.failure_reason) == ("failed", "runner_system_failure"), log
    assert "warm pod" in log
    assert "\nat work" in log
    assert "The build container ended" in log


@pytest.fixture
def changed(settings: Path) -> Iterator[Callable[[str, str], None]]:
    """Change the settings for one test, and bring the waiting pods up to them."""
    file = settings / "tenants" / f"{TENANT.name}.toml"
    before = file.read_text()

    def change(old: str, new: str) -> None:
        assert old in before
        file.write_text(before.replace(old, new))
        tenants.operate("apply", TENANT.name, "--yes", folder=settings)

    yield change
    file.write_text(before)
    tenants.operate("apply", TENANT.name, "--yes", folder=settings)


def of_build(pod: dict[str, Any]) -> dict[str, str]:
    """What the build container requests."""
    (build,) = [one for one in pod["spec"]["containers"] if one["name"] == BUILD]
    requests: dict[str, str] = build["resources"]["requests"]
    return requests


class TestPodsThatWaitSmall:
    @pytest.fixture(autouse=True)
    def _small(self, warm: Warm, changed: Callable[[str, str], None]) -> None:  # noqa: ARG002 - its settings are changed
        changed(f"warm_pods = {COUNT}", f"warm_pods = {COUNT}\nwarm_small = true")
        assert [of_build(pod)["cpu"] for pod in await_pods().values()] == ["10m"] * COUNT

    def test_they_grow_when_a_job_claims_them(self, warm: Warm) -> None:
        job = warm.starts("echo at work", ci.GATE)
        job.wait_for("at work")
        (pod,) = ci.job_pods(TENANT, job.ident)
        ci.let_go(pod)
        log = plain(job.wait().trace)
        assert f"warm pod {TENANT.name}/{pod['metadata']['name']} is ready" in log
        assert (of_build(pod)["cpu"], of_build(pod)["memory"]) == ("500m", "512Mi")

    def test_a_job_starts_a_pod_of_its_own_where_the_node_has_no_room_for_it(self, warm: Warm) -> None:
        (node,) = {pod["spec"]["nodeName"] for pod in await_pods().values()}
        with filled(node):
            job = warm.starts("echo at work")
            job.wait_for("no warm pod for this job: its node has no room for it to grow (Deferred")
        result = job.wait()
        assert result.state == "success", plain(result.trace)
        assert "starting pod" in plain(result.trace)


@contextmanager
def filled(node: str) -> Iterator[None]:
    """Let somebody else's pod take most of a node's processors.

    The scheduler places it, once the pods of the test before have really gone. Put onto the node by name, it would be
    refused by the kubelet for good as long as those still count.
    """
    found = api.get("Node", node)
    assert found is not None
    rest = int(float(found["status"]["allocatable"]["cpu"]) * 1000) - 400
    resources = {"requests": {"cpu": f"{rest}m"}}
    container = {"name": "big", "image": layout.TOOLS_IMAGE, "command": ["/bin/busybox", "sleep", "600"]}
    spec = {
        "nodeSelector": {"kubernetes.io/hostname": node},
        "terminationGracePeriodSeconds": 0,
        "containers": [container | {"imagePullPolicy": "IfNotPresent", "resources": resources}],
    }
    where = {"name": "big-neighbour", "namespace": "default"}
    api.apply({"apiVersion": "v1", "kind": "Pod", "metadata": where, "spec": spec})
    try:
        wait_for("the neighbour", lambda: phase(where["name"]) == "Running", 180)
        yield
    finally:
        api.request("DELETE", api.path_of("Pod", where["name"], where["namespace"]))


def phase(name: str) -> str:
    return str((api.get("Pod", name, "default") or {"status": {}})["status"].get("phase"))


def test_the_pod_of_a_failed_job_is_kept_as_any_other(warm: Warm, changed: Callable[[str, str], None]) -> None:
    changed(f"warm_pods = {COUNT}", f'warm_pods = {COUNT}\n\n[debug]\nkeep_failed = "5m"\nkeep_failed_most = 1')
    await_pods()
    result = warm.starts("echo secret > /builds/left", "false").wait()
    log = plain(result.trace)
    assert result.state == "failed", log
    assert "warm pod" in log
    assert "after this job its pod is kept for 5m" in log
    (kept,) = [pod for pod in api.items("Pod", TENANT.name) if KEPT_LABEL in pod["metadata"]["labels"]]
    try:
        assert kept["metadata"]["labels"][WAS_WARM_LABEL] == "true"
        assert kept["metadata"]["name"] not in await_pods()
        # Its first process is the same as ever: whoever enters finds what the job left.
        look = ("/driver/tools/busybox", "cat", "/builds/left")
        place = (f"--namespace={TENANT.name}", kept["metadata"]["name"], f"--container={BUILD}")
        seen = cluster.kubectl("exec", *place, "--", *look)
        assert seen == "secret\n"
        assert all(one["restartCount"] == 0 for one in kept["status"]["containerStatuses"])
    finally:
        api.request("DELETE", api.path_of("Pod", kept["metadata"]["name"], TENANT.name))


def test_after_a_change_of_settings_apply_replaces_the_waiting_pods(warm: Warm, settings: Path) -> None:
    before = await_pods()
    file = settings / "tenants" / f"{TENANT.name}.toml"
    text = file.read_text()
    try:
        assert 'idle = "15m"' in text
        file.write_text(text.replace('idle = "15m"', 'idle = "16m"'))
        cold = plain(warm.starts("echo plain").wait().trace)
        assert "no warm pod for this job: the pods that wait are of other settings" in cold
        said = tenants.operate("apply", TENANT.name, "--yes", folder=settings)
        assert "created ReplicaSet kaniko-warm-" in said
        assert "removed ReplicaSet kaniko-warm-" in said
        assert not before.keys() & await_pods().keys()
        result = warm.starts("echo plain").wait()
        assert "warm pod" in plain(result.trace)
    finally:
        file.write_text(text)
        tenants.operate("apply", TENANT.name, "--yes", folder=settings)
