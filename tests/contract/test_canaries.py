"""Secrets that the runner cannot mask, planted wherever the driver meets one: none comes out, whatever fails.

That neither the job log nor the operator log holds them is asserted by the fixtures, after every stage and test.
"""

from __future__ import annotations

import json
import re
import socket
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.conftest import BUILD_FAILURE, SECRETS, SYSTEM_FAILURE
from tests.contract.test_stages import Cluster
from tests.support.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.contract.conftest import Attempt
    from tests.support.api_server import ApiServer, Exchange

SERVICE = {
    "name": "registry.example.com/db:1",
    "variables": [{"key": "PASSWORD", "value": "s3cret-of-db"}, {"key": "FROM_JOB", "value": "$TOKEN"}],
}
VARIABLES = [
    {"key": "TOKEN", "value": "s3cret-variable"},
    {"key": "DOCKER_AUTH_CONFIG", "value": json.dumps({"auths": {"registry.example.com": {"auth": "s3cret-auth"}}})},
]
ALLOWING = '[defaults.images]\nallowed = ["*"]\n[defaults.services]\nallowed = ["*"]\n'


def allow(attempt: Attempt) -> None:
    """Let jobs have every image and service."""
    attempt.configure(driver=f"version = 1\n[log]\nfile = '{attempt.journal}'\n{ALLOWING}")


def change_kubeconfig(attempt: Attempt, *, cluster: dict[str, Any] | None = None, user: Any = None) -> None:
    """Lay something over the only cluster, and put another user."""
    document = json.loads(attempt.kubeconfig.read_text())
    document["clusters"][0]["cluster"] |= cluster or {}
    if user is not None:
        document["users"][0]["user"] = user
    attempt.kubeconfig.write_text(json.dumps(document))


def every_stage(attempt: Attempt) -> str:
    """Call all stages, which may fail as they like; returns their words."""
    (attempt.folder / "script").write_text("true\n")
    calls = (("prepare",), ("run", str(attempt.folder / "script"), "build_script"), ("cleanup",))
    return attempt.config().err + "".join(attempt.stage(*call).words for call in calls)


def plugin(attempt: Attempt, body: str) -> dict[str, Any]:
    """Return a user whose credentials come from a program."""
    program = attempt.folder / "plugin"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    environment = [{"name": "PLUGIN_SECRET", "value": "s3cret-environment"}]
    return {"exec": {"command": str(program), "args": ["--password=s3cret-argument"], "env": environment}}


@pytest.mark.parametrize(
    "body",
    [
        "echo s3cret-stderr >&2; exit 3",
        "echo 's3cret-stdout, and no JSON'",
        """echo '{"status": {"token": "s3cret with blanks"}}'""",
        """echo '{"status": {"clientCertificateData": "s3cret-certificate", "clientKeyData": "s3cret-key"}}'""",
        "echo $PLUGIN_SECRET $KUBERNETES_EXEC_INFO; kill -9 $$",
    ],
)
def test_what_a_credential_plugin_says_when_it_fails(attempt: Attempt, body: str) -> None:
    change_kubeconfig(attempt, user=plugin(attempt, body))
    assert "credentials" in every_stage(attempt) or "certificate" in every_stage(attempt)


@pytest.mark.parametrize("token", ["s3cret\nX-Injected: 1", "s3cret with blanks", "s3cr\u00e9t s3cret"])
def test_a_token_that_no_header_can_carry(attempt: Attempt, token: str) -> None:
    change_kubeconfig(attempt, user={"token": token})
    assert "token" in every_stage(attempt)


def test_a_kubeconfig_that_is_cut_in_its_token(attempt: Attempt) -> None:
    attempt.kubeconfig.write_text('users: [{name: u, user: {token: "s3cret-half')
    assert "kubeconfig is no YAML" in every_stage(attempt)


@pytest.mark.parametrize("data", ["s3cret", "***s3cret***", b64encode(b"s3cret is no certificate").decode()])
def test_a_client_certificate_that_is_none(attempt: Attempt, data: str) -> None:
    change_kubeconfig(attempt, user={"client-certificate-data": data, "client-key-data": data})
    every_stage(attempt)


def test_the_address_of_a_server_with_a_login_in_it(attempt: Attempt) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    change_kubeconfig(attempt, cluster={"server": f"https://admin:s3cret@127.0.0.1:{port}"})
    assert "does not answer" in every_stage(attempt)


@pytest.mark.parametrize("known", [True, False])
def test_the_address_of_a_proxy_with_a_login_in_it(attempt: Attempt, *, known: bool) -> None:
    proxy = Proxy(login="" if known else "Basic b3RoZXI=")
    change_kubeconfig(attempt, cluster={"proxy-url": f"http://user:s3cret@127.0.0.1:{proxy.port}"})
    assert every_stage(attempt)
    proxy.close()


def test_a_server_that_quotes_the_request_it_refuses(attempt: Attempt, server: ApiServer) -> None:
    def quotes(exchange: Exchange) -> None:
        exchange.refuse(403, "refused: Authorization: Bearer s3cret-token", "Forbidden")

    server.answers = [quotes]
    assert "refused: Authorization: Bearer ***" in every_stage(attempt)


def broken(attempt: Attempt, content: bytes) -> None:
    file = attempt.folder / "logins.json"
    file.write_bytes(content)
    file.chmod(0o600)
    attempt.configure(more=f"[registry]\nlogins_file = '{file}'\n")


@pytest.mark.parametrize("content", [b'{"auths": "s3cret"', b"s3cret \xff", b'["s3cret"]', b'{"auths": ["s3cret"]}'])
def test_logins_of_the_tenant_that_cannot_be_used(attempt: Attempt, content: bytes) -> None:
    broken(attempt, content)
    assert re.search(r"registry[ .]logins", every_stage(attempt))


@pytest.mark.parametrize(
    "change",
    [
        {"image": {"name": "user:s3cret@registry.example.com/tools:1"}},
        {"image": {"name": "https://user:s3cret@registry.example.com/tools:1"}},
        {"services": [{"name": "user:s3cret@registry.example.com/db:1"}]},
        {"credentials": [{"type": "registry", "url": "r", "username": "u", "password": ["s3cret"]}]},
        {"credentials": [{"type": "registry", "url": 5, "username": "s3cret", "password": "s3cret"}]},
        {"id": "s3cret"},
        {"variables": [{"key": "A", "value": {"s3cret": 1}}]},
        {"services": [{**SERVICE, "variables": [{"key": "A", "value": "s3cret\0"}]}]},
        {"services": [{**SERVICE, "variables": [{"key": "A", "value": "s3cret" * 200_000}]}]},
    ],
)
def test_a_job_response_that_is_refused(attempt: Attempt, change: dict[str, Any]) -> None:
    allow(attempt)
    attempt.response(**change)
    assert attempt.config().code in {BUILD_FAILURE, SYSTEM_FAILURE}


ANSWERS: dict[str, Callable[[Exchange], None]] = {
    "no right": lambda exchange: exchange.refuse(403, "no right", "Forbidden"),
    "invalid": lambda exchange: exchange.refuse(422, "Secret is invalid", "Invalid"),
    "no JSON": lambda exchange: exchange.raw(200, b"<html>"),
    "broken": lambda exchange: exchange.reset(),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_secrets_of_a_job_that_cannot_be_made(attempt: Attempt, server: ApiServer, name: str) -> None:
    cluster = Cluster(server)
    allow(attempt)
    attempt.response(image={"name": "r.example.com/tools:1"}, services=[SERVICE], variables=VARIABLES)

    def answer(exchange: Exchange) -> None:
        if exchange.path.endswith("/secrets"):
            ANSWERS[name](exchange)
        else:
            cluster.answer(exchange)

    server.answers = [answer]
    every_stage(attempt)
    assert not any(secret in json.dumps(attempt.job["manifest"]) for secret in SECRETS)
    assert len(attempt.job["secrets"]) == 2


def test_everything_is_planted_and_all_goes_well(attempt: Attempt, server: ApiServer) -> None:
    cluster = Cluster(server)
    allow(attempt)
    attempt.response(image={"name": "r.example.com/tools:1"}, services=[SERVICE], variables=VARIABLES)

    attempt.config()
    assert attempt.stage("prepare").code == 0
    assert attempt.stage("cleanup").code == 0
    assert cluster.pods == set()
