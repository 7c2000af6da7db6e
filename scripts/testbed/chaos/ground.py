"""What the faults meet: a coordinator, a real runner with the driver, small pods, and ways to catch a stage at work."""

from __future__ import annotations

import json
import time
import tomllib
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import yaml

from testbed import api, ci, cluster, layout, pki, programs, s3, tenants
from testbed.chaos.storm import StormProxy
from testbed.chaos.story import DOCKERFILES
from testbed.coordinator import Coordinator
from testbed.errors import BedError
from testbed.gitserver import commit
from testbed.process import descendants, run
from testbed.runner import Runner, S3Login, custom, toml
from testbed.wait import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from testbed.coordinator_job import SubmittedJob
    from testbed.progress import Progress

TENANT = layout.TENANTS[0]
PROJECT = "group/chaos"
BASE = f"FROM {layout.REGISTRY}/library/busybox:1\nARG JOB\n"
RESOURCES = {
    "build": {
        "cpu_request": "50m",
        "memory_request": "64Mi",
        "memory_limit": "400Mi",
        "ephemeral_storage_request": "64Mi",
        "ephemeral_storage_limit": "700Mi",
    },
    "helper": {
        "cpu_request": "10m",
        "memory_request": "32Mi",
        "memory_limit": "256Mi",
        "ephemeral_storage_request": "64Mi",
    },
    "cache_registry": {"cpu_request": "5m", "memory_request": "32Mi", "ephemeral_storage_request": "32Mi"},
}
CATCH_SECONDS = 120.0
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)


@dataclass
class Ground:
    """Everything that a fault may touch."""

    folder: Path
    coordinator: Coordinator
    runner: Runner
    storm: StormProxy
    progress: Progress

    @property
    def clock(self) -> Path:
        """While this file is there, stages of the driver see the time of day that it says."""
        return self.folder / "clock"

    @property
    def token(self) -> Path:
        """The file with the driver's token."""
        return self.folder / "token"

    files_at_most = 2000
    """How many files fit on the small disk."""

    @property
    def temporary(self) -> Path:
        """A small disk, on which the runner keeps its temporary files."""
        return self.folder / "tmp"

    def stage(self, job: SubmittedJob, *words: str) -> int:
        """Return the process of a job's stage that works now; 0 for none."""
        ident = f"CUSTOM_ENV_CI_JOB_ID={job.ident}".encode()
        for pid in descendants(self.runner.pid):
            with suppress(OSError):
                command = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
                if (
                    str(ci.DRIVER_COMMAND) in command
                    and set(words) <= set(command)
                    and ident in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
                ):
                    return pid
        return 0

    def caught(self, job: SubmittedJob, *words: str) -> int:
        """Return the process of a stage as soon as it has begun; 0 when the job ends without it."""
        # Without a pause: config lasts a fifth of a second.
        end = time.monotonic() + CATCH_SECONDS
        while time.monotonic() < end and job.result is None:
            if found := self.stage(job, *words):
                return found
        return 0

    def pods(self, job: SubmittedJob) -> list[dict[str, Any]]:
        """Return the job's pods."""
        return ci.job_pods(TENANT, job.ident)

    def leftovers(self, job: SubmittedJob) -> int:
        """Count the job's pods, and Secrets that belonged to pods of it."""
        wanted = f"kaniko-job-{job.ident}-"
        secrets = [one for one in api.items("Secret", TENANT.name) if one["metadata"]["name"].startswith(wanted)]
        return len(self.pods(job)) + len(secrets)

    def categories(self, job: SubmittedJob) -> set[str]:
        """Return the categories that the operator log has of a job."""
        found = set()
        for line in (self.folder / "driver.jsonl").read_text().splitlines():
            with suppress(ValueError):
                event = json.loads(line)
                if event.get("job") == job.ident and event.get("category"):
                    found.add(str(event["category"]))
        return found


@contextmanager
def prepared(folder: Path, seed: int, progress: Progress) -> Iterator[Ground]:
    """Make the ground for the block; the caller is in the bed's network namespace."""
    folder.mkdir(parents=True, exist_ok=True)
    with StormProxy(seed) as storm, _disk(folder / "tmp", f"size=24m,nr_inodes={Ground.files_at_most}"):
        settings = _settings(folder, storm.port)
        with Coordinator(
            layout.HOST_ADDRESS,
            folder=folder / "jobs",
            repositories=folder / "repositories",
            tenants=[TENANT.name],
            # Numbers that no earlier run's pods have.
            first_job=int(time.time()) % 10**8 * 10,
        ) as coordinator:
            files = folder / "files"
            files.mkdir()
            for name, instruction in DOCKERFILES.items():
                (files / name).write_text(f"{BASE}{instruction}\n")
            commit(coordinator.repository(PROJECT), files)
            token = coordinator.runner_token(TENANT.name)
            keys = s3.credentials(TENANT.name)
            cache = S3Login(keys.access_key, keys.secret_key, TENANT.runner_bucket)
            section = custom(TENANT.name, token, driver=_driver(folder), settings=settings, cache=cache)
            with Runner(
                programs.RUNNER.path,
                folder / "runner",
                url=coordinator.url,
                sections=[section],
                environment={"TMPDIR": str(folder / "tmp")},
            ) as runner:
                yield Ground(folder, coordinator, runner, storm, progress)


def _settings(folder: Path, port: int) -> Path:
    """Write the tenant's settings: through the storm proxy, with a token in a file, and pods that twenty fit of."""
    document = yaml.safe_load(TENANT.kubeconfig.read_text())
    for one in document["clusters"]:
        one["cluster"] |= {"server": f"https://127.0.0.1:{port}", "tls-server-name": layout.HOST_ADDRESS}
    for user in document["users"]:
        pki.write_private(folder / "token", user["user"].pop("token"))
        user["user"]["tokenFile"] = str(folder / "token")
    pki.write_private(folder / "kubeconfig", json.dumps(document))
    tenant = tomllib.loads(tenants.settings(TENANT))
    tenant["cluster"]["kubeconfig"] = str(folder / "kubeconfig")
    for container, changes in RESOURCES.items():
        tenant["resources"][container] |= changes
    tenant["volumes"]["builds"] = "100Mi"
    tenant["timeouts"] |= {"schedule": "2m", "start": "3m", "idle": "2m", "connection": "3m", "after_job": "30s"}
    settings = folder / "settings"
    pki.write_private(settings / "driver.toml", toml({"version": 1, "log": {"file": str(folder / "driver.jsonl")}}))
    pki.write_private(settings / "tenants" / f"{TENANT.name}.toml", toml(tenant))
    return settings


def _driver(folder: Path) -> Path:
    """Write a command that is the driver, with another time of day while somebody wants that."""
    faked = (
        f"LD_PRELOAD={FAKETIME} DONT_FAKE_MONOTONIC=1 FAKETIME_NO_CACHE=1 FAKETIME_TIMESTAMP_FILE={folder / 'clock'}"
    )
    path = folder / "driver"
    real = quote(str(ci.DRIVER_COMMAND))
    path.write_text(f'#!/bin/sh\n[ ! -e {folder / "clock"} ] || exec env {faked} {real} "$@"\nexec {real} "$@"\n')
    path.chmod(0o700)
    return path


def release(folder: Path) -> None:
    """Take away what a run that was killed left mounted in its folder."""
    with suppress(BedError):
        run(("umount", "--lazy", folder / "tmp"))


@contextmanager
def _disk(path: Path, options: str) -> Iterator[None]:
    path.mkdir(exist_ok=True)
    run(("mount", "-t", "tmpfs", "-o", f"{options},mode=1777", "chaos", path))
    try:
        yield
    finally:
        run(("umount", "--lazy", path))


def wait_until_well(mend: Callable[[], object]) -> None:
    """Wait until the cluster takes jobs again: API server and nodes.

    `mend` starts the node's container runtime again. One that was started while the whole machine had no inotify
    instance left runs without the part that the kubelet needs, and does not get well by itself.
    """
    wait_for("the API server", api.ready, 90)
    try:
        _wait_for_nodes()
    except BedError:
        mend()
        _wait_for_nodes()


def _wait_for_nodes() -> None:
    # A node that comes back with twenty dead pods has much to put away.
    wait_for("both nodes Ready", lambda: len(cluster.ready_nodes()) == len(layout.NODES), 240)
