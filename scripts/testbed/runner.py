"""Run the real gitlab-runner against the coordinator: its config.toml, its process, its end.

What stands in the configuration is what `runner-config.toml.example` tells an operator to write; only addresses, paths
and the short intervals are the test bed's.
"""

from __future__ import annotations

import json
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from testbed import layout
from testbed.errors import BedError
from testbed.process import descendants, end_processes, start_time, tail

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

JOBS_PER_TENANT = 20
REQUESTS_AT_ONCE = 4
SHUTDOWN = 15
"""Seconds that the runner gives to running jobs after SIGTERM; their clean-up must fit."""

# The runner must not outlive whoever started it, but it must have time to clean up after its jobs.
WITH_PARENT = ("setpriv", "--pdeathsig", "TERM", "--")


@dataclass(frozen=True)
class S3Login:
    """Where and as whom the runner keeps what jobs name under `cache:`."""

    access_key: str
    secret_key: str
    bucket: str


@dataclass(frozen=True)
class Section:
    """One `[[runners]]` section; `tables` holds its tables and `options` its other keys."""

    name: str
    token: str
    executor: str
    tables: Mapping[str, Any]
    options: Mapping[str, Any] = field(default_factory=dict)

    def as_table(self, url: str) -> dict[str, Any]:
        """The section as it stands in the file."""
        return {
            "name": self.name,
            "url": url,
            "token": self.token,
            "executor": self.executor,
            "limit": JOBS_PER_TENANT,
            "request_concurrency": REQUESTS_AT_ONCE,
            **self.options,
            **self.tables,
        }


def custom(tenant: str, token: str, *, driver: Path, settings: Path, cache: S3Login | None = None) -> Section:
    """A tenant's section for the custom executor, served by the driver command with the settings folder.

    It is the one of `runner-config.toml.example`, and a test holds it so.
    """
    stages = {
        "config_exec": str(driver),
        "config_args": ["config", "--settings", str(settings), "--tenant", tenant],
        "config_exec_timeout": 60,
        "prepare_exec": str(driver),
        "prepare_args": ["prepare"],
        "prepare_exec_timeout": 1740,
        "run_exec": str(driver),
        "run_args": ["run"],
        "cleanup_exec": str(driver),
        "cleanup_args": ["cleanup"],
        "cleanup_exec_timeout": 120,
        "graceful_kill_timeout": 60,
        "force_kill_timeout": 10,
    }
    return Section(tenant, token, "custom", {"custom": stages, **_cache(tenant, cache)})


def builtin(name: str, token: str, *, namespace: str, access: str, options: Mapping[str, Any]) -> Section:
    """The runner's built-in Kubernetes executor on the same cluster, with the same images, to compare with.

    `access` is a service account's token; `options` are further keys of `[runners.kubernetes]`.
    """
    kubernetes = {
        "host": layout.API_URL,
        "ca_file": str(layout.PKI / "ca.crt"),
        "bearer_token": access,
        "namespace": namespace,
        "image": layout.KANIKO_IMAGE,
        "helper_image": layout.HELPER_IMAGE,
        "pull_policy": "if-not-present",
        "service_account": "default",
        "automount_service_account_token": False,
        **options,
    }
    return Section(name, token, "kubernetes", {"kubernetes": kubernetes})


class Runner:
    """A running gitlab-runner; use it as a context manager. Configuration and log are in `folder`."""

    def __init__(
        self,
        program: Path,
        folder: Path,
        *,
        url: str,
        sections: Sequence[Section],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._program = program
        self._environment = environment or {}
        self._folder = folder
        self._configuration = configuration(url, sections)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """What the runner says."""
        return self._folder / "runner.log"

    @property
    def config_file(self) -> Path:
        """Its config.toml."""
        return self._folder / "config.toml"

    @property
    def pid(self) -> int:
        """The runner's process.

        Raises:
            BedError: it does not run.
        """
        if self._process is None:
            raise BedError("gitlab-runner has not been started")
        return self._process.pid

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Write config.toml and start the runner in the network namespace of this process."""
        self._folder.mkdir(parents=True, exist_ok=True)
        config = self.config_file
        config.touch(mode=0o600)
        config.write_text(self._configuration)
        command = (*WITH_PARENT, self._program, "run", "--config", config, "--working-directory", self._folder)
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={"PATH": layout.PROGRAM_PATH, "HOME": str(self._folder), **self._environment},
                start_new_session=True,
            )

    def check(self) -> None:
        """Raise BedError with the end of its log when the runner has ended."""
        if self._process is not None and self._process.poll() is not None:
            raise BedError(f"gitlab-runner ended; the end of {self.log}:\n{tail(self.log)}")

    def drain(self, patience: float) -> None:
        """Let the running jobs finish for at most `patience` seconds, then stop."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(patience)
        self.stop()

    def kill(self) -> None:
        """Kill the runner alone; stages of its jobs live on without it.

        Waited for, because until its last thread is gone they are its children, and `stop` would end them as well.
        """
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """Abort the running jobs, let the runner clean up after them, and leave no process of its tree."""
        if self._process is None:
            return
        # Stages run in process groups of their own and would outlive a runner that is killed.
        tree = {pid: started for pid in descendants(self._process.pid) if (started := start_time(pid))}
        self._process.terminate()
        try:
            self._process.wait(SHUTDOWN + 5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        end_processes(tree, patience=2)
        self._process = None


def configuration(url: str, sections: Sequence[Section]) -> str:
    """The text of config.toml."""
    return toml(
        {
            "concurrent": JOBS_PER_TENANT * len(sections),
            "check_interval": 1,
            "shutdown_timeout": SHUTDOWN,
            "runners": [section.as_table(url) for section in sections],
        }
    )


def _cache(tenant: str, login: S3Login | None) -> dict[str, Any]:
    if login is None:
        return {}
    server = layout.S3_URL.partition("://")[2]
    s3 = {
        "ServerAddress": server,
        "AccessKey": login.access_key,
        "SecretKey": login.secret_key,
        "BucketName": login.bucket,
        "BucketLocation": layout.S3_REGION,
        "Insecure": True,
        "PathStyle": True,
    }
    return {"cache": {"Type": "s3", "Path": tenant, "Shared": False, "s3": s3}}


def toml(table: Mapping[str, Any], path: str = "") -> str:
    """Write a table as TOML: its own keys, then the tables below. JSON's strings, numbers and lists are TOML's too."""
    own, below = [], []
    for key, value in table.items():
        bare = key if key.replace("-", "").replace("_", "").isalnum() else json.dumps(key)
        name = f"{path}.{bare}" if path else bare
        if isinstance(value, dict):
            below.append(f"\n[{name}]\n{toml(value, name)}")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            below += [f"\n[[{name}]]\n{toml(item, name)}" for item in value]
        else:
            own.append(f"{bare} = {json.dumps(value)}\n")
    return "".join(own + below)
