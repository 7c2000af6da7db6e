"""The runner with the driver as an image, built by the driver's own job, and then at work inside the cluster."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from executor import __version__
from executor.pod import names
from testbed import api, ci, cluster, layout, registry, runner_image, tenants
from testbed.coordinator import Coordinator
from testbed.gitserver import commit
from testbed.joblog import plain
from testbed.jobs import JobSpec
from testbed.progress import Progress
from testbed.wait import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from testbed.coordinator_job import SubmittedJob

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
    context = tmp_path_factory.mktemp("runner-image") / "context"
    runner_image.write_context(context)
    commit(gitlab.coordinator.repository(runner_image.PROJECT), context)
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
        wait_for("the end of the pod", lambda: phase() in {"Succeeded", "Failed"}, 60)
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
        "import os, sys, executor.stages.entry, executor.stages.run, yaml, websocket; "
        "kept = {name: getattr(module, '__cached__', None) for name, module in sys.modules.items()}; "
        "print(*(name for name, path in kept.items() if path and not os.path.exists(path)))"
    )
    assert said("/opt/kaniko-driver/bin/python3", "-c", look).strip() == ""


def test_the_image_says_how_it_wants_to_be_stopped_and_as_whom_it_runs(image: str) -> None:
    config = registry.crane("config", image)
    assert '"StopSignal":"SIGQUIT"' in config
    assert '"User":"10001:0"' in config


@dataclass(frozen=True)
class InCluster:
    """A tenant whose only runner is a pod."""

    coordinator: Coordinator
    namespace: str

    def starts(self, *script: str) -> SubmittedJob:
        """Start a job that needs no repository."""
        image = runner_image.PIPELINE_IMAGE
        return self.coordinator.submit(JobSpec(TENANT_A.name, script=script, git_strategy="none", image=image))

    def pod(self) -> str:
        """The name of the runner's pod, once there is one."""

        def found() -> list[str]:
            pods = cluster.pods(self.namespace)
            return [pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"]]

        return str(wait_for("the runner's pod", found, 60)[0])

    def log(self, pod: str) -> str:
        """What the runner and the driver say."""
        return cluster.kubectl("logs", pod, f"--namespace={self.namespace}")


@pytest.fixture
def in_cluster(image: str, tmp_path: Path) -> Iterator[InCluster]:
    """The runner of tenant-a in the cluster, as the settings describe it, and a GitLab that only it works for."""
    with Coordinator(
        layout.HOST_ADDRESS,
        folder=tmp_path / "jobs",
        repositories=tmp_path / "repositories",
        tenants=[TENANT_A.name],
        first_job=7000,
    ) as coordinator:
        folder = tmp_path / "settings"
        write_settings(folder, image, coordinator.url)
        namespace = names.runner_namespace(TENANT_A.name)
        try:
            tenants.operate("apply", TENANT_A.name, "--runner", "--yes", folder=folder)
            token = f"--from-literal=token={coordinator.runner_token(TENANT_A.name)}"
            cluster.kubectl("create", "secret", "generic", "kaniko-runner", f"--namespace={namespace}", token)
            yield InCluster(coordinator, namespace)
        finally:
            cluster.kubectl("delete", "deployment", "--all", f"--namespace={namespace}", "--wait=false")
            cluster.kubectl("delete", "pod", "--all", f"--namespace={namespace}", "--grace-period=5")
            cluster.kubectl("delete", "namespace", namespace)
            cluster.kubectl("delete", "rolebinding", names.RUNNER, f"--namespace={TENANT_A.name}")


def write_settings(folder: Path, image: str, url: str) -> None:
    """Write the bed's settings of the tenant, changed as a runner in the cluster needs them."""
    lines = tenants.settings(TENANT_A).splitlines()
    text = "\n".join(line for line in lines if not line.startswith("kubeconfig"))
    text += f"""
[gitlab]
url = "{url}"

[runner.pod]
image = "{image}"
drain = "1m"
"""
    (folder / "tenants").mkdir(parents=True)
    (folder / "driver.toml").write_text("version = 1\n")
    (folder / "tenants" / f"{TENANT_A.name}.toml").write_text(text)


def test_a_runner_in_the_cluster_takes_a_job_and_finishes_it(in_cluster: InCluster) -> None:
    pod = in_cluster.pod()
    result = in_cluster.starts("echo built in $HOSTNAME").wait()
    assert result.state == "success", f"{plain(result.trace)}\n{in_cluster.log(pod)}"
    assert "built in kaniko-job-7000-" in plain(result.trace)
    # The operator log is what the pod says, one JSON object a line, beside the runner's own words.
    said = [json.loads(line) for line in in_cluster.log(pod).splitlines() if line.startswith('{"timestamp"')]
    assert {line.get("tenant") for line in said} >= {TENANT_A.name}


def test_a_runner_that_is_to_go_finishes_its_job_first(in_cluster: InCluster) -> None:
    pod = in_cluster.pod()
    job = in_cluster.starts("echo ready", "until [ -e /builds/go ]; do usleep 100000; done", "echo finished")
    job.wait_for("ready")
    cluster.kubectl("delete", "pod", pod, f"--namespace={in_cluster.namespace}", "--wait=false")
    wait_for("the runner's word that it goes", lambda: "graceful shutdown" in in_cluster.log(pod), 30)
    (job_pod,) = ci.job_pods(TENANT_A, job.ident)
    name = job_pod["metadata"]["name"]
    cluster.kubectl("exec", name, "--container=build", f"--namespace={TENANT_A.name}", "--", "touch", "/builds/go")
    result = job.wait()
    assert result.state == "success", plain(result.trace)
    assert "finished" in plain(result.trace)
    wait_for("the end of the old runner", lambda: not api.get("Pod", pod, in_cluster.namespace), 60)
