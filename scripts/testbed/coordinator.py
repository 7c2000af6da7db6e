"""Play GitLab for real runners: hand out jobs, keep their logs and artifacts, serve their repositories.

Only what a runner and its jobs ask for exists: `jobs/request`, the job's updates, trace and artifacts, `runners/verify`
and git over http. Jobs are submitted by the test while it runs. Each tenant has a runner token of its own, and a job is
handed only to a runner that comes with the token of the job's tenant.
"""

from __future__ import annotations

import secrets
import threading
from typing import TYPE_CHECKING

from testbed.coordinator_http import Server
from testbed.coordinator_job import SubmittedJob
from testbed.errors import BedError
from testbed.gitserver import resolve
from testbed.jobs import NO_COMMIT, Circumstances

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from testbed.jobs import JobSpec


class Coordinator:
    """A running stand-in for GitLab; use it as a context manager.

    `host` must be an address that runners and job pods reach. Logs and artifacts go to `folder`, one folder a job;
    `repositories` holds `<project path>.git`. Port 0 takes any free one; `url` tells which.
    """

    def __init__(
        self,
        host: str,
        *,
        folder: Path,
        repositories: Path,
        tenants: Collection[str],
        port: int = 0,
        first_job: int = 1,
    ) -> None:
        self.repositories = repositories
        self._folder = folder
        self._tokens = {tenant: f"glrt-{secrets.token_urlsafe(15)}" for tenant in tenants}
        self._lock = threading.Lock()
        self._jobs: list[SubmittedJob] = []
        self._next = first_job
        folder.mkdir(parents=True, exist_ok=True)
        self._server = Server((host, port), self, folder / "requests.log")
        self.url = f"http://{host}:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop()
        self._thread.join()

    def runner_token(self, tenant: str) -> str:
        """The token with which a runner asks for the tenant's jobs."""
        return self._tokens[tenant]

    def submit(self, spec: JobSpec) -> SubmittedJob:
        """Queue a job; runners get a tenant's jobs in the order in which they came.

        Raises:
            BedError: no such tenant, or the project has no repository or no such ref and the job would clone it.
        """
        if spec.tenant not in self._tokens:
            raise BedError(f"the coordinator knows no tenant {spec.tenant!r}, only {', '.join(sorted(self._tokens))}")
        sha = self._commit(spec)
        with self._lock:
            ident = spec.ident or self._next
            self._next = max(self._next, ident + 1)
            token = f"glcbt-{secrets.token_urlsafe(15)}"
            attempt = sum(job.ident == ident for job in self._jobs) + 1
            folder = self._folder / (f"{ident}" if attempt == 1 else f"{ident}-attempt-{attempt}")
            folder.mkdir(parents=True)
            job = SubmittedJob(spec, Circumstances(self.url, ident, token, sha), folder)
            self._jobs.append(job)
        return job

    # ---- for the server

    def knows_runner(self, token: str) -> bool:
        """Whether a runner with this token belongs to any tenant."""
        return token in self._tokens.values()

    def next_job(self, token: str) -> SubmittedJob | None:
        """The job that a runner with this token gets now, if any; it is its job from then on."""
        with self._lock:
            for job in self._jobs:
                if self._tokens[job.spec.tenant] == token and job.claim():
                    return job
        return None

    def attempts(self, ident: int) -> list[SubmittedJob]:
        """Every job with this number; a job that is tried again keeps it."""
        with self._lock:
            return [job for job in self._jobs if job.ident == ident]

    def may_fetch(self, path: str, token: str) -> bool:
        """Whether the token is that of a running job of the project, or of one that the project lets in."""
        with self._lock:
            return any(
                job.given.token == token and job.running and path in {job.spec.project.path, *job.spec.project.readable}
                for job in self._jobs
            )

    def repository(self, path: str) -> Path:
        """Where the repository of a project lies, or would."""
        return self.repositories / f"{path}.git"

    def _commit(self, spec: JobSpec) -> str:
        repository = self.repository(spec.project.path)
        found = resolve(repository, spec.ref) if repository.exists() else None
        if found is None and spec.git_strategy not in {"none", "empty"}:
            raise BedError(f"{repository} has no {spec.ref!r}; commit something there, or set git_strategy to none")
        return found or NO_COMMIT
