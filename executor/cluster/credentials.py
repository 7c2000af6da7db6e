"""Connection -> TLS context and the Authorization header of this moment.

Projected tokens are read from their file each time; a credential plugin's answer is kept in a file of the job attempt
until it expires. Source: k8s.io/client-go/plugin/pkg/client/auth/exec/exec.go.
"""

from __future__ import annotations

import json
import os
import ssl
import time

from executor.errors import CredentialsInvalid, in_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from executor.job import Connection

_PLUGIN_SECONDS = 60
_EXPIRY_MARGIN = 60


def tls_context(connection: Connection) -> ssl.SSLContext:
    """Make the TLS context; the server is always verified, unless the kubeconfig itself says not to.

    Raises:
        CredentialsInvalid: a certificate or key cannot be read.
    """
    try:
        context = ssl.create_default_context(cafile=connection.ca_file or None)
        # Default since Python 3.13; many clusters' own authorities lack what it asks for, and client-go does not ask.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if connection.certificate_file:
            context.load_cert_chain(connection.certificate_file, connection.key_file or None)
        elif connection.exec_plugin:
            _load_plugin_certificate(context, connection)
    except (OSError, ssl.SSLError) as error:
        raise CredentialsInvalid(
            "The certificates for the cluster cannot be used.",
            why=f"{connection.ca_file} {connection.certificate_file}: {error}",
            remedy="The operator must correct the kubeconfig named in the tenant's [cluster] settings.",
        ) from error
    if connection.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def authorization(connection: Connection, *, renew: bool = False) -> dict[str, str]:
    """Return the Authorization header, or nothing where a certificate speaks.

    Args:
        connection: of the job.
        renew: ask a credential plugin again, because the server said 401.

    Raises:
        CredentialsInvalid: the token's file is gone or no token, or the plugin failed.
    """
    if connection.exec_plugin:
        token = _plugin_status(connection, renew=renew).get("token", "")
        return {"Authorization": f"Bearer {token}"} if token else {}
    if not connection.token_file:
        return {}
    try:
        with open(connection.token_file, encoding="ascii") as file:
            token = file.read().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CredentialsInvalid(
            "The token for the cluster cannot be read.",
            why=f"{connection.token_file}: {in_words(error)}",
            remedy="The operator must make it readable for gitlab-runner's user.",
        ) from error
    if not _is_token(token):
        raise CredentialsInvalid(
            "The token for the cluster is empty, or has blanks or control characters in it.",
            why=connection.token_file,
            remedy="The operator must put the token, and nothing else, there.",
        )
    return {"Authorization": f"Bearer {token}"}


def _is_token(text: str) -> bool:
    """Tell whether a header can carry it; anything else would be quoted by the error of the HTTP library."""
    return bool(text) and text.isascii() and text.isprintable() and " " not in text


def proxy_login(proxy: str) -> tuple[str, str] | None:
    """Return user and password of a proxy's address; special characters stand in it percent-encoded."""
    # Imported here: few have a proxy.
    from urllib.parse import unquote, urlsplit

    parts = urlsplit(proxy)
    return (unquote(parts.username), unquote(parts.password or "")) if parts.username else None


def _load_plugin_certificate(context: ssl.SSLContext, connection: Connection) -> None:
    status = _plugin_status(connection, renew=False)
    if "clientCertificateData" not in status:
        return
    path = f"{connection.exec_cache}.pem"
    _write_private(path, status["clientCertificateData"] + "\n" + status.get("clientKeyData", ""))
    context.load_cert_chain(path)


def _plugin_status(connection: Connection, *, renew: bool) -> dict[str, str]:
    cached = None if renew else _cached(connection.exec_cache)
    if cached is not None:
        return cached
    status = _ask_plugin(connection.exec_plugin)
    _write_private(connection.exec_cache, json.dumps(status))
    return status


def _cached(path: str) -> dict[str, str] | None:
    try:
        with open(path, encoding="utf-8") as file:
            status = json.load(file)
    except (OSError, ValueError):
        return None
    if not isinstance(status, dict):
        return None
    expires = status.get("expirationTimestamp")
    return status if expires is None or _unix_time(expires) - _EXPIRY_MARGIN > time.time() else None


def _unix_time(stamp: str) -> float:
    from datetime import datetime

    try:
        return datetime.fromisoformat(stamp).timestamp()
    except ValueError:
        return 0.0


def _ask_plugin(plugin: dict[str, Any]) -> dict[str, str]:
    # Imported here: most connections have no plugin.
    import subprocess

    request = {
        "apiVersion": plugin["api_version"],
        "kind": "ExecCredential",
        "spec": {"interactive": False, **({"cluster": plugin["cluster"]} if plugin["cluster"] else {})},
    }
    environment = {**os.environ, **plugin["environment"], "KUBERNETES_EXEC_INFO": json.dumps(request)}
    command: list[str] = plugin["command"]
    try:
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PLUGIN_SECONDS, check=True
        )
        status: dict[str, str] = json.loads(done.stdout)["status"]
        token = status.get("token")
        if token is None and status.get("clientCertificateData"):
            return status
        if token is None or not _is_token(token):
            raise ValueError("token")
    except (OSError, subprocess.SubprocessError, ValueError, LookupError, TypeError, AttributeError) as error:
        # Neither its output nor its arguments: both may hold secrets. And so may the error itself, in the operator log.
        raise CredentialsInvalid(
            "The program that supplies the credentials for the cluster failed.",
            why=f"{command[0]}: {in_words(error)}" + _exit_of(error),
            remedy=plugin["hint"] or "The operator should run it by hand, as gitlab-runner's user.",
        ) from None
    return status


def _exit_of(error: BaseException) -> str:
    code = getattr(error, "returncode", None)
    return f", exit code {code}" if code is not None else ""


def _write_private(path: str, text: str) -> None:
    # Written beside and renamed: parallel stages may read it.
    temporary = f"{path}.{os.getpid()}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(temporary, path)
