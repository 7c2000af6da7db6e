"""A kubeconfig becomes a connection as kubectl would read it, and a mistake in it is told without its secrets."""

from __future__ import annotations

import json
import stat
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from executor.cluster import kubeconfig
from executor.cluster.kubeconfig import connect
from executor.errors import CredentialsInvalid

if TYPE_CHECKING:
    from executor.job import Connection

PROXY_VARIABLES = (
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
    "HTTP_PROXY",
    "http_proxy",
)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the machine's proxies are, these tests have none."""
    for name in (*PROXY_VARIABLES, "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "REQUEST_METHOD"):
        monkeypatch.delenv(name, raising=False)


class Kubeconfig:
    """A kubeconfig with one context, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "etc" / "kubeconfig"
        self.private = folder / "private"
        self.private.mkdir()
        self.path.parent.mkdir()
        self.cluster: dict[str, Any] = {"server": "https://10.0.0.1:6443"}
        self.user: dict[str, Any] = {"token": "t0ken"}
        self.more: dict[str, Any] = {}

    def connect(self, context: str = "") -> Connection:
        self.path.write_text(
            # JSON is YAML.
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "main",
                    "contexts": [{"name": "main", "context": {"cluster": "c", "user": "u", "namespace": "ignored"}}],
                    "clusters": [{"name": "c", "cluster": self.cluster}],
                    "users": [{"name": "u", "user": self.user}],
                }
                | self.more
            )
        )
        return connect(path=str(self.path), context=context, namespace="tenant-a", folder=str(self.private))

    def refused(self) -> CredentialsInvalid:
        with pytest.raises(CredentialsInvalid) as refused:
            self.connect()
        assert "[cluster] settings" in refused.value.remedy
        assert str(self.path) in refused.value.why
        return refused.value


@pytest.fixture
def config(tmp_path: Path) -> Kubeconfig:
    return Kubeconfig(tmp_path)


def data(text: str) -> str:
    return b64encode(text.encode()).decode()


class TestCredentials:
    def test_files_are_taken_as_they_are_relative_to_the_kubeconfig(self, config: Kubeconfig) -> None:
        config.cluster["certificate-authority"] = "pki/ca.crt"
        config.user = {"client-certificate": "/abs/client.crt", "client-key": "../client.key"}
        found = config.connect()
        folder = config.path.parent
        assert found.ca_file == f"{folder}/pki/ca.crt"
        assert (found.certificate_file, found.key_file) == ("/abs/client.crt", f"{folder}/../client.key")
        assert list(config.private.iterdir()) == []

    def test_inline_data_become_private_files_and_win_over_files(self, config: Kubeconfig) -> None:
        config.cluster |= {"certificate-authority": "other", "certificate-authority-data": data("CA")}
        config.user = {"client-certificate-data": data("CERT"), "client-key-data": data("KEY"), "client-key": "other"}
        found = config.connect()
        for path, content in ((found.ca_file, "CA"), (found.certificate_file, "CERT"), (found.key_file, "KEY")):
            assert Path(path).parent == config.private
            assert Path(path).read_text() == content
            assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600

    def test_an_inline_token_becomes_a_private_file(self, config: Kubeconfig) -> None:
        found = config.connect()
        assert Path(found.token_file).read_text() == "t0ken"
        assert stat.S_IMODE(Path(found.token_file).stat().st_mode) == 0o600

    def test_a_token_file_wins_because_it_may_rotate(self, config: Kubeconfig) -> None:
        config.user = {"token": "old", "tokenFile": "token"}
        assert config.connect().token_file == f"{config.path.parent}/token"

    def test_no_secret_stands_in_the_connection_itself(self, config: Kubeconfig) -> None:
        config.user = {"token": "s3cret", "client-certificate-data": data("s3cret"), "client-key-data": data("s3cret")}
        assert "s3cret" not in repr(config.connect())
        assert data("s3cret") not in repr(config.connect())

    def test_a_plugin_is_kept_with_all_it_needs_to_run_later(self, config: Kubeconfig) -> None:
        config.user = {
            "exec": {
                "apiVersion": "client.authentication.k8s.io/v1beta1",
                "command": "aws",
                "args": ["eks", "get-token", 5],
                "env": [{"name": "AWS_PROFILE", "value": "a"}],
                "installHint": "Install aws.",
            }
        }
        found = config.connect()
        assert found.exec_plugin == {
            "api_version": "client.authentication.k8s.io/v1beta1",
            "command": ["aws", "eks", "get-token", "5"],
            "environment": {"AWS_PROFILE": "a"},
            "hint": "Install aws.",
            "cluster": {},
        }
        assert Path(found.exec_cache).parent == config.private

    def test_a_plugin_with_a_path_is_relative_to_the_kubeconfig(self, config: Kubeconfig) -> None:
        config.user = {"exec": {"command": "./bin/plugin", "args": None, "env": None}}
        assert config.connect().exec_plugin["command"] == [f"{config.path.parent}/./bin/plugin"]

    def test_a_plugin_that_wants_to_know_the_cluster_is_told(self, config: Kubeconfig) -> None:
        config.cluster |= {"certificate-authority-data": data("CA"), "tls-server-name": "k"}
        config.user = {"exec": {"command": "p", "provideClusterInfo": True}}
        assert config.connect().exec_plugin["cluster"] == {
            "server": "https://10.0.0.1:6443",
            "tls-server-name": "k",
            "certificate-authority-data": data("CA"),
        }


class TestCluster:
    def test_the_namespace_is_the_settings_and_not_the_kubeconfigs(self, config: Kubeconfig) -> None:
        assert config.connect().namespace == "tenant-a"

    def test_a_slash_at_the_servers_end_is_dropped(self, config: Kubeconfig) -> None:
        config.cluster["server"] = "https://rancher.example.com/k8s/clusters/c-1/"
        assert config.connect().server == "https://rancher.example.com/k8s/clusters/c-1"

    def test_verification_is_as_the_kubeconfig_says(self, config: Kubeconfig) -> None:
        assert config.connect().insecure is False
        config.cluster |= {"insecure-skip-tls-verify": True, "tls-server-name": "kubernetes"}
        found = config.connect()
        assert (found.insecure, found.tls_server_name) == (True, "kubernetes")

    def test_another_context_may_be_chosen(self, config: Kubeconfig) -> None:
        config.more = {
            "contexts": [{"name": "b", "context": {"cluster": "c2", "user": "u2"}}],
            "clusters": [{"name": "c2", "cluster": {"server": "https://b"}}],
            "users": [{"name": "u2", "user": {"tokenFile": "/t"}}],
        }
        assert config.connect("b").server == "https://b"


class TestProxies:
    def test_the_kubeconfigs_proxy_wins(self, config: Kubeconfig, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HTTPS_PROXY", "http://environment:1")
        config.cluster["proxy-url"] = "http://kubeconfig:2"
        assert config.connect().proxy == "http://kubeconfig:2"

    @pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
    def test_the_environments_proxy_is_used(
        self, config: Kubeconfig, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        monkeypatch.setenv(name, "http://environment:1")
        assert config.connect().proxy == "http://environment:1"

    @pytest.mark.parametrize("exempt", ["10.0.0.1", "*", "other,10.0.0.1"])
    def test_exempt_servers_are_reached_directly(
        self, config: Kubeconfig, monkeypatch: pytest.MonkeyPatch, exempt: str
    ) -> None:
        monkeypatch.setenv("HTTPS_PROXY", "http://environment:1")
        monkeypatch.setenv("NO_PROXY", exempt)
        assert config.connect().proxy == ""

    def test_without_any_there_is_none(self, config: Kubeconfig) -> None:
        assert config.connect().proxy == ""


class TestInTheCluster:
    @pytest.fixture
    def account(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setattr(kubeconfig, "_SERVICE_ACCOUNT", str(tmp_path))
        return tmp_path

    @pytest.mark.parametrize(
        ("host", "port", "server"),
        [("10.96.0.1", "443", "https://10.96.0.1:443"), ("fd00::1", "6443", "https://[fd00::1]:6443")],
    )
    def test_the_pods_own_account_is_used(
        self, account: Path, monkeypatch: pytest.MonkeyPatch, host: str, port: str, server: str
    ) -> None:
        (account / "token").write_text("t")
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
        found = connect(path="", context="", namespace="tenant-a", folder="/unused")
        assert found.server == server
        assert (found.token_file, found.ca_file) == (f"{account}/token", f"{account}/ca.crt")

    @pytest.mark.parametrize("host", ["", "10.96.0.1"])
    def test_outside_of_a_pod_the_operator_is_told_what_to_set(
        self, account: Path, monkeypatch: pytest.MonkeyPatch, host: str
    ) -> None:
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
        if not host:
            (account / "token").write_text("t")
        with pytest.raises(CredentialsInvalid) as refused:
            connect(path="", context="", namespace="tenant-a", folder="/unused")
        assert "kubeconfig" in refused.value.remedy


class TestMistakes:
    @pytest.mark.parametrize(
        ("user", "listed"),
        [
            ({}, "nothing"),
            ({"username": "admin", "password": "s3cret"}, "password, username"),
            ({"token": ""}, "token"),
        ],
    )
    def test_no_known_way_to_authenticate_is_told_by_keys_only(
        self, config: Kubeconfig, user: dict[str, str], listed: str
    ) -> None:
        config.user = user
        error = config.refused()
        assert f"user 'u' has {listed};" in error.why
        assert "tokenFile and exec" in error.why
        assert "s3cret" not in str(error)

    @pytest.mark.parametrize("server", [None, "", "http://10.0.0.1:8080", "10.0.0.1:6443"])
    def test_a_server_without_tls_is_refused(self, config: Kubeconfig, server: str | None) -> None:
        config.cluster["server"] = server
        assert f"server is {server or ''!r}" in config.refused().why

    @pytest.mark.parametrize("text", ["s3cret", "!!!", "AAA", "ä"])
    def test_inline_data_that_are_no_base64_are_told_by_their_key(self, config: Kubeconfig, text: str) -> None:
        config.cluster["certificate-authority-data"] = text
        error = config.refused()
        assert "certificate-authority-data of the kubeconfig is no base64" in error.what
        assert "s3cret" not in str(error)

    @pytest.mark.parametrize(
        ("more", "words"),
        [
            ({"current-context": "absent"}, "no context named 'absent'"),
            ({"current-context": None}, "no context named ''"),
            ({"clusters": []}, "no cluster named 'c'"),
            ({"clusters": None}, "no cluster named 'c'"),
            ({"users": [{"name": "u"}]}, "no user named 'u'"),
            ({"contexts": ["x", {"name": "main", "context": None}]}, "no context named 'main'"),
        ],
    )
    def test_a_broken_reference_is_told_by_name(self, config: Kubeconfig, more: dict[str, Any], words: str) -> None:
        config.more = more
        assert words in config.refused().what

    @pytest.mark.parametrize("plugin", [{}, {"command": ""}, {"command": "p", "env": [{"name": "A"}]}, "p"])
    def test_a_plugin_that_cannot_be_called_is_refused(self, config: Kubeconfig, plugin: Any) -> None:
        config.user = {"exec": plugin}
        assert config.refused().what

    def raw(self, config: Kubeconfig, content: bytes) -> CredentialsInvalid:
        config.path.write_bytes(content)
        with pytest.raises(CredentialsInvalid) as refused:
            connect(path=str(config.path), context="", namespace="n", folder=str(config.private))
        assert str(config.path) in refused.value.why
        return refused.value

    @pytest.mark.parametrize(
        "content",
        [
            b"token: s3cret\n\tx: [",
            b"users: [{token: s3cret",
            b"a: b: s3cret",
            b"\x00s3cret",
            b"\xff\xfes3cret",
            b"&a *b s3cret",
        ],
    )
    def test_what_is_no_yaml_is_told_without_quoting_it(self, config: Kubeconfig, content: bytes) -> None:
        error = self.raw(config, content)
        assert "no YAML" in error.what
        assert "s3cret" not in str(error)

    @pytest.mark.parametrize("content", [b"", b"# nothing\n", b"[]", b"s3cret"])
    def test_what_is_no_table_is_told(self, config: Kubeconfig, content: bytes) -> None:
        error = self.raw(config, content)
        assert "empty" in error.what
        assert "s3cret" not in str(error)

    def test_yaml_constructs_no_objects(self, config: Kubeconfig, tmp_path: Path) -> None:
        self.raw(config, f"!!python/object/apply:os.mkdir ['{tmp_path}/made']".encode())
        assert not (tmp_path / "made").exists()

    def test_a_missing_file_is_told_by_name(self, tmp_path: Path) -> None:
        with pytest.raises(CredentialsInvalid) as refused:
            connect(path=f"{tmp_path}/absent", context="", namespace="n", folder=str(tmp_path))
        assert "absent: No such file or directory" in refused.value.why
