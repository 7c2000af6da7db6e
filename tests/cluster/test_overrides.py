"""Jobs get what they wish inside their tenant's gates; beyond them they are told, and never cut silently."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed import ci
from testbed.joblog import plain
from testbed.jobs import JobSpec, Variable

from .conftest import BUSY

if TYPE_CHECKING:
    from .conftest import Author


def job(author: Author, *script: str, **variables: str) -> JobSpec:
    """Describe a job that sets these variables, without the prefix that all of them have."""
    wishes = tuple(Variable(f"KUBERNETES_{name}", value) for name, value in variables.items())
    return JobSpec(author.tenant.name, script=script, variables=wishes)


def test_wishes_inside_the_gates_are_in_the_pod_and_closed_gates_are_told_once(author: Author) -> None:
    wishes = {
        # Expanded by the runner, as with its own executor.
        "CPU_LIMIT": "${CORES}m",
        "MEMORY_LIMIT": "3500Mi",
        "POD_LABELS_TEAM": "team=web",
        "NODE_SELECTOR_OWN": f"tenant={author.tenant.node_label}",
        "HELPER_CPU_LIMIT": "64",
        "SERVICE_ACCOUNT_OVERWRITE": "default",
    }
    described = job(author, 'echo run"ning"', BUSY, **wishes)
    described = JobSpec(**vars(described) | {"variables": (Variable("CORES", "2500"), *described.variables)})
    submitted = author.submits(described)
    submitted.wait_for("running")
    (pod,) = ci.job_pods(author.tenant, submitted.ident)
    submitted.cancel()
    log = plain(submitted.wait().trace)

    containers = {one["name"]: one["resources"]["limits"] for one in pod["spec"]["containers"]}
    assert (containers["build"]["cpu"], containers["build"]["memory"]) == ("2500m", "3500Mi")
    assert containers["helper"]["cpu"] == "2"
    assert pod["metadata"]["labels"]["team"] == "web"
    assert pod["metadata"]["labels"]["kaniko-driver/tenant"] == author.tenant.name
    assert pod["spec"]["nodeSelector"] == {"tenant": author.tenant.node_label}
    assert pod["spec"]["serviceAccountName"] == "kaniko-build"
    (ignored,) = [line for line in log.splitlines() if "opens no gate" in line]
    assert ignored.endswith("KUBERNETES_HELPER_CPU_LIMIT, KUBERNETES_SERVICE_ACCOUNT_OVERWRITE"), log


def test_a_wish_above_the_maximum_is_the_authors_to_mend(author: Author) -> None:
    result = author.submits(job(author, "echo never", CPU_LIMIT="2501m")).wait()
    log = plain(result.trace)
    assert (result.state, result.exit_code, result.failure_reason) == ("failed", 1, "script_failure"), log
    assert "KUBERNETES_CPU_LIMIT was refused: '2501m'" in log
    assert "The maximum is 2500m (overrides.build.cpu_limit of tenant-a)." in log
    assert "$ echo never" not in log


def test_nodes_and_namespaces_of_others_are_out_of_reach(author: Author) -> None:
    elsewhere = [
        author.submits(job(author, "echo never", NODE_SELECTOR_1="tenant=b")),
        author.submits(job(author, "echo never", NAMESPACE_OVERWRITE="tenant-b")),
    ]
    for submitted in elsewhere:
        result = submitted.wait()
        log = plain(result.trace)
        assert (result.exit_code, result.failure_reason) == (1, "script_failure"), log
        assert "was refused" in log
        assert "$ echo never" not in log
