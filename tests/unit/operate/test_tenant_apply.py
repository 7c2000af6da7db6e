"""Clusters that the test bed cannot be: too old for admission policies, out of reach, or closed to the operator."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
import yaml
from click.testing import CliRunner

from executor.cluster.admin import Admin, Reference
from executor.errors import ClusterRefused, SettingsInvalid
from executor.operate import tenant_apply, tenant_delete, tenant_login
from executor.operate.tenant import tenant
from executor.operate.tenant_apply import api_server_of, plan
from executor.tenancy import objects
from tests.support import tenants
from tests.support.tenants import write_settings

if TYPE_CHECKING:
    from pathlib import Path


def kubeconfig(folder: Path, server: str) -> str:
    """Write a kubeconfig of an administrator for a server."""
    path = folder / "admin.kubeconfig"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {"token": "t0ken"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path.write_text(yaml.safe_dump(document))
    return str(path)


class OldCluster(Admin):
    """Kubernetes 1.29: everything but admission policies, and nothing of the tenant yet."""

    def __init__(self) -> None:
        """Need no credentials."""

    def serves(self, reference: Reference) -> bool:
        return "Policy" not in reference.kind or reference.kind == "NetworkPolicy"

    def get(self, reference: Reference) -> dict[str, Any] | None:  # noqa: ARG002 - there is nothing yet
        return None

    def apply(self, manifest: Any, *, dry_run: bool = False) -> dict[str, Any]:
        assert dry_run
        return dict(manifest)


class ClosedCluster(OldCluster):
    """Its administrator lets nobody read the default namespace."""

    @property
    def server(self) -> Any:
        """An address without a name."""
        return type("Server", (), {"url": "https://192.0.2.1:6443"})

    def get(self, reference: Reference) -> dict[str, Any] | None:
        raise ClusterRefused(f"refused to get {reference}", status=403, why="403 services is forbidden")


def test_a_cluster_without_admission_policies_gets_everything_else() -> None:
    steps = plan(OldCluster(), objects.render(tenants.tenant()))
    states = {step.reference.kind: step.state for step in steps}
    assert {kind for kind, state in states.items() if state == "left out"} == {
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    }
    assert {state for kind, state in states.items() if "Admission" not in kind} == {"created"}


def test_what_is_not_known_of_the_api_servers_addresses_is_said() -> None:
    found, unknown = api_server_of(ClosedCluster())
    assert found == {("192.0.2.1", 6443)}
    assert "services is forbidden" in unknown


def call(*arguments: str, settings: str) -> Any:
    return CliRunner().invoke(tenant, [*arguments, "--settings", settings])


@pytest.mark.parametrize("command", ["apply", "delete", "kubeconfig"])
def test_a_cluster_out_of_reach_is_said_in_words(tmp_path: Path, command: str) -> None:
    settings = write_settings(
        tmp_path / "settings", tenant=tenants.MINIMAL.replace("[nodes]", 'kubeconfig = "/k"\n[nodes]')
    )
    # Port 1 of loopback: nobody listens there.
    admin = kubeconfig(tmp_path, "https://127.0.0.1:1")
    done = call(command, "tenant-a", "--kubeconfig", admin, settings=settings)
    assert done.exit_code == 1
    assert "https://127.0.0.1:1" in done.output
    assert "Traceback" not in done.output
    assert "t0ken" not in done.output


@pytest.mark.parametrize("content", ["clusters: [", "just text", ""])
def test_a_kubeconfig_that_is_none_is_said_without_quoting_it(tmp_path: Path, content: str) -> None:
    settings = write_settings(tmp_path / "settings")
    path = tmp_path / "broken"
    path.write_text(content)
    done = call("apply", "tenant-a", "--kubeconfig", str(path), settings=settings)
    assert done.exit_code == 1
    assert "There are no credentials for the cluster that could be used." in done.output
    assert "broken is no kubeconfig." in done.output or "Invalid kube-config" in done.output
    assert "Traceback" not in done.output


def test_a_kubeconfig_that_is_not_there_is_named(tmp_path: Path) -> None:
    settings = write_settings(tmp_path / "settings")
    done = call("apply", "tenant-a", "--kubeconfig", str(tmp_path / "absent"), settings=settings)
    assert done.exit_code == 1
    assert f"{tmp_path}/absent: No such file or directory" in done.output


@pytest.mark.parametrize("namespace", ["default", "kube-system"])
def test_the_clusters_own_namespaces_are_never_a_tenants(tmp_path: Path, namespace: str) -> None:
    text = tenants.MINIMAL.replace('namespace = "tenant-a"', f'namespace = "{namespace}"')
    settings = write_settings(tmp_path / "settings", tenant=text)
    for command in ("apply", "delete"):
        done = call(command, "tenant-a", "--kubeconfig", kubeconfig(tmp_path, "https://127.0.0.1:1"), settings=settings)
        assert done.exit_code == 1
        assert f"The namespace {namespace} belongs to the cluster" in done.output


def test_a_duration_that_is_none_is_refused_before_the_cluster_is_asked(tmp_path: Path) -> None:
    settings = write_settings(tmp_path / "settings")
    options = ("--file", "-", "--duration", "soon", "--kubeconfig", str(tmp_path / "none"))
    done = call("kubeconfig", "tenant-a", *options, settings=settings)
    assert done.exit_code == 2
    assert "'soon' is no time span" in done.output


def test_a_kubeconfig_whose_place_is_taken_by_a_folder_is_said_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()

    with pytest.raises(SettingsInvalid, match="out cannot be written: Is a directory"):
        tenant_login._replace(str(tmp_path / "out"), "secret")

    assert [one.name for one in tmp_path.iterdir()] == ["out"]


def test_a_runner_inside_the_cluster_has_no_kubeconfig_to_write(tmp_path: Path) -> None:
    settings = write_settings(tmp_path / "settings")
    done = call("kubeconfig", "tenant-a", settings=settings)
    assert done.exit_code == 1
    assert "because its runner is inside the cluster" in done.output


@pytest.mark.parametrize("known", [True, False])
def test_warm_pods_wait_small_only_where_the_cluster_resizes_pods(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, known: bool
) -> None:
    class Cluster(OldCluster):
        server = ClosedCluster.server

        def resizes_pods(self) -> bool:
            return known

        def list(self, reference: Reference, *, labels: str = "") -> list[dict[str, Any]]:  # noqa: ARG002 - there is nothing
            return []

    monkeypatch.setattr(tenant_apply, "Admin", lambda **_: Cluster())
    text = f"{tenants.MINIMAL}\n[capacity]\nwarm_pods = 1\nwarm_small = true\n"
    done = call("apply", "tenant-a", "--diff", settings=write_settings(tmp_path / "settings", tenant=text))
    assert ("does not resize pods in place" in done.output) == (not known)
    assert ("-small" in done.output) == known


class ForeignCluster(OldCluster):
    """A namespace with the tenant's name is there already, and was made by somebody else for something else."""

    deleted: ClassVar[list[Reference]] = []

    def get(self, reference: Reference) -> dict[str, Any] | None:
        return {"metadata": {"name": reference.name, "labels": {"team": "payments"}}}

    def delete(self, reference: Reference) -> bool:
        self.deleted.append(reference)
        return True

    @property
    def server(self) -> Any:
        """Its address."""
        return type("Server", (), {"url": "https://192.0.2.1:6443"})


def test_what_merely_has_the_tenants_name_is_never_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tenant_delete, "Admin", lambda **_: ForeignCluster())
    done = call("delete", "tenant-a", "--yes", settings=write_settings(tmp_path / "settings"))
    assert (done.exit_code, ForeignCluster.deleted) == (0, [])
    assert "There is nothing of tenant-a" in done.output


def test_an_installation_without_the_client_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The runner's image has none, unless it was made with it.
    monkeypatch.setitem(sys.modules, "kubernetes", None)
    done = call("apply", "tenant-a", settings=write_settings(tmp_path / "settings"))
    assert done.exit_code == 1
    assert "has no Kubernetes client" in done.output
