"""What both executors stand on: one coordinator, one runner, the same node, images, requests and limits.

The built-in executor gets a namespace of its own with an account of its own, so that the audit log tells the two
apart; namespace and account are deleted again. The driver serves the bed's first tenant, with that tenant's settings
but for the requests: what a container asks for is made so small that twenty pods fit on the node at once, for both.
"""

from __future__ import annotations

import sys
import tomllib
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from executor.pod.names import WARM_LABEL
from testbed import api, ci, cluster, layout, pki, programs, tenants
from testbed.bench import shim
from testbed.coordinator import Coordinator
from testbed.errors import BedError
from testbed.gitserver import commit
from testbed.joblog import plain
from testbed.jobs import JobSpec, Project
from testbed.process import tail
from testbed.runner import Runner, Section, builtin, custom, toml
from testbed.wait import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from testbed.coordinator_job import JobResult, SubmittedJob
    from testbed.progress import Progress

TENANT = layout.TENANTS[0]
BUILTIN, DRIVER, WARM, MEASURED = "builtin", "driver", "warm", "measured"
"""Whom a job is for: the built-in executor, the driver, the driver with warm pods, the driver with every stage's
consumption written down."""
WARM_PODS = 2
NAMESPACE = "bench-builtin"
ACCOUNT = "gitlab-runner"
USERS = {
    BUILTIN: f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}",
    DRIVER: f"system:serviceaccount:{TENANT.name}:kaniko-driver",
    WARM: f"system:serviceaccount:{TENANT.name}:kaniko-driver",
}
TOKEN_LIFE = 24 * 3600  # seconds
REQUESTS = {
    "build": {"cpu_request": "50m", "memory_request": "64Mi", "ephemeral_storage_request": "64Mi"},
    "helper": {"cpu_request": "10m", "memory_request": "32Mi", "ephemeral_storage_request": "64Mi"},
    "cache_registry": {"cpu_request": "5m", "memory_request": "32Mi", "ephemeral_storage_request": "32Mi"},
}
PATIENCE = 300.0  # seconds for one job
CLEAN_UP = 120.0  # seconds until the pods of ended jobs are gone

# Without this right or that the executor works half; what it needs is no part of the comparison.
_RULES = [
    {
        "apiGroups": [""],
        "resources": [
            *("pods", "pods/exec", "pods/attach", "pods/log", "secrets", "configmaps", "services"),
            *("serviceaccounts", "events"),
        ],
        "verbs": ["*"],
    }
]


@dataclass(frozen=True)
class Ground:
    """Coordinator and runner at work for both executors; files are in `folder`."""

    folder: Path
    coordinator: Coordinator
    runner: Runner
    settings: Path
    warm_settings: Path
    """The same, for a tenant with warm pods."""
    records: Path
    """Where the stages of jobs for MEASURED leave what they used."""
    progress: Progress

    def submit(self, queue: str, script: tuple[str, ...]) -> SubmittedJob:
        """Hand in a job that clones a small project and runs a script, for one of the executors."""
        return self.coordinator.submit(JobSpec(queue, script=script, project=Project("group/small")))

    def finished(self, job: SubmittedJob) -> JobResult:
        """Wait for a job.

        Raises:
            BedError: it did not succeed; nothing that was measured then means anything.
        """
        result = job.wait(PATIENCE)
        if result.state != "success":
            end = "\n".join(plain(result.trace).splitlines()[-15:])
            raise BedError(
                f"job {result.ident} for {job.spec.tenant} ended as {result.state} ({result.failure_reason}); "
                f"the end of its log:\n{end}\nand of the runner's:\n{tail(self.runner.log)}"
            )
        return result

    def wait_until_quiet(self) -> None:
        """Wait until the pods of ended jobs are gone; their end would disturb what is measured next."""
        wait_for("the end of the jobs' pods", lambda: not pods(), CLEAN_UP)

    @contextmanager
    def warmed(self, count: int = WARM_PODS) -> Iterator[None]:
        """Let the tenant have so many warm pods for the block."""
        tenant_files = write_settings(self.warm_settings, warm=count)
        tenants.operate("apply", TENANT.name, "--yes", folder=tenant_files)
        try:
            wait_until_warm(count)
            yield
        finally:
            tenants.operate("apply", TENANT.name, "--yes")
            wait_for("the end of the warm pods", lambda: not warm_pods(), CLEAN_UP)


def pods() -> list[dict[str, Any]]:
    """The pods of both namespaces, less those that wait for jobs."""
    return [*cluster.pods(NAMESPACE), *(pod for pod in cluster.pods(TENANT.name) if not _waits(pod))]


def warm_pods() -> list[dict[str, Any]]:
    """The pods that wait for jobs."""
    return [pod for pod in cluster.pods(TENANT.name) if _waits(pod)]


def wait_until_warm(count: int = WARM_PODS) -> None:
    """Wait until every pod that is to wait for jobs is ready for one."""
    wait_for("the warm pods", lambda: sum(map(_is_ready, warm_pods())) == count, CLEAN_UP)


def _waits(pod: dict[str, Any]) -> bool:
    return WARM_LABEL in pod["metadata"].get("labels", {})


def _is_ready(pod: dict[str, Any]) -> bool:
    return any(
        one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", ())
    ) and not pod["metadata"].get("deletionTimestamp")


@contextmanager
def prepared(folder: Path, progress: Progress) -> Iterator[Ground]:
    """Make the ground for the block, and take it away again; the caller is in the bed's network namespace."""
    with _namespace(progress):
        settings = write_settings(folder / "settings")
        warm_settings = write_settings(folder / "warm-settings", warm=WARM_PODS)
        repositories, records = folder / "repositories", folder / "stages.jsonl"
        queues = (BUILTIN, DRIVER, WARM, MEASURED)
        with Coordinator(
            layout.HOST_ADDRESS, folder=folder / "jobs", repositories=repositories, tenants=queues
        ) as coordinator:
            _commit_small(coordinator, folder / "small")
            sections = _sections(coordinator, settings, warm_settings, recorder(folder / "recorder", records))
            with Runner(programs.RUNNER.path, folder / "runner", url=coordinator.url, sections=sections) as runner:
                yield Ground(folder, coordinator, runner, settings, warm_settings, records, progress)
                runner.check()


def write_settings(folder: Path, source: Path = layout.DRIVER, *, warm: int = 0) -> Path:
    """Write the tenant's settings with the bench's requests and so many warm pods; returns the folder."""
    tenant = tomllib.loads((source / "tenants" / f"{TENANT.name}.toml").read_text())
    for container, requests in REQUESTS.items():
        tenant["resources"].setdefault(container, {}).update(requests)
    # Twenty pods on one small node may wait for each other; that is what is measured, and no failure.
    tenant["timeouts"] = tenant.get("timeouts", {}) | {"schedule": "5m", "start": "5m"}
    if warm:
        tenant["capacity"] = tenant.get("capacity", {}) | {"warm_pods": warm}
    pki.write_private(folder / "driver.toml", toml({"version": 1, "log": {"file": str(folder / "driver.jsonl")}}))
    pki.write_private(folder / "tenants" / f"{TENANT.name}.toml", toml(tenant))
    return folder


def recorder(path: Path, records: Path, driver: Path = ci.DRIVER_COMMAND) -> Path:
    """Write a command that is the driver and records what each stage uses."""
    words = (sys.executable, "-I", "-S", Path(shim.__file__), records, driver)
    path.write_text(f'#!/bin/sh\nexec {" ".join(quote(str(word)) for word in words)} "$@"\n')
    path.chmod(0o700)
    return path


def kubernetes_options(resources: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """A tenant's `[resources]` in the words of the built-in executor, and the tenant's node."""
    options: dict[str, Any] = {"node_selector": {"tenant": TENANT.node_label}}
    for container, prefix in (("build", ""), ("helper", "helper_")):
        options |= {prefix + key: value for key, value in resources[container].items()}
    return options


def _sections(coordinator: Coordinator, settings: Path, warm: Path, measured: Path) -> list[Section]:
    resources = tomllib.loads((settings / "tenants" / f"{TENANT.name}.toml").read_text())["resources"]
    token = coordinator.runner_token
    return [
        builtin(
            BUILTIN,
            token(BUILTIN),
            namespace=NAMESPACE,
            access=api.account_token(ACCOUNT, NAMESPACE, TOKEN_LIFE),
            options=kubernetes_options(resources),
        ),
        replace(custom(TENANT.name, token(DRIVER), driver=ci.DRIVER_COMMAND, settings=settings), name=DRIVER),
        replace(custom(TENANT.name, token(WARM), driver=ci.DRIVER_COMMAND, settings=warm), name=WARM),
        replace(custom(TENANT.name, token(MEASURED), driver=measured, settings=settings), name=MEASURED),
    ]


def _commit_small(coordinator: Coordinator, files: Path) -> None:
    files.mkdir(parents=True)
    (files / "README").write_text("a project with one file\n")
    commit(coordinator.repository("group/small"), files)


@contextmanager
def _namespace(progress: Progress) -> Iterator[None]:
    for manifest in manifests():
        api.apply(manifest)
    try:
        wait_for("the default account", lambda: api.get("ServiceAccount", "default", NAMESPACE), 30)
        yield
    finally:
        with progress.step("deleting the built-in executor's namespace"):
            cluster.kubectl("delete", "namespace", NAMESPACE, "--timeout=100s")


def manifests() -> list[dict[str, Any]]:
    """What the built-in executor needs in the cluster, in the order of making."""
    rbac = "rbac.authorization.k8s.io"
    here = {"name": ACCOUNT, "namespace": NAMESPACE}
    labels = {"pod-security.kubernetes.io/enforce": "baseline"}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": here},
        {"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": here, "rules": _RULES},
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "RoleBinding",
            "metadata": here,
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": ACCOUNT},
            "subjects": [{"kind": "ServiceAccount", **here}],
        },
    ]
