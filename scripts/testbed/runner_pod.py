"""A tenant's runner in the bed's cluster, made as an operator makes it: settings, `tenant apply --runner`, a Secret.

It asks a coordinator of its own for jobs, so that no other runner of the tenant takes them.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from executor.pod import names
from testbed import cluster, layout, runner_image, tenants
from testbed.coordinator import Coordinator
from testbed.jobs import JobSpec
from testbed.wait import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from testbed.coordinator_job import SubmittedJob
    from testbed.layout import Tenant

FIRST_JOB = 7000
DRAIN = "5m"


@dataclass(frozen=True)
class RunnerPod:
    """A tenant whose only runner is a pod."""

    coordinator: Coordinator
    tenant: Tenant

    @property
    def namespace(self) -> str:
        """Where the runner is."""
        return names.runner_namespace(self.tenant.name)

    def starts(self, *script: str) -> SubmittedJob:
        """Start a job that needs no repository."""
        image = runner_image.PIPELINE_IMAGE
        return self.coordinator.submit(JobSpec(self.tenant.name, script=script, git_strategy="none", image=image))

    def pod(self) -> str:
        """The name of the runner's pod, once there is one."""

        def found() -> list[str]:
            pods = cluster.pods(self.namespace)
            return [pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"]]

        return str(wait_for("the runner's pod", found, 180)[0])

    def log(self, pod: str) -> str:
        """What the runner and the driver say."""
        return cluster.kubectl("logs", pod, f"--namespace={self.namespace}")


@contextmanager
def at_work(tenant: Tenant, image: str, folder: Path) -> Iterator[RunnerPod]:
    """Run the tenant's runner from this image for the block; settings, logs and artifacts are in `folder`."""
    with Coordinator(
        layout.HOST_ADDRESS,
        folder=folder / "jobs",
        repositories=folder / "repositories",
        tenants=[tenant.name],
        first_job=FIRST_JOB,
    ) as coordinator:
        running = RunnerPod(coordinator, tenant)
        _write_settings(folder / "settings", tenant, image, coordinator.url)
        here = f"--namespace={running.namespace}"
        try:
            tenants.operate("apply", tenant.name, "--runner", "--yes", folder=folder / "settings")
            token = f"--from-literal=token={coordinator.runner_token(tenant.name)}"
            cluster.kubectl("create", "secret", "generic", names.RUNNER, here, token)
            yield running
        finally:
            cluster.kubectl("delete", "deployment", "--all", here, "--wait=false")
            cluster.kubectl("delete", "pod", "--all", here, "--grace-period=5")
            cluster.kubectl("delete", "namespace", running.namespace, "--ignore-not-found")
            cluster.kubectl("delete", "rolebinding", names.RUNNER, f"--namespace={tenant.name}", "--ignore-not-found")


def _write_settings(folder: Path, tenant: Tenant, image: str, url: str) -> None:
    """Write the bed's settings of the tenant, changed as a runner in the cluster needs them."""
    lines = tenants.settings(tenant).splitlines()
    text = "\n".join(line for line in lines if not line.startswith("kubeconfig"))
    text += f"""
[gitlab]
url = "{url}"

[runner.pod]
image = "{image}"
drain = "{DRAIN}"
"""
    (folder / "tenants").mkdir(parents=True)
    (folder / "driver.toml").write_text("version = 1\n")
    (folder / "tenants" / f"{tenant.name}.toml").write_text(text)
