"""The installed `kaniko-driver`, called as GitLab Runner calls it: executors/custom/command/command.go of 19.4."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.api_server import ApiServer
from tests.support.exec_bridge import ExecBridge
from tests.support.jobs import READY, pod_state
from tests.support.pods import Pod, make_image, make_tools
from tests.support.tenants import MINIMAL, write_settings
from tests.support.tls import Certificate, make_certificate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.support.api_server import Exchange
    from tests.support.container import Container

DRIVER = Path(sys.executable).parent / "kaniko-driver"
BUILD_FAILURE, SYSTEM_FAILURE = 43, 44
"""Not the runner's usual 1 and 2, to see that the environment is what counts."""
SECONDS = 180.0
SECRETS = ("s3cret", b64encode(b"u:s3cret-login").decode(), b64encode(b"s3cret").decode())
"""No stage may print one, whatever fails; neither may the operator log hold one."""

RESPONSE: dict[str, Any] = {
    "id": 4711,
    "token": "s3cret-job-token",
    "job_info": {"name": "build", "project_id": 42, "project_full_path": "group/project", "root_namespace_id": 5},
    "git_info": {"repo_url": "https://x:s3cret@gitlab/p.git", "ref": "main", "sha": "0" * 40},
    "runner_info": {"timeout": 600},
    "variables": [{"key": "A", "value": "b"}],
    "steps": [{"name": "script", "script": ["true"]}],
    "image": {"name": ""},
    "services": [],
    "credentials": [{"type": "registry", "url": "r.example.com", "username": "u", "password": "s3cret-login"}],
}


@dataclass(frozen=True)
class Done:
    """How a stage ended."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def words(self) -> str:
        """Everything that lands in the job log."""
        return self.out + self.err


class Attempt:
    """One attempt of one job: the runner's temporary folder, and calls of the stages in it."""

    def __init__(self, folder: Path, server: str, certificate: Certificate) -> None:
        self.folder = folder / "custom-executor1"
        self.folder.mkdir(mode=0o700)
        self.code_file = self.folder / "build_exit_code"
        self.journal = folder / "driver.jsonl"
        self.kubeconfig = folder / "kubeconfig"
        self.point_at(server, certificate)
        self.settings = folder / "settings"
        self.configure()
        self.response()
        self.environment = {
            **os.environ,
            "TMPDIR": str(self.folder),
            "BUILD_FAILURE_EXIT_CODE": str(BUILD_FAILURE),
            "SYSTEM_FAILURE_EXIT_CODE": str(SYSTEM_FAILURE),
            "BUILD_EXIT_CODE_FILE": str(self.code_file),
            "JOB_RESPONSE_FILE": str(self.folder / "response.json"),
            "CUSTOM_ENV_CI_JOB_ID": "4711",
            "CUSTOM_ENV_CI_JOB_TOKEN": "s3cret-job-token",
        }
        self.environment.pop("KANIKO_DRIVER_JOB_FILE", None)

    def point_at(self, server: str, certificate: Certificate) -> None:
        """Write the tenant's kubeconfig."""
        authority = b64encode(certificate.certificate.read_bytes()).decode()
        self.kubeconfig.write_text(
            json.dumps(
                {
                    "current-context": "c",
                    "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                    "clusters": [{"name": "c", "cluster": {"server": server, "certificate-authority-data": authority}}],
                    "users": [{"name": "u", "user": {"token": "s3cret-token"}}],
                }
            )
        )

    def configure(self, *, more: str = "", timeouts: str = 'connection = "1s"', driver: str = "") -> None:
        """Write the settings."""
        tenant = MINIMAL.replace("[cluster]\n", f"[cluster]\nkubeconfig = '{self.kubeconfig}'\n")
        tenant += f"[timeouts]\n{timeouts}\n{more}"
        write_settings(self.settings, tenant=tenant, driver=driver or f"version = 1\n[log]\nfile = '{self.journal}'\n")

    def response(self, **changes: Any) -> None:
        """Write the job response."""
        (self.folder / "response.json").write_text(json.dumps(RESPONSE | changes))

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start a stage in a process group of its own."""
        return subprocess.Popen(
            [DRIVER, *arguments],
            cwd=self.folder,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            process_group=0,
        )

    def finish(self, process: subprocess.Popen[bytes]) -> Done:
        """Wait for a stage; what it leaves running would hold its output open."""
        started = time.monotonic()
        try:
            out, err = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise
        done = Done(process.returncode, out.decode(), err.decode(), time.monotonic() - started)
        assert "Traceback" not in done.words, done.words
        for secret in SECRETS:
            assert secret not in done.words
        return done

    def stage(self, *arguments: str, without: str = "", **environment: str) -> Done:
        """Run a stage to its end; `without` is a variable that the runner forgot."""
        kept = self.environment
        if without:
            self.environment = {name: value for name, value in kept.items() if name != without}
        try:
            return self.finish(self.start(*arguments, **environment))
        finally:
            self.environment = kept

    def config(self, *, tenant: str = "tenant-a", **more: str) -> Done:
        """Run config, and keep its job_env for the later stages as the runner does."""
        done = self.stage("config", "--settings", str(self.settings), "--tenant", tenant, **more)
        if done.code == 0:
            self.environment |= json.loads(done.out)["job_env"]
        return done

    def run(self, script: str, sub_stage: str = "build_script") -> Done:
        """Run a script."""
        return self.finish(self.start_run(script, sub_stage))

    def start_run(self, script: str, sub_stage: str = "build_script") -> subprocess.Popen[bytes]:
        """Start a script."""
        path = self.folder / "script"
        path.write_text(script)
        return self.start("run", str(path), sub_stage)

    @property
    def job(self) -> dict[str, Any]:
        """Return the job file."""
        document: dict[str, Any] = json.loads((self.folder / "kaniko-driver.json").read_text())
        return document

    @property
    def events(self) -> list[dict[str, Any]]:
        """Return the operator log."""
        return [json.loads(line) for line in self.journal.read_text().splitlines()]


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """Of 127.0.0.1."""
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def server(certificate: Certificate) -> Iterator[ApiServer]:
    """An API server that refuses everything until a test says otherwise."""
    running = ApiServer(certificate)
    running.answers = [lambda exchange: exchange.refuse(500, "nobody told this server what to say")]
    yield running
    running.close()


@pytest.fixture
def attempt(tmp_path: Path, server: ApiServer, certificate: Certificate) -> Iterator[Attempt]:
    """An attempt whose tenant is on that server."""
    made = Attempt(tmp_path, server.url, certificate)
    yield made
    noted = made.journal.read_text() if made.journal.exists() else ""
    for secret in SECRETS:
        assert secret not in noted


def without(environment: Mapping[str, str], *names: str) -> dict[str, str]:
    """Return variables without some."""
    return {name: value for name, value in environment.items() if name not in names}


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The /bin of every container."""
    return make_image(tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory, image: Path) -> Path:
    """The tools volume."""
    return make_tools(tmp_path_factory.mktemp("tools"), image)


class Job:
    """A job whose pod is ready."""

    def __init__(self, attempt: Attempt, server: ApiServer, pod: Pod) -> None:
        self.attempt = attempt
        self.pod = pod
        self.containers: dict[str, Container] = {name: pod.start(name) for name in ("build", "helper")}
        self.bridge = ExecBridge(self.containers)
        self.deleted = False
        self.states: dict[str, dict[str, Any]] = dict(READY)
        server.answers = [self.answer]
        assert attempt.config().code == 0

    def answer(self, exchange: Exchange) -> None:
        if exchange.path.endswith("/exec"):
            self.bridge.answer(exchange)
        elif exchange.method == "DELETE":
            self.deleted = True
            exchange.json(200, {})
        elif self.deleted:
            exchange.refuse(404, "not found")
        else:
            exchange.json(200, pod_state(self.states))

    @property
    def builds(self) -> Path:
        """The volume where scripts work."""
        return self.pod.volumes["/builds"]

    def verbs(self, container: str = "build") -> list[str]:
        """Return what the supervisor was asked, in turn."""
        return [verb for name, verb in self.bridge.verbs if name == container]


@pytest.fixture
def job(tmp_path: Path, attempt: Attempt, server: ApiServer, image: Path, tools: Path) -> Iterator[Job]:
    """A job whose pod is ready; its stop grace is a second."""
    attempt.configure(timeouts='connection = "5s"\nstop_grace = "1s"')
    pod = Pod(tmp_path / "pod", image, tools)
    made = Job(attempt, server, pod)
    yield made
    pod.close()
    # Answers still talk to processes that ended with the containers.
    server.close()
    made.bridge.close()
