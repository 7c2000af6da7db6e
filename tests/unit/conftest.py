"""A server that fails on demand, and connections to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from executor.job import Connection
from tests.support.api_server import ApiServer
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
