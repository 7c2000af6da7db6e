"""scripts/audit with the real pip-audit, and an advisory service that knows what a test wants it to know."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from testbed import audit

if TYPE_CHECKING:
    from collections.abc import Iterator

SCRIPT = Path(__file__).parents[2] / "scripts/audit"
HOLE = {
    "id": "GHSA-made-for-tests",
    "summary": "a hole",
    "published": "2026-01-01T00:00:00Z",
    "affected": [
        {
            "package": {"name": "click", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "999"}]}],
        }
    ],
}


class Advisories:
    """Speaks OSV's query protocol on the loopback address."""

    def __init__(self) -> None:
        holed: set[str] = set()
        self.holed = holed

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                found = {"vulns": [HOLE]} if asked["package"]["name"] in holed else {}
                body = json.dumps(found).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1/query"


@pytest.fixture
def advisories() -> Iterator[Advisories]:
    made = Advisories()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def run(url: str) -> tuple[int, str]:
    environment = {**os.environ, audit.OSV_URL: url}
    done = subprocess.run([SCRIPT], capture_output=True, text=True, check=False, env=environment)
    return done.returncode, done.stderr


def test_a_locked_package_with_a_known_hole_is_found(advisories: Advisories) -> None:
    advisories.holed.add("click")
    code, said = run(advisories.url)
    assert code == audit.FOUND, said
    assert "GHSA-made-for-tests, fixed in 999" in said


def test_packages_without_one_pass(advisories: Advisories) -> None:
    code, said = run(advisories.url)
    assert code == audit.CLEAN, said
    assert "no known holes in" in said


def test_a_service_that_nobody_reaches_is_neither(advisories: Advisories) -> None:
    advisories.server.server_close()
    code, said = run(advisories.url)
    assert code == audit.NOT_AUDITED, said
    assert "NOTHING WAS AUDITED" in said
