"""What the API server's answers mean: version, clock, credentials, rights."""

from __future__ import annotations

import base64
import email.utils
import http.server
import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from executor.errors import ClusterUnreachable
from executor.job import Connection
from executor.operate.checkup import access
from tests.support.api_server import ApiServer, Exchange
from tests.support.tenants import tenant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.tls import Certificate

    Serve = Callable[[Callable[[Exchange], None]], Connection]

TENANT = tenant(cluster={"namespace": "tenant-a", "kubeconfig": "/k"})


@pytest.fixture
def serve(tmp_path: Path, certificate: Certificate) -> Iterator[Serve]:
    servers: list[ApiServer] = []

    def start(answer: Callable[[Exchange], None]) -> Connection:
        server = ApiServer(certificate)
        server.answers = [answer]
        servers.append(server)
        token = tmp_path / "token"
        token.write_text("t")
        return Connection(
            server=server.url, namespace="tenant-a", ca_file=str(certificate.certificate), token_file=str(token)
        )

    yield start
    for server in servers:
        server.close()


def version(text: str) -> Callable[[Exchange], None]:
    """Answer with a version."""
    return lambda exchange: exchange.json(200, {"gitVersion": text})


@pytest.mark.parametrize(
    ("text", "verdict"),
    [("v1.35.4", "good"), ("v1.30.1-eks-x", "good"), ("v1.29.0", "warning"), ("v1.28.9", "problem"), ("x", "problem")],
)
def test_the_cluster_must_be_new_enough(serve: Serve, text: str, verdict: str) -> None:
    found = {one.check: one for one in access.server(TENANT, serve(version(text)))}
    assert found["cluster"].verdict == verdict
    assert text in found["cluster"].what


@pytest.mark.parametrize(
    ("ahead", "verdict", "words"),
    [(0, "good", "differs"), (10, "good", "differs"), (120, "warning", "behind"), (-3600, "problem", "ahead of")],
)
def test_a_clock_that_differs_is_told(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, ahead: float, verdict: str, words: str
) -> None:
    def date(*_: object) -> str:
        return email.utils.formatdate(time.time() + ahead, usegmt=True)

    monkeypatch.setattr(http.server.BaseHTTPRequestHandler, "date_time_string", date)
    found = {one.check: one for one in access.server(TENANT, serve(version("v1.35.0")))}
    assert (found["clock"].verdict, words in found["clock"].what) == (verdict, True)


def test_credentials_that_are_not_taken_are_a_problem_with_the_command_that_mends_it(serve: Serve) -> None:
    connection = serve(lambda exchange: exchange.refuse(401, "Unauthorized"))
    (found,) = access.server(TENANT, connection)
    assert found.verdict == "problem"
    assert found.commands == ("kaniko-driver tenant kubeconfig tenant-a",)


def test_a_server_that_breaks_the_connection_is_told_with_the_reason(serve: Serve) -> None:
    with pytest.raises(ClusterUnreachable, match="does not answer"):
        list(access.server(TENANT, serve(Exchange.reset)))


def token(days: float) -> str:
    """Make a token that is valid for so long; nobody has signed it."""
    payload = base64.urlsafe_b64encode(json.dumps({"exp": time.time() + days * 86400}).encode()).decode().rstrip("=")
    return f"x.{payload}.y"


@pytest.mark.parametrize(
    ("text", "verdict"),
    [(token(90), "good"), (token(5), "warning"), (token(-1), "problem"), ("opaque", "warning"), ("a.!.b", "warning")],
    ids=["in-months", "in-days", "by-now", "opaque", "broken"],
)
def test_a_token_that_ends_soon_is_told(tmp_path: Path, text: str, verdict: str) -> None:
    (tmp_path / "token").write_text(text)
    connection = Connection(server="https://x", namespace="tenant-a", token_file=str(tmp_path / "token"))
    (found,) = access.login(TENANT, connection)
    assert found.verdict == verdict
    assert text not in found.what


def reviews(allowed: Callable[[dict[str, Any]], bool]) -> Callable[[Exchange], None]:
    """Answer access reviews by a rule."""

    def answer(exchange: Exchange) -> None:
        assert exchange.path == "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        exchange.json(201, {"status": {"allowed": allowed(exchange.body["spec"]["resourceAttributes"])}})

    return answer


def as_it_should_be(right: dict[str, Any]) -> bool:
    """What the tenant's Role gives."""
    verbs = {
        "pods": ("create", "get", "list", "watch", "patch", "delete"),
        "events": ("list",),
        "secrets": ("create", "delete"),
    }
    if right.get("subresource"):
        return right["resource"] == "pods" and right["verb"] in {"get", "create"}
    return right.get("namespace") == "tenant-a" and right["verb"] in verbs.get(right["resource"], ())


def looked_at(connection: Connection) -> dict[str, Any]:
    """Check the rights, with another tenant beside."""
    return {one.check: one for one in access.rights(TENANT, connection, ("tenant-b",))}


def test_the_tenants_own_role_is_all_and_nothing_more(serve: Serve) -> None:
    found = looked_at(serve(reviews(as_it_should_be)))
    assert {one.verdict for one in found.values()} == {"good"}


def test_a_missing_right_is_named(serve: Serve) -> None:
    found = looked_at(serve(reviews(lambda right: as_it_should_be(right) and right["verb"] != "patch")))
    assert found["rights"].what == "the driver lacks: patch pods in tenant-a"
    assert found["rights"].commands == ("kaniko-driver tenant apply tenant-a",)


def test_rights_that_reach_beyond_are_a_problem(serve: Serve) -> None:
    found = looked_at(serve(reviews(lambda _: True)))
    assert found["rights"].verdict == "good"
    assert found["too-many-rights"].verdict == "problem"
    for words in ("list secrets in tenant-a", "create pods in tenant-b", "patch nodes"):
        assert words in found["too-many-rights"].what


def test_a_cluster_that_lets_nobody_ask_is_skipped(serve: Serve) -> None:
    found = looked_at(serve(lambda exchange: exchange.refuse(403, "no")))
    assert {one.verdict for one in found.values()} == {"skipped"}
