"""The runner inside the cluster: what it may, what it is given, and what it is not."""

from __future__ import annotations

import json
import subprocess
import tomllib
from typing import TYPE_CHECKING, Any

import pytest

from executor.errors import SettingsInvalid
from executor.tenancy.runner import Files, render
from tests.support.tenants import tenant

if TYPE_CHECKING:
    from pathlib import Path

FILES = Files(driver="version = 1\n", tenant="version = 1 # of the tenant\n", log="/var/log/kaniko-driver/driver.jsonl")
TABLES: dict[str, Any] = {
    "gitlab": {"url": "https://gitlab.example.com"},
    "network": {
        "gitlab": [{"cidr": "10.1.0.5/32", "ports": [443]}],
        "s3": [{"cidr": "10.1.0.6/32", "ports": [443]}],
        "registry": [{"cidr": "10.1.0.7/32", "ports": [443]}],
        "api_server": [{"cidr": "10.1.0.1/32", "ports": [6443]}],
    },
    "nodes": {"labels": {"tenant": ["a"]}, "tolerations": [{"key": "tenant", "value": "a"}]},
}
IMAGE = "registry.example.com/runner:1"


def objects(runner: dict[str, Any] | None = None, files: Files = FILES, **tables: Any) -> dict[str, dict[str, Any]]:
    settings = tenant(**{**TABLES, "runner": {"pod": {"image": IMAGE, **(runner or {})}}, **tables})
    return {f"{one['kind']}/{one['metadata']['name']}": one for one in render(settings, files)}


def pod(**runner: Any) -> dict[str, Any]:
    spec: dict[str, Any] = objects(runner)["Deployment/kaniko-runner"]["spec"]["template"]["spec"]
    return spec


def test_everything_but_the_right_lies_in_a_namespace_of_the_runners_own() -> None:
    places = {name: one["metadata"].get("namespace") for name, one in objects().items()}
    assert places.pop("Namespace/tenant-a-runner") is None
    assert places.pop("RoleBinding/kaniko-runner") == "tenant-a"
    assert set(places.values()) == {"tenant-a-runner"}


def test_the_runners_account_gets_the_drivers_role_of_the_tenant_and_nothing_else() -> None:
    bindings = [one for one in objects().values() if one["kind"] in {"Role", "RoleBinding", "ClusterRoleBinding"}]
    (binding,) = bindings
    assert binding["roleRef"]["kind"] == "Role"
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "kaniko-driver", "namespace": "tenant-a-runner"}]
    assert pod()["serviceAccountName"] == "kaniko-driver"


def test_no_token_and_no_key_is_rendered_only_where_they_are() -> None:
    assert not [name for name in objects() if name.startswith("Secret/")]
    text = objects()["ConfigMap/kaniko-runner"]["data"]["config.toml"]
    assert tomllib.loads(text)["runners"][0]["token"] == "@TOKEN@"
    assert {"name": "secret", "secret": {"secretName": "kaniko-runner"}} in pod()["volumes"]


def test_the_pod_is_one_that_pod_security_restricted_takes() -> None:
    (container,) = pod()["containers"]
    assert pod()["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    labels = objects()["Namespace/tenant-a-runner"]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_running_jobs_have_their_time_before_the_next_runner_starts() -> None:
    deployment = objects({"drain": "90m"})["Deployment/kaniko-runner"]["spec"]
    assert deployment["strategy"] == {"type": "Recreate"}
    assert deployment["replicas"] == 1
    assert deployment["template"]["spec"]["terminationGracePeriodSeconds"] == 5400


def test_it_runs_anywhere_unless_the_operator_wants_the_tenants_nodes() -> None:
    assert "affinity" not in pod()
    place = pod(tenant_nodes=True)
    term = place["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"][0]
    assert term["matchExpressions"] == [{"key": "tenant", "operator": "In", "values": ["a"]}]
    assert place["tolerations"][0]["key"] == "tenant"


def test_changed_settings_make_a_new_pod_and_unchanged_ones_do_not() -> None:
    def mark(files: Files) -> str:
        template = objects(files=files)["Deployment/kaniko-runner"]["spec"]["template"]
        return str(template["metadata"]["annotations"]["kaniko-driver/configuration"])

    other = Files(driver=FILES.driver, tenant="version = 1\n", log=FILES.log)
    assert mark(FILES) == mark(FILES) != mark(other)


def test_the_runner_reaches_gitlab_s3_and_the_api_server_but_no_registry() -> None:
    rules = objects()["NetworkPolicy/kaniko-driver-allow"]["spec"]["egress"]
    reached = {peer["ipBlock"]["cidr"] for rule in rules for peer in rule["to"] if "ipBlock" in peer}
    assert reached == {"10.1.0.5/32", "10.1.0.6/32", "10.1.0.1/32"}
    assert objects()["NetworkPolicy/kaniko-driver-deny"]["spec"]["policyTypes"] == ["Ingress", "Egress"]


def test_settings_that_cannot_work_in_a_pod_are_refused_all_at_once() -> None:
    broken: Any = {
        "gitlab": {},
        "network": {},
        "cluster": {"namespace": "tenant-a", "kubeconfig": "/etc/x"},
        "registry": {"logins_file": "/etc/logins.json"},
    }
    with pytest.raises(SettingsInvalid) as caught:
        objects({"image": ""}, **broken)
    for key in ("runner.pod.image", "gitlab.url", "cluster.kubeconfig", "registry.logins_file", "network.api_server"):
        assert key in caught.value.why


def test_json_can_carry_everything() -> None:
    assert json.loads(json.dumps(objects())) == objects()


class TestStart:
    """The container's first program, run for real with other paths and a program that only says it was called."""

    @pytest.fixture
    def start(self, tmp_path: Path) -> Any:
        data = objects()["ConfigMap/kaniko-runner"]["data"]
        script = data["start"]
        for path in ("/run/secrets/kaniko-runner", "/etc/kaniko-runner", "/run/kaniko-runner"):
            folder = tmp_path / path.strip("/")
            folder.mkdir(parents=True)
            script = script.replace(path, str(folder))
        (tmp_path / "etc/kaniko-runner/config.toml").write_text(data["config.toml"])
        (tmp_path / "bin").mkdir()
        runner = tmp_path / "bin/gitlab-runner"
        runner.write_text('#!/bin/sh\necho "$@"\n')
        runner.chmod(0o755)

        def run(token: str) -> subprocess.CompletedProcess[str]:
            (tmp_path / "run/secrets/kaniko-runner/token").write_text(token)
            environment = {"PATH": f"{tmp_path}/bin:/usr/bin:/bin", "HOME": "/h", "OPERATOR_LOG": ""}
            return subprocess.run(
                ["/bin/sh", "-c", script], env=environment, capture_output=True, text=True, check=False
            )

        return run

    def test_the_token_gets_into_a_private_configuration(self, start: Any, tmp_path: Path) -> None:
        done = start("glrt-Ab_1.2-3\n")
        assert done.returncode == 0, done.stderr
        written = tmp_path / "run/kaniko-runner/config.toml"
        (section,) = tomllib.loads(written.read_text())["runners"]
        assert (section["token"], section["tls-ca-file"]) == ("glrt-Ab_1.2-3", "")
        assert written.stat().st_mode & 0o077 == 0
        assert done.stdout == f"run --config {written} --working-directory /h\n"

    def test_a_private_authority_is_trusted_where_the_secret_has_one(self, start: Any, tmp_path: Path) -> None:
        authority = tmp_path / "run/secrets/kaniko-runner/ca.crt"
        authority.write_text("-----BEGIN CERTIFICATE-----\n")
        assert start("glrt-1").returncode == 0
        (section,) = tomllib.loads((tmp_path / "run/kaniko-runner/config.toml").read_text())["runners"]
        assert section["tls-ca-file"] == str(authority)

    @pytest.mark.parametrize("token", ["", "glrt-a/b", "two\nlines", "glrt&"])
    def test_what_is_no_token_is_refused_and_not_shown(self, start: Any, token: str) -> None:
        done = start(token)
        assert done.returncode == 1
        assert "no token of GitLab" in done.stderr
        assert not token or token not in done.stderr
