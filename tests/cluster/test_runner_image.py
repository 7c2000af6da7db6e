"""The runner with the driver as an image, built by the driver's own job, and then at work inside the cluster."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from executor import __version__
from executor.pod.names import DEADLINE_ANNOTATION
from executor.settings.load import load
from executor.tenancy.sample import usual
from testbed import api, ci, cluster, layout, registry, runner_image, runner_pod
from testbed.errors import BedError
from testbed.joblog import plain
from testbed.progress import Progress
from testbed.wait import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.runner_pod import RunnerPod

TENANT_A = layout.TENANTS[0]
RESTRICTED = {
    "runAsNonRoot": True,
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


@pytest.fixture(scope="module")
def image(gitlab: ci.Ci, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The image, built from the project's Dockerfile by a job of tenant-a; its reference in the bed's registry."""
    runner_image.provide(Progress())
    runner_image.commit_context(gitlab.coordinator, tmp_path_factory.mktemp("runner-image") / "context")
    job = gitlab.coordinator.submit(runner_image.job(TENANT_A))
    result = job.wait()
    assert result.state == "success", plain(result.trace)
    return ci.image_of(job)


@pytest.fixture
def said(image: str) -> Iterator[Any]:
    """Runs the image in a pod with a command and returns what it printed; the pod is deleted afterwards."""
    name = "runs-the-runner-image"

    def run(*command: str) -> str:
        container = {"name": "runner", "image": image, "command": list(command), "securityContext": RESTRICTED}
        spec = {"restartPolicy": "Never", "nodeSelector": {"tenant": "b"}, "containers": [container]}
        api.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"}, "spec": spec})
        wait_for("the end of the pod", lambda: phase() in {"Succeeded", "Failed"}, 180)
        text = cluster.kubectl("logs", name, "--namespace=default")
        assert phase() == "Succeeded", text
        return text

    def phase() -> str:
        return str(cluster.get("Pod", name, "default")["status"]["phase"])

    yield run
    cluster.kubectl("delete", "pod", name, "--namespace=default", "--ignore-not-found", "--grace-period=0")


def test_the_image_runs_both_programs_as_no_root_on_a_read_only_root(said: Any) -> None:
    text = said("sh", "-c", "id -u; kaniko-driver --version; gitlab-runner --version")
    assert text.splitlines()[:2] == ["10001", f"kaniko-driver, version {__version__}"]
    assert "Version:      19.4.0" in text


def test_the_image_has_bytecode_for_all_that_a_stage_imports(said: Any) -> None:
    look = (
        "import os, sys, executor.stages.entry, executor.stages.run, yaml; "
        "kept = {name: getattr(module, '__cached__', None) for name, module in sys.modules.items()}; "
        "print(*(name for name, path in kept.items() if path and not os.path.exists(path)))"
    )
    assert said("/opt/kaniko-driver/bin/python3", "-c", look).strip() == ""


def test_the_image_says_how_it_wants_to_be_stopped_and_as_whom_it_runs(image: str) -> None:
    config = registry.crane("config", image)
    assert '"StopSignal":"SIGQUIT"' in config
    assert '"User":"10001:0"' in config


@pytest.fixture
def in_cluster(image: str, tmp_path: Path) -> Iterator[RunnerPod]:
    """The runner of tenant-a in the cluster, and a GitLab that only it works for."""
    with runner_pod.at_work(TENANT_A, image, tmp_path) as running:
        yield running


def test_a_runner_in_the_cluster_takes_a_job_and_finishes_it(in_cluster: RunnerPod) -> None:
    pod = in_cluster.pod()
    result = in_cluster.starts("echo built in $HOSTNAME").wait()
    assert result.state == "success", f"{plain(result.trace)}\n{in_cluster.log(pod)}"
    assert "built in kaniko-job-7000-" in plain(result.trace)
    # The operator log is what the pod says, one JSON object a line, beside the runner's own words.
    said = [json.loads(line) for line in in_cluster.log(pod).splitlines() if line.startswith('{"timestamp"')]
    assert {line.get("tenant") for line in said} >= {TENANT_A.name}


def test_a_runner_that_is_to_go_finishes_its_job_first(in_cluster: RunnerPod) -> None:
    pod = in_cluster.pod()
    job = in_cluster.starts("echo ready", "until [ -e /builds/go ]; do usleep 100000; done", "echo finished")
    job.wait_for("ready")
    cluster.kubectl("delete", "pod", pod, f"--namespace={in_cluster.namespace}", "--wait=false")
    wait_for("the runner's word that it goes", lambda: "graceful shutdown" in in_cluster.log(pod), 180)
    (job_pod,) = ci.job_pods(TENANT_A, job.ident)
    name = job_pod["metadata"]["name"]
    cluster.kubectl("exec", name, "--container=build", f"--namespace={TENANT_A.name}", "--", "touch", "/builds/go")
    result = job.wait()
    assert result.state == "success", plain(result.trace)
    assert "finished" in plain(result.trace)
    wait_for("the end of the old runner", lambda: not api.get("Pod", pod, in_cluster.namespace), 180)


def test_the_cron_job_of_config_gc_sweeps_what_nobody_deleted(in_cluster: RunnerPod, image: str) -> None:
    gone, alive = (waiting_pod(f"kaniko-job-{number}-leftover", overdue) for number, overdue in ((1, 3600), (2, -3600)))
    text = (Path(__file__).parents[2] / "config/gc/cronjob.yaml").read_text().replace("IMAGE", image)
    here = f"--namespace={in_cluster.namespace}"
    try:
        cluster.kubectl("apply", "--filename=-", stdin=text)
        # Now and not at the next tenth minute.
        cluster.kubectl("create", "job", "sweep", "--from=cronjob/kaniko-driver-gc", here)
        done = "--for=jsonpath={.status.succeeded}=1"
        try:
            cluster.kubectl("wait", done, "job/sweep", here, "--timeout=180s")
        except BedError as error:
            raise AssertionError(cluster.kubectl("logs", "job/sweep", here)) from error
        wait_for("the end of the leftover", lambda: api.get("Pod", gone, TENANT_A.name) is None, 180)
        assert api.get("Pod", alive, TENANT_A.name) is not None
    finally:
        cluster.kubectl("delete", "cronjob,job", "--all", here)
        for kind in ("role", "rolebinding"):
            cluster.kubectl("delete", kind, "kaniko-driver-gc", f"--namespace={TENANT_A.name}", "--ignore-not-found")
        for name in (gone, alive):
            cluster.kubectl("delete", "pod", name, f"--namespace={TENANT_A.name}", "--ignore-not-found")


def waiting_pod(name: str, overdue: int) -> str:
    """Make a job's pod that no node takes; returns its name."""
    pod = usual(load(str(layout.DRIVER), TENANT_A.name).tenant)
    pod["metadata"] |= {"name": name}
    pod["metadata"]["annotations"][DEADLINE_ANNOTATION] = str(int(time.time()) - overdue)
    pod["spec"] |= {"initContainers": [], "schedulingGates": [{"name": "tests/never"}]}
    api.apply(pod)
    return name
