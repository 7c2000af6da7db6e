"""Who the driver says it is: tokens that rotate, plugins that are asked once, and secrets that stay secret."""

from __future__ import annotations

import json
import ssl
import stat
import sys
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from executor.cluster.credentials import authorization, tls_context
from executor.errors import CredentialsInvalid
from executor.job import Connection
from tests.support.tls import make_certificate

if TYPE_CHECKING:
    from tests.support.tls import Certificate

PLUGIN = """\
import json, os, pathlib, sys

folder = pathlib.Path(sys.argv[1])
calls = folder / "calls"
calls.write_text(calls.read_text() + "x" if calls.exists() else "x")
(folder / "info").write_text(os.environ["KUBERNETES_EXEC_INFO"])
(folder / "environment").write_text(json.dumps(dict(os.environ)))
answer = (folder / "answer").read_text()
sys.stderr.write("the secret is s3cret\\n")
if answer.startswith("exit "):
    print("s3cret")
    sys.exit(int(answer[5:]))
print(answer.replace("CALL", str(len(calls.read_text()))))
"""


class Plugin:
    """A real credential program that counts its calls and answers what the test wrote down."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "plugin.py").write_text(PLUGIN)
        self.connection = Connection(
            server="https://127.0.0.1:1",
            namespace="tenant-a",
            exec_plugin={
                "api_version": "client.authentication.k8s.io/v1",
                "command": [sys.executable, str(folder / "plugin.py"), str(folder)],
                "environment": {"EXTRA": "1"},
                "hint": "",
                "cluster": {},
            },
            exec_cache=str(folder / "credential.json"),
        )
        self.answers({"token": "token-CALL"})

    def answers(self, status: dict[str, Any]) -> None:
        self.answers_text(json.dumps({"kind": "ExecCredential", "status": status}))

    def answers_text(self, text: str) -> None:
        (self.folder / "answer").write_text(text)

    def token(self, *, renew: bool = False) -> str:
        return authorization(self.connection, renew=renew)["Authorization"]

    @property
    def calls(self) -> int:
        return len((self.folder / "calls").read_text())


@pytest.fixture
def plugin(tmp_path: Path) -> Plugin:
    return Plugin(tmp_path)


def stamp(seconds: int) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


class TestTokenFile:
    def connection(self, folder: Path, text: str) -> Connection:
        (folder / "token").write_text(text)
        return Connection(server="https://x", namespace="n", token_file=str(folder / "token"))

    def test_it_is_read_anew_each_time(self, tmp_path: Path) -> None:
        connection = self.connection(tmp_path, "one\n")
        assert authorization(connection) == {"Authorization": "Bearer one"}
        (tmp_path / "token").write_text("two")
        assert authorization(connection) == {"Authorization": "Bearer two"}

    def test_a_missing_one_is_told_by_name(self, tmp_path: Path) -> None:
        connection = self.connection(tmp_path, "x")
        (tmp_path / "token").unlink()
        with pytest.raises(CredentialsInvalid) as refused:
            authorization(connection)
        assert f"{tmp_path}/token: No such file or directory" in refused.value.why

    @pytest.mark.parametrize("text", ["", "\n", "s3cret\r\nX-Evil: 1", "s3cret s3cret", "s3crét", "s3cret\x00"])
    def test_what_no_header_can_carry_is_refused_without_quoting_it(self, tmp_path: Path, text: str) -> None:
        with pytest.raises(CredentialsInvalid) as refused:
            authorization(self.connection(tmp_path, text))
        assert "s3c" not in str(refused.value)
        assert "token" in str(refused.value)


def test_where_a_certificate_speaks_there_is_no_header() -> None:
    assert authorization(Connection(server="https://x", namespace="n", certificate_file="/c")) == {}


class TestPlugin:
    def test_its_token_is_used(self, plugin: Plugin) -> None:
        assert plugin.token() == "Bearer token-1"

    def test_it_is_asked_once_and_its_answer_is_kept_privately(self, plugin: Plugin) -> None:
        assert {plugin.token() for _ in range(3)} == {"Bearer token-1"}
        assert plugin.calls == 1
        assert stat.S_IMODE(Path(plugin.connection.exec_cache).stat().st_mode) == 0o600

    def test_it_is_asked_again_when_the_server_says_no(self, plugin: Plugin) -> None:
        plugin.token()
        assert plugin.token(renew=True) == "Bearer token-2"
        assert plugin.token() == "Bearer token-2"

    @pytest.mark.parametrize(
        ("expires", "calls"),
        [(stamp(3600), 1), (stamp(30), 2), (stamp(-10), 2), ("nonsense", 2), ("", 2)],
        ids=["in-an-hour", "in-half-a-minute", "by-now", "nonsense", "never"],
    )
    def test_it_is_asked_again_shortly_before_its_answer_expires(
        self, plugin: Plugin, expires: str, calls: int
    ) -> None:
        plugin.answers({"token": "token-CALL", "expirationTimestamp": expires})
        plugin.token()
        plugin.token()
        assert plugin.calls == calls

    def test_expiry_is_read_in_every_time_zone(self, plugin: Plugin) -> None:
        east = datetime.fromtimestamp(time.time() + 600, UTC).astimezone().isoformat()
        plugin.answers({"token": "t", "expirationTimestamp": east})
        plugin.token()
        plugin.token()
        assert plugin.calls == 1

    @pytest.mark.parametrize("kept", [b"", b"{", b"[]", b"5", b"\xff"])
    def test_a_damaged_kept_answer_is_asked_for_again(self, plugin: Plugin, kept: bytes) -> None:
        Path(plugin.connection.exec_cache).write_bytes(kept)
        assert plugin.token() == "Bearer token-1"

    def test_it_is_told_what_client_go_tells_it(self, plugin: Plugin) -> None:
        plugin.token()
        assert json.loads((plugin.folder / "info").read_text()) == {
            "apiVersion": "client.authentication.k8s.io/v1",
            "kind": "ExecCredential",
            "spec": {"interactive": False},
        }
        assert json.loads((plugin.folder / "environment").read_text())["EXTRA"] == "1"

    def test_it_is_told_of_the_cluster_where_it_wants_to_know(self, plugin: Plugin) -> None:
        described = plugin.connection.exec_plugin | {"cluster": {"server": "https://x"}}
        authorization(replace(plugin.connection, exec_plugin=described))
        assert json.loads((plugin.folder / "info").read_text())["spec"]["cluster"] == {"server": "https://x"}

    @pytest.mark.parametrize(
        "answer",
        [
            *("exit 7", "", "s3cret", "{", "[]", "{}", '{"status": null}', '{"status": {}}', '{"status": ["s3cret"]}'),
            *('{"status": {"token": ""}}', '{"status": {"token": "s3cret\\nX-Evil: 1"}}', '{"status": {"token": 5}}'),
            '{"status": {"token": "s3cret\\nX-Evil: 1", "clientCertificateData": "x"}}',
        ],
    )
    def test_a_failure_is_told_by_the_programs_name_and_no_secret(self, plugin: Plugin, answer: str) -> None:
        plugin.answers_text(answer)
        with pytest.raises(CredentialsInvalid) as refused:
            plugin.token()
        assert sys.executable in refused.value.why
        assert "s3cret" not in str(refused.value)
        assert str(plugin.folder) not in str(refused.value), "its arguments may hold secrets"
        assert refused.value.remedy

    def test_a_failure_tells_the_exit_code_and_the_operators_hint(self, plugin: Plugin) -> None:
        plugin.answers_text("exit 7")
        hinted = replace(plugin.connection, exec_plugin=plugin.connection.exec_plugin | {"hint": "Log in first."})
        with pytest.raises(CredentialsInvalid) as refused:
            authorization(hinted)
        assert refused.value.why.endswith("exit code 7")
        assert refused.value.remedy == "Log in first."

    def test_a_program_that_is_missing_is_told(self, plugin: Plugin) -> None:
        missing = replace(
            plugin.connection, exec_plugin=plugin.connection.exec_plugin | {"command": ["/no/such/program"]}
        )
        with pytest.raises(CredentialsInvalid, match="/no/such/program: No such file or directory"):
            authorization(missing)

    def test_a_program_that_hangs_is_ended(self, plugin: Plugin, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("executor.cluster.credentials._PLUGIN_SECONDS", 0.2)
        hanging = plugin.connection.exec_plugin | {"command": ["sleep", "60"]}
        started = time.monotonic()
        with pytest.raises(CredentialsInvalid, match="TimeoutExpired"):
            authorization(replace(plugin.connection, exec_plugin=hanging))
        assert time.monotonic() - started < 30

    @pytest.mark.parametrize("key", ["", "no key"])
    def test_a_certificate_that_cannot_be_used_is_told(
        self, plugin: Plugin, certificate: Certificate, key: str
    ) -> None:
        plugin.answers({"clientCertificateData": certificate.certificate.read_text(), "clientKeyData": key})
        with pytest.raises(CredentialsInvalid):
            tls_context(plugin.connection)

    def test_a_certificate_is_as_good_as_a_token(self, plugin: Plugin, certificate: Certificate) -> None:
        plugin.answers(
            {
                "clientCertificateData": certificate.certificate.read_text(),
                "clientKeyData": certificate.key.read_text(),
            }
        )
        tls_context(plugin.connection)
        assert authorization(plugin.connection) == {}
        kept = Path(f"{plugin.connection.exec_cache}.pem")
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        assert plugin.calls == 1


def shown(server: ssl.SSLContext, client: ssl.SSLContext) -> bytes | None:
    """Return the certificate that a client shows to a server that asks for one."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = client.wrap_bio(back, there, server_hostname="127.0.0.1")
    answering = server.wrap_bio(there, back, server_side=True)
    for _ in range(4):
        for side in (asking, answering):
            with suppress(ssl.SSLWantReadError):
                side.do_handshake()
    return answering.getpeercert(binary_form=True)


class TestTls:
    def test_the_server_is_verified(self, certificate: Certificate) -> None:
        context = tls_context(Connection(server="https://x", namespace="n", ca_file=str(certificate.certificate)))
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname

    def test_without_an_authority_the_systems_are_trusted(self) -> None:
        assert tls_context(Connection(server="https://x", namespace="n")).verify_mode is ssl.CERT_REQUIRED

    def test_authorities_as_clusters_have_them_are_good_enough(self) -> None:
        """Python 3.13 asks for extensions that many clusters' own authorities lack; client-go does not."""
        flags = tls_context(Connection(server="https://x", namespace="n")).verify_flags
        assert not flags & ssl.VERIFY_X509_STRICT

    def test_only_the_kubeconfig_itself_can_turn_it_off(self) -> None:
        context = tls_context(Connection(server="https://x", namespace="n", insecure=True))
        assert context.verify_mode is ssl.CERT_NONE

    def test_a_client_certificate_is_shown_to_the_server(self, certificate: Certificate) -> None:
        names = str(certificate.certificate), str(certificate.key)
        connection = Connection(server="https://127.0.0.1", namespace="n", ca_file=names[0])
        server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=names[0])
        server.verify_mode = ssl.CERT_OPTIONAL
        server.load_cert_chain(*names)
        assert shown(server, tls_context(replace(connection, certificate_file=names[0], key_file=names[1])))
        assert not shown(server, tls_context(connection))

    @pytest.mark.parametrize("field", ["ca_file", "certificate_file"])
    def test_a_missing_file_is_told_by_name(self, tmp_path: Path, field: str) -> None:
        absent: dict[str, Any] = {field: str(tmp_path / "absent.crt")}
        connection = replace(Connection(server="https://x", namespace="n"), **absent)
        with pytest.raises(CredentialsInvalid) as refused:
            tls_context(connection)
        assert "absent.crt" in refused.value.why

    def test_a_key_of_another_certificate_is_told_without_quoting_it(
        self, tmp_path: Path, certificate: Certificate
    ) -> None:
        other = make_certificate(tmp_path)
        with pytest.raises(CredentialsInvalid) as refused:
            tls_context(
                Connection(
                    server="https://x",
                    namespace="n",
                    certificate_file=str(certificate.certificate),
                    key_file=str(other.key),
                )
            )
        assert "PRIVATE" not in str(refused.value)
