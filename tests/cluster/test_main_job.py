"""The main job, for real: clone, build, push, upload; then again from the cache; then for the other tenant."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import pytest

from testbed import api, ci, cluster, kaniko_log, layer_cache, layout, registry
from testbed.joblog import plain, section
from testbed.wait import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.coordinator_job import SubmittedJob

TENANT_A, TENANT_B = layout.TENANTS
CACHEABLE = kaniko_log.cacheable((ci.SAMPLE / "Dockerfile").read_text())


@pytest.fixture(scope="module")
def first_build(gitlab: ci.Ci) -> SubmittedJob:
    """The sample's job for tenant-a, when no tenant has anything in its cache."""
    for tenant in layout.TENANTS:
        layer_cache.empty(tenant)
    job = gitlab.coordinator.submit(ci.sample_job(TENANT_A))
    job.wait()
    return job


@pytest.fixture
def viewer_pod() -> Iterator[str]:
    """The name of a pod that the test may make in tenant-a; it is deleted afterwards."""
    name = "runs-the-built-image"
    yield name
    cluster.kubectl("delete", "pod", name, "--namespace=default", "--ignore-not-found", "--grace-period=0")


def test_the_job_succeeds_and_its_log_arrives_whole(first_build: SubmittedJob) -> None:
    result = first_build.wait()
    log = plain(result.trace)
    assert (result.state, result.exit_code, result.trace_complete) == ("success", 0, True), log
    assert "all checks passed" in log  # the sample's own tests, run in the image build
    assert f"job {result.ident} ended as success" in log  # after_script
    assert kaniko_log.hits(log) == 0
    assert kaniko_log.misses(log) > 0


def test_the_artifact_names_the_image_that_is_in_the_registry(first_build: SubmittedJob) -> None:
    (artifact,) = first_build.wait().artifacts
    with zipfile.ZipFile(artifact.path) as archive:
        digest = archive.read("image.digest").decode()
        report = archive.read("build-report.txt").decode()
    assert digest == registry.digest(ci.image_of(first_build))
    assert first_build.given.sha in report


def test_the_pushed_image_runs_on_a_node_and_knows_its_version(first_build: SubmittedJob, viewer_pod: str) -> None:
    image = ci.image_of(first_build)
    container = {"name": "collatz", "image": image, "args": ["97"], "imagePullPolicy": "Always"}
    spec = {"restartPolicy": "Never", "nodeSelector": {"tenant": "b"}, "containers": [container]}
    meta = {"name": viewer_pod, "namespace": "default"}
    api.apply({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec})

    def ended() -> bool:
        return bool(cluster.get("Pod", viewer_pod, "default")["status"]["phase"] in {"Succeeded", "Failed"})

    wait_for("the end of the pod with the built image", ended, 180)
    said = cluster.kubectl("logs", viewer_pod, "--namespace=default")
    assert said.startswith(f"collatz {first_build.given.sha[:8]}\n97 takes 118 steps")


def test_the_image_runs_as_the_user_that_its_dockerfile_names(first_build: SubmittedJob) -> None:
    assert '"User":"1000:1000"' in registry.crane("config", ci.image_of(first_build))


def test_the_second_build_takes_every_cacheable_instruction_from_the_cache(
    gitlab: ci.Ci, first_build: SubmittedJob
) -> None:
    again = gitlab.coordinator.submit(ci.sample_job(TENANT_A))
    result = again.wait()
    log = plain(result.trace)
    assert result.state == "success", log
    assert (kaniko_log.hits(log), kaniko_log.misses(log)) == (CACHEABLE, 0), log
    assert again.given.sha == first_build.given.sha


def test_the_cache_holds_nothing_outside_the_tenants_prefix(first_build: SubmittedJob) -> None:
    assert first_build.wait().state == "success"
    keys = layer_cache.objects(TENANT_A)
    assert len(keys) > CACHEABLE
    assert {key.split("/")[:2] == ["layer-cache", TENANT_A.name] for key in keys} == {True}


def test_the_other_tenant_builds_on_its_own_node_from_its_own_empty_cache(
    gitlab: ci.Ci, first_build: SubmittedJob
) -> None:
    before = set(layer_cache.objects(TENANT_A))
    job = gitlab.coordinator.submit(ci.sample_job(TENANT_B))
    assert nodes_of(job) == {"node2"}
    log = plain(job.wait().trace)
    assert job.wait().state == "success", log
    assert kaniko_log.hits(log) == 0
    assert set(layer_cache.objects(TENANT_A)) == before
    assert {key.split("/")[1] for key in layer_cache.objects(TENANT_B)} == {TENANT_B.name}
    assert "node node1" in plain(first_build.trace)


def nodes_of(job: SubmittedJob) -> set[str]:
    """The nodes of a job's pods, asked from the cluster while its script runs."""
    job.wait_for("step_script")
    (tenant,) = (tenant for tenant in layout.TENANTS if tenant.name == job.spec.tenant)
    return {pod["spec"]["nodeName"] for pod in ci.job_pods(tenant, job.ident)}


def test_the_script_starts_soon_after_the_job_was_handed_out(first_build: SubmittedJob) -> None:
    result = first_build.wait()
    script = section(result.trace, "step_script")
    assert script is not None
    assert script.first_output is not None
    assert result.timings.handed_out is not None
    # Generous: the figures are the business of the benchmarks; this is about a wait that does not belong there.
    assert (script.first_output - result.timings.handed_out).total_seconds() < 60
