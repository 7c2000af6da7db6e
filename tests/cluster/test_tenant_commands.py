"""An operator's day with tenants: a new one up to its first job, changes, renewed logins, and its end."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from testbed import api, ci, cluster, layout, programs, tenants
from testbed.coordinator import Coordinator
from testbed.errors import BedError
from testbed.gitserver import commit
from testbed.joblog import plain
from testbed.jobs import JobSpec
from testbed.runner import Runner, Section
from testbed.wait import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "tenant-new"
ADMIN = str(layout.ADMIN_KUBECONFIG)


@dataclass(frozen=True)
class Operator:
    """Somebody with a settings folder and a cluster administrator's kubeconfig."""

    settings: Path

    @property
    def file(self) -> Path:
        """The new tenant's settings."""
        return self.settings / "tenants" / f"{NAME}.toml"

    def does(self, *arguments: str, rights: str = ADMIN, answer: str = "") -> subprocess.CompletedProcess[str]:
        """Run `kaniko-driver tenant …` for the new tenant."""
        verb, *options = arguments
        needs = () if verb == "register" else ("--kubeconfig", rights)
        command = (*layout.ENTER, str(tenants.COMMAND), "tenant", verb, NAME, "--settings", str(self.settings))
        return subprocess.run(
            (*command, *needs, *options), input=answer, capture_output=True, text=True, check=False, timeout=300
        )

    def changes(self, old: str, new: str) -> None:
        """Edit the settings."""
        text = self.file.read_text()
        assert old in text
        self.file.write_text(text.replace(old, new))


def hard(name: str = NAME) -> dict[str, str]:
    found = api.get("ResourceQuota", "kaniko-driver", name)
    assert found is not None
    limits: dict[str, str] = found["spec"]["hard"]
    return limits


@pytest.fixture(scope="module")
def operator(_bed: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """An operator whose folder has what all tenants of the bed share, and no tenant yet."""
    folder = tmp_path_factory.mktemp("operator")
    # The second one's have an image of their own for the tools.
    images = tomllib.loads(tenants.settings(layout.TENANTS[1]))["images"]
    shared = "".join(f'{key} = "{images[key]}"\n' for key in ("kaniko", "helper", "tools", "cache_registry"))
    address = f"{layout.HOST_ADDRESS}/32"
    (folder / "driver.toml").write_text(
        f"{tenants.DRIVER_SETTINGS}\n[defaults.images]\n{shared}\n[defaults.network]\n"
        f'registry = [{{ cidr = "{address}", ports = [{layout.REGISTRY_PORT}] }}]\n'
        f'gitlab = [{{ cidr = "{address}", ports = [32768], end_port = 60999 }}]\n'
    )
    someone = Operator(folder)
    yield someone
    if someone.file.exists():
        someone.does("delete", "--yes")


@pytest.fixture(scope="module")
def new(operator: Operator) -> Operator:
    """The operator after `init` and `apply`."""
    begun = operator.does("init", "--jobs", "3")
    assert begun.returncode == 0, begun.stderr
    # The bed's nodes have labels of their own, and no taints.
    operator.changes('"node-restriction.kubernetes.io/tenant" = ["tenant-new"]', 'tenant = ["a"]')
    applied = operator.does("apply", "--yes")
    assert applied.returncode == 0, applied.stderr
    assert f"created Namespace {NAME}" in applied.stdout
    return operator


def test_init_asked_the_cluster_where_its_api_server_is(new: Operator) -> None:
    servers = tomllib.loads(new.file.read_text())["network"]["api_server"]
    assert {"cidr": f"{layout.HOST_ADDRESS}/32", "ports": [layout.API_PORT]} in servers
    assert {"cidr": f"{layout.SERVICE_ADDRESS}/32", "ports": [443]} in servers


def test_applying_again_changes_nothing(new: Operator) -> None:
    before = api.get("Role", "kaniko-driver", NAME)
    again = new.does("apply")
    assert (again.returncode, again.stdout.splitlines()[-1]) == (0, "11 unchanged")
    assert before == api.get("Role", "kaniko-driver", NAME)
    assert new.does("apply", "--diff").returncode == 0


def test_a_new_tenant_runs_its_first_job(new: Operator, tmp_path: Path) -> None:
    assert new.does("kubeconfig").returncode == 0
    content = tmp_path / "content"
    content.mkdir()
    (content / "README").write_text("first\n")
    commit(tmp_path / "repositories" / "group" / "sample.git", content)
    (told,) = tomllib.loads(new.does("register", "--command", str(tenants.COMMAND)).stdout)["runners"]
    with Coordinator(
        layout.HOST_ADDRESS, folder=tmp_path / "jobs", repositories=tmp_path / "repositories", tenants=[NAME]
    ) as coordinator:
        token = coordinator.runner_token(NAME)
        section = Section(NAME, token, told["executor"], {"custom": told["custom"]}, {"limit": told["limit"]})
        with Runner(programs.RUNNER.path, tmp_path / "runner", url=coordinator.url, sections=[section]):
            result = coordinator.submit(JobSpec(NAME, script=("echo it works",))).wait()
    assert result.state == "success", plain(result.trace)
    assert "it works" in plain(result.trace)
    wait_for("the end of its pod", lambda: not ci.all_job_pods(), 180)


class TestChanges:
    def test_a_change_is_shown_first_and_made_when_it_is_wanted(self, new: Operator) -> None:
        new.changes("jobs = 3", "jobs = 5")
        shown = new.does("apply", "--diff")
        assert shown.returncode == 2
        assert "-    pods: '5'" in shown.stdout
        assert "+    pods: '7'" in shown.stdout
        refused = new.does("apply", answer="n\n")
        assert (refused.returncode, hard()["pods"]) == (1, "5")
        done = new.does("apply", answer="y\n")
        assert done.returncode == 0, done.stderr
        assert f"changed ResourceQuota kaniko-driver in namespace {NAME}" in done.stdout
        assert hard()["pods"] == "7"

    def test_what_somebody_changed_by_hand_is_set_back(self, new: Operator) -> None:
        path = api.path_of("ResourceQuota", "kaniko-driver", NAME)
        wanted = hard()["pods"]
        api.request("PATCH", path, {"spec": {"hard": {"pods": "500"}}}, "application/merge-patch+json")
        rows = {row["kind"]: row["state"] for row in json.loads(new.does("apply", "--yes", "--output", "json").stdout)}
        assert rows["ResourceQuota"] == "changed"
        assert set(rows.values()) == {"changed", "unchanged"}
        assert hard()["pods"] == wanted

    def test_a_missing_right_is_named(self, new: Operator) -> None:
        done = new.does("apply", "--yes", rights=str(layout.TENANTS[1].kubeconfig))
        assert done.returncode == 1
        assert f"refused to get Namespace {NAME}" in done.stderr
        assert 'cannot get resource "namespaces"' in done.stderr

    def test_settings_that_open_the_api_server_are_refused_with_the_line_to_write(self, new: Operator) -> None:
        before = new.file.read_text()
        opened = "extra = [{ cidr = '10.0.0.0/8' }]\napi_server = []"
        try:
            new.file.write_text(re.sub(r"api_server = \[.*?\n\]", opened, before, flags=re.DOTALL))
            done = new.does("apply", "--yes")
        finally:
            new.file.write_text(before)
        assert done.returncode == 1
        assert f"network.extra opens {layout.SERVICE_ADDRESS} port 443." in done.stderr
        assert f'api_server = [{{ cidr = "{layout.HOST_ADDRESS}/32", ports = [{layout.API_PORT}] }}' in done.stderr

    def test_another_tenants_namespace_is_not_touched(self, new: Operator) -> None:
        before = new.file.read_text()
        try:
            new.changes(f'namespace = "{NAME}"', 'namespace = "tenant-a"')
            for verb in ("apply", "delete"):
                done = new.does(verb, "--yes")
                assert (done.returncode, done.stdout) == (1, "")
                assert "is that of the tenant tenant-a" in done.stderr
        finally:
            new.file.write_text(before)


def may(kubeconfig: Path, verb: str, what: str, namespace: str) -> bool:
    """Ask the API server, as whoever the kubeconfig is for."""
    question = ("auth", "can-i", verb, what, f"--namespace={namespace}")
    try:
        return cluster.kubectl(f"--kubeconfig={kubeconfig}", *question) == "yes\n"
    except BedError:
        return False


class TestLogin:
    def test_it_opens_the_tenants_namespace_only_and_is_private(self, new: Operator, tmp_path: Path) -> None:
        path = tmp_path / "own"
        done = new.does("kubeconfig", "--file", str(path), "--duration", "1h")
        assert done.returncode == 0, done.stderr
        assert done.stdout == ""
        assert "valid until" in done.stderr
        assert path.stat().st_mode & 0o777 == 0o600
        assert may(path, "create", "pods", NAME)
        assert not may(path, "get", "secrets", NAME)
        assert not may(path, "list", "pods", "tenant-a")

    def test_it_can_be_renewed_and_all_earlier_ones_ended(self, new: Operator, tmp_path: Path) -> None:
        first, second = tmp_path / "first", tmp_path / "second"
        new.does("kubeconfig", "--file", str(first))
        new.does("kubeconfig", "--file", str(second))
        assert may(first, "create", "pods", NAME)
        third = new.does("kubeconfig", "--file", str(second), "--revoke", "--output", "json")
        assert third.returncode == 0, third.stderr
        told = json.loads(third.stdout)
        assert (told["file"], told["namespace"]) == (str(second), NAME)
        assert datetime.fromisoformat(told["expires"]) > datetime.now(UTC)
        # Its object is a new one, which the API server looks up in what it has watched by then.
        wait_for("the renewed login", lambda: may(second, "create", "pods", NAME), 180)
        # The API server remembers for ten seconds whom it has let in.
        wait_for("the end of the first login", lambda: not may(first, "create", "pods", NAME), 180)

    def test_a_tenant_that_was_never_applied_has_none(self, new: Operator, tmp_path: Path) -> None:
        other = Operator(tmp_path)
        (tmp_path / "tenants").mkdir()
        (tmp_path / "driver.toml").write_text((new.settings / "driver.toml").read_text())
        other.file.write_text(new.file.read_text().replace(f'namespace = "{NAME}"', 'namespace = "nowhere"'))
        done = other.does("kubeconfig", "--file", "-")
        assert (done.returncode, done.stdout) == (1, "")
        assert f"kaniko-driver tenant apply {NAME}" in done.stderr


class TestImagesOnNodes:
    """The DaemonSet that keeps a tenant's images on its nodes."""

    PLACE = f"{NAME}-images"

    @pytest.fixture
    def wanted(self, new: Operator) -> Iterator[Operator]:
        """Settings that want it, one of its images being nothing but a program that would never end by itself."""
        file = new.settings / "driver.toml"
        before = file.read_text()
        bare = re.sub(r'^helper = ".*"', f'helper = "{layout.CACHE_REGISTRY_IMAGE}"', before, flags=re.MULTILINE)
        file.write_text(bare.replace("[defaults.images]\n", "[defaults.images]\non_nodes = true\n"))
        yield new
        file.write_text(before)

    def test_every_image_is_on_every_node_of_the_tenant_and_goes_with_the_setting(self, wanted: Operator) -> None:
        applied = wanted.does("apply", "--yes")
        assert f"created DaemonSet kaniko-images in namespace {self.PLACE}" in applied.stdout, applied.stderr
        wait_for("the images on the nodes", lambda: self.ready() == self.nodes(), 300)
        for pod in api.items("Pod", self.PLACE):
            shown = {one["image"] for one in pod["status"]["initContainerStatuses"] if "terminated" in one["state"]}
            assert shown == {layout.KANIKO_IMAGE, layout.CACHE_REGISTRY_IMAGE, layout.TOOLS_IMAGE}
            assert all(one["restartCount"] == 0 for one in pod["status"]["initContainerStatuses"])
        assert "unchanged" in wanted.does("apply").stdout.splitlines()[-1]
        file = wanted.settings / "driver.toml"
        file.write_text(file.read_text().replace("on_nodes = true", "on_nodes = false"))
        assert f"removed Namespace {self.PLACE}" in wanted.does("apply", "--yes").stdout
        wait_for("the end of the namespace", lambda: api.get("Namespace", self.PLACE) is None, 300)

    def ready(self) -> set[str]:
        """Nodes on which all images were run."""
        return {
            pod["spec"]["nodeName"]
            for pod in api.items("Pod", self.PLACE)
            if any(one["ready"] for one in pod["status"].get("containerStatuses", ()))
        }

    def nodes(self) -> set[str]:
        """Those of the tenant."""
        return {
            node["metadata"]["name"]
            for node in api.items("Node", "")
            if node["metadata"]["labels"].get("tenant") == layout.TENANTS[0].node_label
        }


def test_deleting_says_what_goes_asks_and_leaves_nothing(new: Operator) -> None:
    refused = new.does("delete", answer="n\n")
    assert refused.returncode == 1
    assert f"to delete Namespace {NAME}" in refused.stdout
    assert "0 running and 0 ended pods" in refused.stdout
    assert "Not touched: data in S3" in refused.stdout
    assert api.get("Namespace", NAME) is not None
    done = new.does("delete", "--yes", "--output", "json")
    assert done.returncode == 0, done.stderr
    assert {"kind": "Namespace", "name": NAME, "namespace": ""} in json.loads(done.stdout)["deleted"]
    assert api.get("Namespace", NAME) is None
    assert api.get("ValidatingAdmissionPolicy", f"kaniko-driver-{NAME}") is None
    assert new.does("delete", "--yes").stdout.startswith(f"There is nothing of {NAME}")
