"""What an operator or an author got wrong is said in the job log, in words, with the next step; nothing stays behind.

Each tenant of this file is wrong in one way. Their jobs run at once, because the runner tries a system failure again.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from executor.pod.names import BUILD_ACCOUNT, DRIVER_ACCOUNT
from executor.tenancy.rights import RULES
from testbed import api, ci, layout, programs
from testbed.coordinator import Coordinator
from testbed.gitserver import commit
from testbed.joblog import plain
from testbed.jobs import Image, JobSpec
from testbed.runner import Runner, custom

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from testbed.coordinator_job import JobResult, SubmittedJob

    from .conftest import Author

TENANT = layout.TENANTS[0]
STRICT = "tenant-strict"  # a namespace whose policy the job pods break


@dataclass(frozen=True)
class Settings:
    """A copy of the bed's settings folder in which things are broken; every tenant starts as a copy of tenant-a."""

    folder: Path

    def change(self, tenant: str, old: str, new: str) -> None:
        """Replace some text in the tenant's file."""
        path = self.folder / "tenants" / f"{tenant}.toml"
        text = (path if path.exists() else path.with_stem(TENANT.name)).read_text()
        assert old in text
        path.write_text(text.replace(old, new))
        path.chmod(0o600)

    def change_kubeconfig(self, tenant: str, pattern: str, new: str) -> None:
        """Give the tenant a kubeconfig of its own with something else in it."""
        path = self.folder / f"{tenant}.kubeconfig"
        path.write_text(re.sub(pattern, new, TENANT.kubeconfig.read_text()))
        path.chmod(0o600)
        self.change(tenant, f'"{TENANT.kubeconfig}"', f'"{path}"')

    def take_away(self, tenant: str) -> None:
        """Give the tenant a cluster that nobody can reach, and little patience: each of three tries takes all of it."""
        self.change_kubeconfig(tenant, rf":{layout.API_PORT}\b", ":6444")
        self.change(tenant, "[timeouts]", '[timeouts]\nconnection = "5s"')


BROKEN: dict[str, Callable[[Settings], object]] = {
    "tenant-nobody": lambda _: None,
    "tenant-cut": lambda settings: settings.change("tenant-cut", "[images]", "[images"),
    "tenant-typo": lambda settings: settings.change("tenant-typo", "memory_limit", "memroy_limit"),
    "tenant-away": lambda settings: settings.take_away("tenant-away"),
    "tenant-expired": lambda settings: settings.change_kubeconfig("tenant-expired", r"(token\W+)[\w.-]+", r"\1expired"),
    STRICT: lambda settings: settings.change(STRICT, f'namespace = "{TENANT.name}"', f'namespace = "{STRICT}"'),
}


@pytest.fixture(scope="module")
def strict_namespace(_bed: None) -> Iterator[None]:
    """A namespace in which tenant-a may make pods, but none as a Kaniko build needs them."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    here = {"name": DRIVER_ACCOUNT, "namespace": STRICT}
    rbac = "rbac.authorization.k8s.io"
    subject = {"kind": "ServiceAccount", "name": DRIVER_ACCOUNT, "namespace": TENANT.name}
    api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": STRICT, "labels": labels}})
    account = {"name": BUILD_ACCOUNT, "namespace": STRICT}
    api.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
    api.apply({"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": here, "rules": list(RULES)})
    role = {"apiGroup": rbac, "kind": "Role", "name": DRIVER_ACCOUNT}
    api.apply(
        {"apiVersion": f"{rbac}/v1", "kind": "RoleBinding", "metadata": here, "roleRef": role, "subjects": [subject]}
    )
    yield
    api.request("DELETE", api.path_of("Namespace", STRICT))


@pytest.fixture(scope="module")
def jobs(strict_namespace: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, SubmittedJob]]:  # noqa: ARG001
    """One job for every broken tenant, all running at once."""
    folder = tmp_path_factory.mktemp("broken")
    settings = Settings(folder / "settings")
    shutil.copytree(layout.DRIVER, settings.folder, ignore=shutil.ignore_patterns("*.jsonl*"))
    for break_it in BROKEN.values():
        break_it(settings)
    content = folder / "content"
    content.mkdir()
    commit(folder / "repositories" / "group" / "sample.git", content)
    names = [*BROKEN, "no-settings"]
    with Coordinator(
        layout.HOST_ADDRESS, folder=folder / "jobs", repositories=folder / "repositories", tenants=names
    ) as coordinator:
        sections = [
            custom(
                name,
                coordinator.runner_token(name),
                driver=ci.DRIVER_COMMAND,
                settings=settings.folder if name in BROKEN else folder / "nowhere",
            )
            for name in names
        ]
        with Runner(programs.RUNNER.path, folder / "runner", url=coordinator.url, sections=sections):
            yield {name: coordinator.submit(JobSpec(name, script=("echo never",))) for name in names}


def refused(job: SubmittedJob) -> tuple[JobResult, str]:
    """The end of a job that must not have begun, and its log."""
    result = job.wait()
    log = plain(result.trace)
    assert result.state == "failed", log
    assert "Traceback" not in log
    assert "$ echo never" not in log
    return result, log


@pytest.mark.parametrize(
    ("tenant", "words"),
    [
        ("tenant-nobody", ("no tenant 'tenant-nobody'", "tenant-a", "config.toml")),
        ("no-settings", ("cannot be read", "nowhere", "--settings")),
        ("tenant-cut", ("tenant-cut.toml", "line", "kaniko-driver validate")),
        ("tenant-typo", ("tenant-typo.toml", "memroy_limit", "memory_limit")),
        ("tenant-away", (f"{layout.HOST_ADDRESS}:6444", "operator")),
        ("tenant-expired", ("401", "operator")),
        (STRICT, ("refused the job pod", "PodSecurity", "Pod Security level forbids it", "operator")),
    ],
)
def test_an_operators_mistake_is_a_system_failure_with_words(
    jobs: dict[str, SubmittedJob], tenant: str, words: tuple[str, ...]
) -> None:
    result, log = refused(jobs[tenant])
    assert result.failure_reason == "runner_system_failure", log
    missing = [word for word in words if word not in log]
    assert missing == [], log


def test_an_image_that_the_tenant_does_not_allow_is_the_authors_to_mend(author: Author) -> None:
    job = author.submits(JobSpec("tenant-a", script=("echo never",), image=Image("registry.example.com/tools:1")))
    result, log = refused(job)
    assert (result.exit_code, result.failure_reason) == (1, "script_failure"), log
    assert "registry.example.com/tools:1" in log
    assert log.count("registry.example.com/tools:1") < 3, (
        "the runner tried a failure again that only the author can mend"
    )
