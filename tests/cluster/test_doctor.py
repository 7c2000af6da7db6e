"""doctor on a real cluster: what is right is called right, what is wrong is found before a job finds it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from testbed import api, ci, layout, programs, tenants

from . import fence

if TYPE_CHECKING:
    from pathlib import Path

TENANT = layout.TENANTS[0]
COORDINATOR = f"http://{layout.HOST_ADDRESS}:{layout.COORDINATOR_PORT}"


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """A copy of the bed's settings, to be changed."""
    shutil.copytree(layout.DRIVER, tmp_path / "settings", ignore=shutil.ignore_patterns("*.jsonl*"))
    return tmp_path / "settings"


def changed(settings: Path, *changes: tuple[str, str]) -> None:
    path = settings / "tenants" / f"{TENANT.name}.toml"
    text = path.read_text()
    for old, new in changes:
        assert re.search(old, text, re.MULTILINE), old
        text = re.sub(old, new, text, count=1, flags=re.MULTILINE)
    path.write_text(text)


def doctor(settings: Path, *options: str) -> tuple[int, dict[str, list[dict[str, Any]]]]:
    """Call it for tenant-a; returns the exit code, and check -> findings."""
    command = [str(tenants.COMMAND), "doctor", TENANT.name, "--settings", str(settings), "--output", "json"]
    command += ["--silence", "2", "--runner-program", str(programs.RUNNER.path)]
    command += ["--kubeconfig", str(layout.ADMIN_KUBECONFIG), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert done.stdout, done.stderr
    found: dict[str, list[dict[str, Any]]] = {}
    for one in json.loads(done.stdout)["findings"]:
        found.setdefault(one["check"], []).append(one)
    return done.returncode, found


def test_a_tenant_that_jobs_run_in_is_called_ready(gitlab: ci.Ci, settings: Path) -> None:
    config = gitlab.runner.config_file
    changed(settings, (r"^\[network\]", f'[gitlab]\nurl = "{gitlab.coordinator.url}"\n\n[network]'))
    code, found = doctor(
        settings, "--runner-config", str(config), "--reach", f"http://{layout.REGISTRY}/", "--reach", "https://no.such/"
    )
    verdicts = {check: {one["verdict"] for one in findings} for check, findings in found.items()}
    good = {
        *("settings", "cluster", "clock", "login", "rights", "too-many-rights", "objects"),
        *("runner-version", "operator-log", "trial-pod", "kaniko", "exec-timeout", "gitlab", "layer-cache", "s3"),
    }
    assert {check: verdicts.get(check) for check in good} == {check: {"good"} for check in good}
    assert [one["verdict"] for one in found["reach"]] == ["good", "problem"]
    assert "cannot look up the name" in found["reach"][1]["what"]
    # A kubelet tells of its images minutes late, so a bed that has just started seems to lack some.
    assert verdicts["images"] <= {"good", "warning"}
    # Two cores have room for few of twenty jobs.
    assert re.search(r"20 jobs need .* CPU, .*; node1 has \d\S* CPU, .*: \d+ fit \(cpu\)", found["nodes"][0]["what"])
    # No network policy is enforced in the bed unless a test does it.
    assert verdicts["api-server-closed"] == {"warning"}
    # Its keys open the whole of its own bucket, and nothing of the other tenant's.
    assert verdicts["s3-closed"] == {"warning"}
    assert code == 1
    assert [one["check"] for ones in found.values() for one in ones if one["verdict"] == "problem"] == ["reach"]
    assert not ci.all_job_pods() or all(pod["metadata"].get("deletionTimestamp") for pod in ci.all_job_pods())


def test_what_is_wrong_is_found_with_what_to_do(settings: Path) -> None:
    changed(
        settings,
        (r"^labels = .*$", 'labels = { tenant = ["nobody"] }'),
        (r"^kaniko = .*$", 'kaniko = "bed.local/none:1"'),
        (r"^bucket = .*$", 'bucket = "none"'),
    )
    code, found = doctor(settings, "--wait", "20")
    assert code == 1
    (nodes,) = found["nodes"]
    assert (nodes["verdict"], nodes["what"]) == ("problem", "no node has the tenant's labels: tenant=nobody")
    assert nodes["commands"] == [f"kubectl label node NODE tenant=nobody --kubeconfig {layout.ADMIN_KUBECONFIG}"]
    (objects,) = found["objects"]
    assert objects["verdict"] == "warning"
    rights = f"--settings {settings} --kubeconfig {layout.ADMIN_KUBECONFIG}"
    assert f"kaniko-driver tenant apply {TENANT.name} {rights}" in objects["commands"]
    # The cluster's own fence refuses pods that are not as the tenant was applied.
    (trial,) = found["trial-pod"]
    assert trial["verdict"] == "problem"
    assert "ValidatingAdmissionPolicy" in trial["what"]


def test_a_missing_right_is_found_as_the_identity_that_lacks_it_and_mended_by_what_is_printed(
    settings: Path, tmp_path: Path
) -> None:
    role = api.get("Role", "kaniko-driver", TENANT.name)
    assert role is not None
    path = api.path_of("Role", "kaniko-driver", TENANT.name)
    less = [rule for rule in role["rules"] if "pods/exec" not in rule["resources"]]
    try:
        api.request("PUT", path, role | {"rules": less})
        fence.wait_for_rights(fence.driver_of(TENANT), TENANT.name, less)
        code, found = doctor(settings)
        assert code == 1
        (rights,) = found["rights"]
        assert rights["what"] == (
            f"the driver lacks: get pods/exec in {TENANT.name}, create pods/exec in {TENANT.name}"
        )
        assert {one["verdict"] for one in found["exec"]} == {"problem"}

        script = tmp_path / "fix.sh"
        command = [str(tenants.COMMAND), "doctor", TENANT.name, "--settings", str(settings), "--no-pod", "--fix"]
        command += ["--kubeconfig", str(layout.ADMIN_KUBECONFIG)]
        script.write_text(subprocess.run(command, capture_output=True, text=True, check=False, timeout=240).stdout)
        environment = {**os.environ, "PATH": f"{tenants.COMMAND.parent}:{os.environ['PATH']}"}
        mended = subprocess.run(
            ["sh", "-eu", str(script)], input="y\n", env=environment, capture_output=True, text=True, check=False
        )
        assert mended.returncode == 0, f"{script.read_text()}\n{mended.stderr}"
        fence.wait_for_rights(fence.driver_of(TENANT), TENANT.name, role["rules"])
        assert [one["verdict"] for one in doctor(settings, "--no-pod")[1]["rights"]] == ["good"]
    finally:
        current = api.get("Role", "kaniko-driver", TENANT.name)
        assert current is not None
        api.request("PUT", path, current | {"rules": role["rules"]})
        fence.wait_for_rights(fence.driver_of(TENANT), TENANT.name, role["rules"])


def test_keys_that_open_another_tenants_cache_are_found(settings: Path) -> None:
    other = layout.TENANTS[1]
    secret = api.get("Secret", tenants.CACHE_SECRET, TENANT.name)
    foreign = api.get("Secret", tenants.CACHE_SECRET, other.name)
    assert secret is not None
    assert foreign is not None
    path = api.path_of("Secret", tenants.CACHE_SECRET, TENANT.name)
    try:
        api.request("PUT", path, secret | {"data": foreign["data"]})
        code, found = doctor(settings, "--no-pod")
    finally:
        current = api.get("Secret", tenants.CACHE_SECRET, TENANT.name)
        assert current is not None
        api.request("PUT", path, current | {"data": secret["data"]})
    assert code == 1
    # The other's keys are refused where the tenant's own layers are, and open the other's.
    assert [one["verdict"] for one in found["s3"]] == ["problem"]
    assert "AccessDenied" in found["s3"][0]["what"]
