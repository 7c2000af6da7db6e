"""Nobody is left to clean up, and still nothing stays behind."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from testbed import api, ci, layout
from testbed.gitserver import commit
from testbed.jobs import JobSpec
from testbed.wait import wait_for

if TYPE_CHECKING:
    from pathlib import Path

TENANT = layout.TENANTS[0]
CONTRACT = {"BUILD_FAILURE_EXIT_CODE": "1", "SYSTEM_FAILURE_EXIT_CODE": "2"}


def test_a_killed_runner_takes_its_jobs_pods_with_it(tmp_path: Path) -> None:
    with ci.at_work(tmp_path, tenants=[TENANT]) as running:
        (tmp_path / "files").mkdir()
        commit(running.coordinator.repository("group/orphan"), tmp_path / "files")
        spec = ci.in_project(JobSpec(TENANT.name, script=('echo at" "work', "sleep 600")), "group/orphan")
        job = running.coordinator.submit(spec)
        job.wait_for("at work")
        running.runner.kill()
        wait_for("the end of the job's pod", lambda: not ci.job_pods(TENANT, job.ident), 180)


def test_a_pod_without_any_stage_ends_by_itself(tmp_path: Path) -> None:
    """The host of the runner is gone: not even a stage of the driver is left to notice."""
    settings = tmp_path / "settings"
    shutil.copytree(layout.DRIVER, settings, ignore=shutil.ignore_patterns("*.jsonl*"))
    file = settings / "tenants" / f"{TENANT.name}.toml"
    # Not so soon that `prepare` would find it ended on a machine with other work.
    file.write_text(file.read_text().replace('idle = "15m"', 'idle = "15s"'))
    pod = prepared(tmp_path, settings)
    try:
        wait_for("the end of every container", lambda: all_ended(pod), 180)
    finally:
        api.request("DELETE", api.path_of("Pod", pod, TENANT.name))


def prepared(folder: Path, settings: Path) -> str:
    """The name of a pod that the driver has started for a job, as far as `prepare`."""
    response = folder / "response.json"
    response.write_text(json.dumps({"id": 4711, "runner_info": {"timeout": 600}}))
    environment = {**os.environ, **CONTRACT, "JOB_RESPONSE_FILE": str(response)}
    options = ("--settings", str(settings), "--tenant", TENANT.name)
    answer = json.loads(subprocess.check_output([ci.DRIVER_COMMAND, "config", *options], env=environment))
    subprocess.run([ci.DRIVER_COMMAND, "prepare"], env=environment | answer["job_env"], check=True)
    name: str = answer["hostname"]
    return name


def all_ended(pod: str) -> bool:
    """Whether no container of the pod runs; then the pod takes nothing of the tenant's quota any more."""
    found = api.get("Pod", pod, TENANT.name)
    return found is not None and found["status"].get("phase") in {"Succeeded", "Failed"}
