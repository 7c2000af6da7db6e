"""The http side of the coordinator: GitLab's runner API as gitlab-runner 19.4 speaks it, and git below `/….git/`.

Translates requests into calls on the coordinator and its jobs and the outcome into status codes and headers. The codes
are GitLab's: see gitlab-runner's `network/gitlab.go` for what the runner makes of each.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import shutil
import socket
import sys
import tempfile
import threading
import traceback
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, ClassVar, Protocol
from urllib.parse import parse_qs, unquote, urlsplit

from testbed.coordinator_body import Body, BodyError, save_files
from testbed.coordinator_job import StoredArtifact
from testbed.gitserver import GitRequest, answer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from testbed.coordinator_job import SubmittedJob

UPDATE_INTERVAL = "1"
"""Seconds between two pieces of a log; 1 is the least that the runner takes. Its first piece comes after 3 s anyway."""

LONGEST_JSON = 16 * 2**20
LONGEST_TRACE_PIECE = 2 * 2**20  # the runner sends 1 MiB at most
LONGEST_GIT_REQUEST = 64 * 2**20
RANGE_MISMATCH = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
FINAL = frozenset({"success", "failed"})


class Desk(Protocol):
    """What the server needs of the coordinator."""

    def knows_runner(self, token: str) -> bool:
        """Whether a runner has this token."""

    def next_job(self, token: str) -> SubmittedJob | None:
        """A job for the runner with this token."""

    def attempts(self, ident: int) -> list[SubmittedJob]:
        """The jobs with this number."""

    def may_fetch(self, path: str, token: str) -> bool:
        """Whether a job with this token may read the project."""

    def repository(self, path: str) -> Path:
        """The bare repository of a project."""


class Server(ThreadingHTTPServer):
    """One thread a connection; `stop` ends them all, those of idle connections too."""

    daemon_threads = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], desk: Desk, log: Path) -> None:
        super().__init__(address, Handler)
        self.desk = desk
        self._connections: set[socket.socket] = set()
        self._connections_lock = threading.Lock()
        self._log = log.open("a")
        self._log_lock = threading.Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection, so that `stop` can end it."""
        with self._connections_lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget the connection."""
        with self._connections_lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def stop(self) -> None:
        """End every connection and wait for its thread."""
        self.shutdown()
        with self._connections_lock:
            for connection in self._connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        self.server_close()
        self._log.close()

    def note(self, line: str) -> None:
        """Write one line to the log of requests."""
        with self._log_lock:
            if not self._log.closed:
                print(f"{datetime.now(UTC):%H:%M:%S.%f} {line}", file=self._log, flush=True)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the base class's
        """Put an unexpected failure of a handler into the log of requests; a lost connection is none."""
        error = sys.exc_info()[1]
        if not isinstance(error, ConnectionError):
            self.note(f"{client_address}: {''.join(traceback.format_exception(error))}")


class Handler(BaseHTTPRequestHandler):
    """One connection of a runner, a job's helper program or git."""

    protocol_version = "HTTP/1.1"
    server: Server
    # Without this the headers and the body of an answer leave in two packets and Nagle's algorithm waits in between.
    wbufsize = -1

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """Note the request."""
        self.server.note(f"{self.client_address[0]} {format % args}")

    def do_GET(self) -> None:
        """Answer any method; which ones exist is the business of `routes`."""
        parts = urlsplit(self.path)
        self._body = Body(self.rfile, self.headers)  # type: ignore[arg-type]
        try:
            for method, pattern, action in self.routes:
                if self.command == method and (match := re.fullmatch(pattern, parts.path)):
                    action(self, *match.groups())
                    break
            else:
                self._reply(HTTPStatus.NOT_FOUND, {"message": "404 Not Found"})
            self._body.drain()
        except BodyError as error:
            self.server.note(f"broken request {self.path}: {error}")
            self.close_connection = True

    do_POST = do_PUT = do_PATCH = do_GET  # noqa: N815 - the base class looks for these names

    # ---- runners

    def _verify_runner(self) -> None:
        token = str(self._json().get("token"))
        if not self.server.desk.knows_runner(token):
            self._forbid()
            return
        self._reply(HTTPStatus.OK, {"id": 1, "token": token, "token_expires_at": None})

    def _hand_out(self) -> None:
        token = str(self._json().get("token"))
        if not self.server.desk.knows_runner(token):
            self._forbid()
        elif (job := self.server.desk.next_job(token)) is None:
            self._reply(HTTPStatus.NO_CONTENT)
        else:
            self._reply(HTTPStatus.CREATED, job.payload())

    # ---- jobs

    def _update(self, ident: str) -> None:
        if job := self._job(ident):
            update = self._json()
            complete = update.get("state") not in FINAL or job.finish(update)
            if job.wish == "canceled":
                self._forbid(job)
            else:
                self._reply(HTTPStatus.OK if complete else HTTPStatus.PRECONDITION_FAILED, job=job)

    def _append_trace(self, ident: str) -> None:
        if job := self._job(ident):
            start = re.match(r"\d+", self.headers.get("Content-Range", ""))
            data = self._body.read_all(LONGEST_TRACE_PIECE)
            if job.wish == "canceled":
                self._forbid(job)
            elif start is None:
                self._reply(HTTPStatus.BAD_REQUEST, {"message": "400 Missing header Content-Range"})
            else:
                code = HTTPStatus.ACCEPTED if job.append(int(start[0]), data) else RANGE_MISMATCH
                self._reply(code, job=job, headers={"Range": f"0-{job.trace_size()}"})

    def _upload(self, ident: str) -> None:
        if job := self._job(ident):
            query = parse_qs(urlsplit(self.path).query)
            kind = re.sub(r"\W", "_", query.get("artifact_type", ["archive"])[0])
            for file in save_files(self._body, self.headers.get("Content-Type", ""), job.folder / "artifacts" / kind):
                job.keep(StoredArtifact(file.name, kind, file.path))
            self._reply(HTTPStatus.CREATED, {"message": "201 Created"})

    def _download(self, ident: str) -> None:
        jobs = self._attempts_with_token(ident)
        archives = [artifact for job in jobs for artifact in job.artifacts if artifact.kind == "archive"]
        if not jobs:
            self._forbid()
        elif not archives:
            self._reply(HTTPStatus.NOT_FOUND, {"message": "404 Not Found"})
        else:
            self._send_file(archives[0].path)

    def _send_file(self, path: Path) -> None:
        with path.open("rb") as file:
            size = path.stat().st_size
            self._start(HTTPStatus.OK, {"Content-Type": "application/octet-stream", "Content-Length": str(size)})
            shutil.copyfileobj(file, self.wfile)

    def _job(self, ident: str) -> SubmittedJob | None:
        """The running job that the request is about; where there is none, the request has its answer."""
        mine = self._attempts_with_token(ident)
        if mine and mine[0].running:
            return mine[0]
        if self.server.desk.attempts(int(ident)):
            self._forbid(mine[0] if mine else None)
        else:
            self._reply(HTTPStatus.NOT_FOUND, {"message": "404 Not Found"})
        return None

    def _attempts_with_token(self, ident: str) -> list[SubmittedJob]:
        token = self.headers.get("JOB-TOKEN", "")
        return [job for job in self.server.desk.attempts(int(ident)) if job.given.token == token]

    # ---- git

    def _git(self, project: str, inside: str) -> None:
        path = unquote(project)
        request = GitRequest(
            method=self.command,
            repository=self.server.desk.repository(path),
            inside=inside,
            query=urlsplit(self.path).query,
            content_type=self.headers.get("Content-Type", ""),
            content_encoding=self.headers.get("Content-Encoding", ""),
            protocol=self.headers.get("Git-Protocol", ""),
        )
        if not self.server.desk.may_fetch(path, self._password()):
            self._reply(HTTPStatus.UNAUTHORIZED, {}, headers={"WWW-Authenticate": 'Basic realm="GitLab"'})
        elif not request.is_fetch:
            self._forbid()
        elif not request.repository.exists():
            self._reply(HTTPStatus.NOT_FOUND, {"message": "404 Not Found"})
        else:
            self._let_git_answer(request)

    def _let_git_answer(self, request: GitRequest) -> None:
        with tempfile.TemporaryFile() as sent:
            sent.write(self._body.read_all(LONGEST_GIT_REQUEST))
            sent.seek(0)
            with answer(request, sent) as reply:
                self._start(reply.status, {**reply.headers, "Transfer-Encoding": "chunked"})
                while piece := reply.body.read1(65536):  # type: ignore[attr-defined]
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def _password(self) -> str:
        scheme, _, encoded = self.headers.get("Authorization", "").partition(" ")
        with suppress(binascii.Error, UnicodeDecodeError):
            if scheme.lower() == "basic":
                return base64.b64decode(encoded).decode().partition(":")[2]
        return ""

    # ---- answers

    def _json(self) -> dict[str, Any]:
        try:
            data = json.loads(self._body.read_all(LONGEST_JSON) or b"{}")
        except ValueError as error:
            raise BodyError(f"not JSON: {error}") from error
        return data if isinstance(data, dict) else {}

    def _forbid(self, job: SubmittedJob | None = None) -> None:
        self._reply(HTTPStatus.FORBIDDEN, {"message": "403 Forbidden"}, job=job)

    def _reply(
        self,
        code: int,
        data: dict[str, Any] | None = None,
        *,
        job: SubmittedJob | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._body.drain()  # what was not read would be taken for the next request
        content = b"" if data is None else json.dumps(data).encode()
        told = dict(headers or {})
        if job is not None:
            told["Job-Status"] = job.result.state if job.result else job.wish
            told["X-GitLab-Trace-Update-Interval"] = UPDATE_INTERVAL
        if data is not None:
            told["Content-Type"] = "application/json"
        if code != HTTPStatus.NO_CONTENT:
            told["Content-Length"] = str(len(content))
        self._start(code, told)
        self.wfile.write(content)

    def _start(self, code: int, headers: Mapping[str, str]) -> None:
        self.send_response(code)
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()

    routes: ClassVar[tuple[tuple[str, str, Callable[..., None]], ...]] = (
        ("POST", r"/api/v4/runners/verify", _verify_runner),
        ("POST", r"/api/v4/jobs/request", _hand_out),
        ("PUT", r"/api/v4/jobs/(\d+)", _update),
        ("PATCH", r"/api/v4/jobs/(\d+)/trace", _append_trace),
        ("POST", r"/api/v4/jobs/(\d+)/artifacts", _upload),
        ("GET", r"/api/v4/jobs/(\d+)/artifacts", _download),
        ("GET", r"/([\w./%-]+)\.git/(info/refs)", _git),
        ("POST", r"/([\w./%-]+)\.git/(git-upload-pack|git-receive-pack)", _git),
    )
