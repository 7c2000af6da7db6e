"""Registry logins, tried as Kaniko logs in; no login ever goes where it does not belong."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest

from executor.operate.checkup.logins import hosts, logins
from tests.support.api_server import ApiServer, Exchange
from tests.support.tenants import tenant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.tls import Certificate

LOGIN = base64.b64encode(b"user:good").decode()


@pytest.fixture
def registry(certificate: Certificate, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.certificate))
    servers: list[ApiServer] = []

    def start(answer: Callable[[Exchange], None]) -> str:
        server = ApiServer(certificate)
        server.answers = [answer]
        servers.append(server)
        return server.url.removeprefix("https://")

    yield start
    for server in servers:
        server.close()


def tried(folder: Path, host: str, login: str = LOGIN) -> tuple[str, str]:
    """Return verdict and words for a login."""
    path = folder / "logins.json"
    path.write_text(json.dumps({"auths": {host: {"auth": login}}}))
    (found,) = logins(tenant(registry={"logins_file": str(path)}))
    assert LOGIN not in found.what
    return found.verdict, found.what


def basic(exchange: Exchange) -> None:
    """Be a registry that wants the login itself."""
    if exchange.headers.get("Authorization") == f"Basic {LOGIN}":
        exchange.json(200, {})
    else:
        exchange.raw(401, b"", WWW_Authenticate='Basic realm="x"')


def test_a_registry_with_basic_logins(tmp_path: Path, registry: Callable[..., str]) -> None:
    host = registry(basic)
    assert tried(tmp_path, host)[0] == "good"
    verdict, what = tried(tmp_path, host, base64.b64encode(b"user:bad").decode())
    assert (verdict, "HTTP 401" in what) == ("problem", True)


def test_a_registry_whose_tokens_come_from_elsewhere(tmp_path: Path, registry: Callable[..., str]) -> None:
    tokens = registry(basic)
    asked: list[str | None] = []

    def answer(exchange: Exchange) -> None:
        asked.append(exchange.headers.get("Authorization"))
        exchange.raw(401, b"", WWW_Authenticate=f'Bearer realm="https://{tokens}/token",service="s"')

    assert tried(tmp_path, registry(answer))[0] == "good"
    assert asked == [None]


def test_a_login_is_never_sent_in_the_clear_or_to_where_a_redirect_points(
    tmp_path: Path, registry: Callable[..., str]
) -> None:
    clear = registry(lambda exchange: exchange.raw(401, b"", WWW_Authenticate='Bearer realm="http://127.0.0.1:1/t"'))
    assert "not encrypted" in tried(tmp_path, clear)[1]
    seen: list[str | None] = []

    def thief(exchange: Exchange) -> None:
        seen.append(exchange.headers.get("Authorization"))
        exchange.json(200, {})

    target = registry(thief)

    def answer(exchange: Exchange) -> None:
        if exchange.headers.get("Authorization"):
            exchange.raw(302, b"", Location=f"https://{target}/")
        else:
            exchange.raw(401, b"", WWW_Authenticate='Basic realm="x"')

    assert tried(tmp_path, registry(answer))[0] == "problem"
    assert seen == []


def test_a_registry_out_of_reach_of_this_machine_says_nothing_about_the_login(tmp_path: Path) -> None:
    assert tried(tmp_path, "127.0.0.1:1")[0] == "skipped"


def test_without_logins_there_is_nothing_to_try(tmp_path: Path) -> None:
    (found,) = logins(tenant())
    assert found.verdict == "skipped"
    (tmp_path / "broken").write_text("{")
    assert hosts(str(tmp_path / "broken")) == []


def test_hosts_are_named_as_registries_are() -> None:
    assert hosts("") == []
