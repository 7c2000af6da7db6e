"""A server that fails on demand, and connections to it."""

from __future__ import annotations

import sys
from base64 import b64encode
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from executor.job import Connection
from tests.support.api_server import ApiServer
from tests.support.proxy import Proxy
from tests.support.tls import Certificate, make_certificate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """Of 127.0.0.1 and localhost."""
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def server(certificate: Certificate) -> Iterator[ApiServer]:
    """A server on loopback."""
    running = ApiServer(certificate)
    yield running
    running.close()


@pytest.fixture
def connection(server: ApiServer, certificate: Certificate, tmp_path: Path) -> Connection:
    """A connection to that server, with a token."""
    token = tmp_path / "token"
    token.write_text("t0ken\n")
    return Connection(
        server=server.url, namespace="tenant-a", ca_file=str(certificate.certificate), token_file=str(token)
    )


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """A proxy that asks for a login: user `u ser`, password `p@ss`."""
    running = Proxy(login=f"Basic {b64encode(b'u ser:p@ss').decode()}")
    yield running
    running.close()


@pytest.fixture
def numbered(connection: Connection, tmp_path: Path) -> Connection:
    """A connection whose token is numbered by the calls of its plugin."""
    program = (
        "import json, pathlib, sys; calls = pathlib.Path(sys.argv[1]);"
        "calls.write_text((calls.read_text() if calls.exists() else '') + 'x');"
        "print(json.dumps({'status': {'token': 'token-%d' % len(calls.read_text())}}))"
    )
    plugin = {
        "api_version": "client.authentication.k8s.io/v1",
        "command": [sys.executable, "-c", program, str(tmp_path / "calls")],
        "environment": {},
        "hint": "",
        "cluster": {},
    }
    return replace(connection, token_file="", exec_plugin=plugin, exec_cache=str(tmp_path / "kept"))
