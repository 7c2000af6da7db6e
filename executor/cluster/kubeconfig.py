"""A kubeconfig file or the pod's own service account -> a `Connection`. Used once a job, by `config`.

The full Kubernetes client could read it too, at 0.4 s a job; the later stages need no more than a `Connection`.
Source: k8s.io/client-go/tools/clientcmd/api/v1/types.go, and KEP-541 for credential plugins.
"""

from __future__ import annotations

import base64
import os
from typing import Any

from executor.errors import CredentialsInvalid
from executor.job import Connection

_SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
_REMEDY = "The operator must correct the kubeconfig named in the tenant's [cluster] settings."


def connect(*, path: str, context: str, namespace: str, folder: str) -> Connection:
    """Find out how to reach the API server.

    Args:
        path: of the kubeconfig; empty for the service account of the pod that this runs in.
        context: name of its context; empty for the current one.
        namespace: that the connection will be used for.
        folder: private to this job attempt; inline certificates and tokens are put there as files, mode 0600.

    Raises:
        CredentialsInvalid: it cannot be read, or lacks what a connection needs.
    """
    if not path:
        return _in_cluster(namespace)
    document = _read(path)
    chosen = context or document.get("current-context") or ""
    entry = _named(document, "contexts", "context", chosen, path)
    cluster = _named(document, "clusters", "cluster", str(entry.get("cluster")), path)
    user = _named(document, "users", "user", str(entry.get("user")), path)
    files = _Files(base=os.path.dirname(os.path.abspath(path)), folder=folder, source=path)
    server = str(cluster.get("server") or "")
    if not server.startswith("https://"):
        raise CredentialsInvalid(
            "The kubeconfig names no https address of an API server.",
            why=f"{path}: server is {server!r}",
            remedy=_REMEDY,
        )
    connection = Connection(
        server=server.rstrip("/"),
        namespace=namespace,
        ca_file=files.of(cluster, "certificate-authority", "ca.crt"),
        tls_server_name=str(cluster.get("tls-server-name") or ""),
        insecure=bool(cluster.get("insecure-skip-tls-verify", False)),
        proxy=str(cluster.get("proxy-url") or "") or _proxy_of_environment(server),
        certificate_file=files.of(user, "client-certificate", "client.crt"),
        key_file=files.of(user, "client-key", "client.key"),
        token_file=files.token(user),
        exec_plugin=_exec_plugin(user, cluster, path),
        exec_cache=os.path.join(folder, "credential.json") if user.get("exec") else "",
    )
    if not (connection.certificate_file or connection.token_file or connection.exec_plugin):
        raise CredentialsInvalid(
            "The kubeconfig has no way to authenticate that kaniko-driver knows.",
            why=f"{path}: user {entry.get('user')!r} has {', '.join(sorted(user)) or 'nothing'}; "
            "known are client-certificate, token, tokenFile and exec.",
            remedy=_REMEDY,
        )
    return connection


def _in_cluster(namespace: str) -> Connection:
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host or not os.path.exists(f"{_SERVICE_ACCOUNT}/token"):
        raise CredentialsInvalid(
            "There is no way to the cluster: no kubeconfig is set, and this is no pod with a service account.",
            remedy="The operator must set `kubeconfig` in the tenant's [cluster] settings.",
        )
    host = f"[{host}]" if ":" in host else host
    return Connection(
        server=f"https://{host}:{port}",
        namespace=namespace,
        ca_file=f"{_SERVICE_ACCOUNT}/ca.crt",
        token_file=f"{_SERVICE_ACCOUNT}/token",
    )


def _read(path: str) -> dict[str, Any]:
    # Imported here: only `config` reads YAML.
    import yaml

    try:
        with open(path, encoding="utf-8") as file:
            # The C loader is ten times faster and absent from some builds.
            document = yaml.load(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe
    except OSError as error:
        raise CredentialsInvalid(
            "The kubeconfig cannot be read.", why=f"{path}: {error.strerror}", remedy=_REMEDY
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        # Not the error's own text: it may quote the line, and the line may be a token.
        raise CredentialsInvalid("The kubeconfig is no YAML.", why=path, remedy=_REMEDY) from error
    if not isinstance(document, dict):
        raise CredentialsInvalid("The kubeconfig is empty.", why=path, remedy=_REMEDY)
    return document


def _named(document: dict[str, Any], table: str, key: str, name: str, path: str) -> dict[str, Any]:
    for entry in document.get(table) or ():
        if isinstance(entry, dict) and entry.get("name") == name and isinstance(entry.get(key), dict):
            found: dict[str, Any] = entry[key]
            return found
    raise CredentialsInvalid(f"The kubeconfig has no {key} named {name!r}.", why=path, remedy=_REMEDY)


class _Files:
    """Gives every credential of a kubeconfig as a file, since that is what TLS and token rotation want."""

    def __init__(self, *, base: str, folder: str, source: str) -> None:
        self.base = base
        self.folder = folder
        self.source = source

    def of(self, table: dict[str, Any], key: str, name: str) -> str:
        """Return the file of `key`, or one made from `key-data`, or nothing; data wins, as in kubectl."""
        data = table.get(f"{key}-data")
        if data:
            try:
                return self._keep(name, base64.b64decode(str(data), validate=True))
            except ValueError as error:
                raise CredentialsInvalid(
                    f"{key}-data of the kubeconfig is no base64.", why=self.source, remedy=_REMEDY
                ) from error
        return self._absolute(table.get(key))

    def token(self, user: dict[str, Any]) -> str:
        """Return the token's file; a file wins over an inline token, as in client-go."""
        if user.get("tokenFile"):
            return self._absolute(user["tokenFile"])
        return self._keep("token", str(user["token"]).encode()) if user.get("token") else ""

    def _absolute(self, path: object) -> str:
        return os.path.join(self.base, str(path)) if path else ""

    def _keep(self, name: str, content: bytes) -> str:
        path = os.path.join(self.folder, name)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        return path


def _exec_plugin(user: dict[str, Any], cluster: dict[str, Any], path: str) -> dict[str, Any]:
    plugin = user.get("exec")
    if not isinstance(plugin, dict):
        return {}
    command = str(plugin.get("command") or "")
    try:
        environment = {str(entry["name"]): str(entry["value"]) for entry in plugin.get("env") or ()}
    except (LookupError, TypeError):
        command = ""
    if not command:
        raise CredentialsInvalid(
            "The kubeconfig's exec plugin lacks a command, or the name or value of a variable.",
            why=path,
            remedy=_REMEDY,
        )
    # A relative path with a slash is relative to the kubeconfig; a bare name is looked for on PATH.
    command = os.path.join(os.path.dirname(os.path.abspath(path)), command) if "/" in command else command
    given = {
        "server": cluster.get("server"),
        "tls-server-name": cluster.get("tls-server-name"),
        "insecure-skip-tls-verify": cluster.get("insecure-skip-tls-verify", False),
        "certificate-authority-data": cluster.get("certificate-authority-data"),
        "proxy-url": cluster.get("proxy-url"),
    }
    return {
        "api_version": str(plugin.get("apiVersion") or "client.authentication.k8s.io/v1"),
        "command": [command, *map(str, plugin.get("args") or ())],
        "environment": environment,
        "hint": str(plugin.get("installHint") or ""),
        "cluster": {key: value for key, value in given.items() if value} if plugin.get("provideClusterInfo") else {},
    }


def _proxy_of_environment(server: str) -> str:
    # Imported here: it costs 0.05 s, and most runners have no proxy.
    if not any(name in os.environ for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")):
        return ""
    from urllib.parse import urlsplit
    from urllib.request import getproxies, proxy_bypass

    host = urlsplit(server).hostname or ""
    proxies = getproxies()
    return "" if proxy_bypass(host) else proxies.get("https", proxies.get("all", ""))
