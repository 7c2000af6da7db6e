"""Git over smart http for the coordinator, and the bare repositories that it serves.

The protocol is git's own: each request goes to `git http-backend`. Fetching only; the caller decides who may fetch.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.errors import BedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import IO, BinaryIO

SERVICE = "git-upload-pack"
# One name and one date for every commit: the same content in a new repository is the same commit.
AUTHOR = {
    f"GIT_{role}_{key}": value
    for role in ("AUTHOR", "COMMITTER")
    for key, value in {"NAME": "bed", "EMAIL": "bed@example.com", "DATE": "2026-01-01T00:00:00Z"}.items()
}
# The machine's own git configuration may neither refuse (safe.directory) nor change anything here.
ALONE = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "safe.directory",
    "GIT_CONFIG_VALUE_0": "*",
}


@dataclass(frozen=True)
class GitRequest:
    """One http request below a repository: `inside` is the path after `….git/`."""

    method: str
    repository: Path
    inside: str
    query: str
    content_type: str
    content_encoding: str
    protocol: str

    @property
    def is_fetch(self) -> bool:
        """Part of a clone or fetch; anything else is not served."""
        if self.inside == "info/refs":
            return self.method == "GET" and f"service={SERVICE}" in self.query
        return self.method == "POST" and self.inside == SERVICE


@dataclass(frozen=True)
class GitAnswer:
    """What git answers; `body` may be read until it ends."""

    status: int
    headers: dict[str, str]
    body: IO[bytes]


@contextmanager
def answer(request: GitRequest, body: BinaryIO) -> Iterator[GitAnswer]:
    """Let git answer one request, whose body is an open file.

    Raises:
        BedError: git gave no answer at all.
    """
    environment = {
        "PATH": os.environ["PATH"],
        **ALONE,
        "GIT_PROJECT_ROOT": str(request.repository.parent),
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": f"/{request.repository.name}/{request.inside}",
        "QUERY_STRING": request.query,
        "REQUEST_METHOD": request.method,
        "CONTENT_TYPE": request.content_type,
        "HTTP_CONTENT_ENCODING": request.content_encoding,
        "GIT_PROTOCOL": request.protocol,
    }
    with subprocess.Popen(("git", "http-backend"), stdin=body, stdout=subprocess.PIPE, env=environment) as process:
        if process.stdout is None:
            raise BedError("git http-backend has no output")
        headers = {}
        while line := process.stdout.readline().strip():
            key, _, value = line.decode().partition(":")
            headers[key] = value.strip()
        if not headers:
            raise BedError(f"git http-backend said nothing about {request.inside} in {request.repository}")
        status = headers.pop("Status", "200").split()[0]
        yield GitAnswer(int(status), headers, process.stdout)


def commit(repository: Path, content: Path, *, message: str = "Sample", branch: str = "main") -> str:
    """Make `content` the newest commit of a bare repository, which is made when missing, and return the commit.

    The same content again changes nothing and returns the same commit.

    Raises:
        BedError: git refused.
    """
    if not (repository / "HEAD").exists():
        repository.mkdir(parents=True, exist_ok=True)
        _git(repository, "init", "--quiet", "--bare", f"--initial-branch={branch}", str(repository))
    with tempfile.TemporaryDirectory() as scratch:
        index = {"GIT_INDEX_FILE": str(Path(scratch) / "index"), "GIT_WORK_TREE": str(content)}
        _git(repository, "add", "--all", "--force", ".", folder=content, environment=index)
        tree = _git(repository, "write-tree", environment=index)
    parent = resolve(repository, branch)
    if parent and _git(repository, "rev-parse", f"{parent}^{{tree}}") == tree:
        return parent
    after = ("-p", parent) if parent else ()
    made = _git(repository, "commit-tree", tree, *after, "-m", message, environment=AUTHOR)
    _git(repository, "update-ref", f"refs/heads/{branch}", made)
    return made


def resolve(repository: Path, ref: str) -> str | None:
    """Return the commit of a branch or tag, or None when there is none."""
    for full in (f"refs/heads/{ref}", f"refs/tags/{ref}"):
        if found := _git(repository, "for-each-ref", "--format=%(*objectname) %(objectname)", full).split():
            return found[0]
    return None


def _git(
    repository: Path, *words: str, folder: Path | None = None, environment: Mapping[str, str] | None = None
) -> str:
    done = subprocess.run(
        ("git", *words),
        env={"PATH": os.environ["PATH"], **ALONE, "GIT_DIR": str(repository), **(environment or {})},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise BedError(f"git {' '.join(words)} in {repository}: {done.stderr.strip()}")
    return done.stdout.strip()
