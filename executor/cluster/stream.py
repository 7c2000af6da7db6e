"""One exec into a container, over a WebSocket (KEP-4006, subprotocols v5 and v4.channel.k8s.io).

A stream that ends says nothing about the program in the pod: programs here only start or follow a supervised script,
which lives on. Nothing here is retried; `script.py` owns that.
"""

from __future__ import annotations

import json
import socket
import ssl
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode, urlsplit

import websocket

from executor.cluster import credentials
from executor.errors import ClusterRefused, ClusterUnreachable

if TYPE_CHECKING:
    from executor.job import Connection

STDOUT, STDERR, STATUS = 1, 2, 3
_STDIN = b"\0"
_CHUNK = 64 * 1024
_CONNECT_SECONDS = 15
_UNAUTHORIZED = 401
_FORBIDDEN = 403


class ExecStream:
    """A command that runs in a container, for as long as the connection lasts."""

    def __init__(
        self,
        connection: Connection,
        context: ssl.SSLContext,
        *,
        pod: str,
        container: str,
        command: list[str],
        terminal: bool = False,
    ) -> None:
        """Start the command; on a `terminal` its stderr is part of its stdout.

        Raises:
            ClusterRefused: 404 no such pod, 403 a right is missing, 400 or 500 the container does not run.
            ClusterUnreachable: no connection.
        """
        query = [("container", container), ("stdin", "true"), ("stdout", "true")]
        query.append(("tty", "true") if terminal else ("stderr", "true"))
        query += [("command", word) for word in command]
        target = urlsplit(connection.server)
        path = f"{target.path}/api/v1/namespaces/{quote(connection.namespace)}/pods/{quote(pod)}/exec"
        url = f"wss://{target.netloc}{path}?{urlencode(query)}"
        try:
            self._socket = _open(url, connection, context, renew=False)
        except websocket.WebSocketBadStatusException as error:
            if error.status_code != _UNAUTHORIZED or not connection.exec_plugin:
                raise _refused(error) from error
            try:
                self._socket = _open(url, connection, context, renew=True)
            except websocket.WebSocketBadStatusException as again:
                raise _refused(again) from again

    def send(self, data: bytes) -> None:
        """Write to the command's stdin.

        Raises:
            ClusterUnreachable: the connection broke.
        """
        try:
            for start in range(0, len(data), _CHUNK):
                self._socket.send_binary(_STDIN + data[start : start + _CHUNK])
        except (OSError, websocket.WebSocketException) as error:
            raise _broken(error) from error

    def end_input(self) -> None:
        """Let the command read the end of its input; servers before subprotocol v5 cannot."""
        self._control(b"\xff\0")

    def resize(self, *, columns: int, rows: int) -> None:
        """Tell the command's terminal its size."""
        self._control(b"\4" + json.dumps({"Width": columns, "Height": rows}).encode())

    def ping(self) -> None:
        """Keep a quiet connection alive."""
        try:
            self._socket.ping()
        except (OSError, websocket.WebSocketException) as error:
            raise _broken(error) from error

    def _control(self, data: bytes) -> None:
        try:
            self._socket.send_binary(data)
        except (OSError, websocket.WebSocketException) as error:
            raise _broken(error) from error

    def fileno(self) -> int:
        """Return what to wait on beside other files; what `pending` tells of is not seen there."""
        number: int = self._socket.fileno()  # type: ignore[no-untyped-call] # the library's own types end here
        return number

    def pending(self) -> bool:
        """Tell whether bytes have been taken from the connection that `receive` has not seen yet."""
        layer = self._socket.sock
        return isinstance(layer, ssl.SSLSocket) and layer.pending() > 0

    def receive(self, seconds: float) -> tuple[int, memoryview] | None:
        """Wait for output.

        Returns:
            The channel and its bytes; None when the stream has ended in order. STATUS brings a Status in JSON: what
            became of the command itself, which says nothing of the script that it started or followed.

        Raises:
            TimeoutError: nothing came for `seconds`.
            ClusterUnreachable: the connection broke.
        """
        self._socket.settimeout(seconds)
        while True:
            try:
                opcode, frame = self._socket.recv_data()
            except websocket.WebSocketTimeoutException as error:
                raise TimeoutError from error
            except (OSError, websocket.WebSocketException) as error:
                raise _broken(error) from error
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                return None
            if len(frame) < 2 or frame[0] not in (STDOUT, STDERR, STATUS):  # noqa: PLR2004 - a channel and a byte
                continue
            return frame[0], memoryview(frame)[1:]

    def close(self) -> None:
        """Drop the connection without a farewell; the program in the pod need not notice."""
        self._socket.shutdown()  # type: ignore[no-untyped-call] # the library's own types end here


def _open(url: str, connection: Connection, context: ssl.SSLContext, *, renew: bool) -> websocket.WebSocket:
    via = urlsplit(connection.proxy) if connection.proxy else None
    options: dict[str, object] = {"context": context}
    if connection.tls_server_name:
        options["server_hostname"] = connection.tls_server_name
    opened = websocket.WebSocket(sslopt=options, skip_utf8_validation=True, enable_multithread=False)
    opened.settimeout(_CONNECT_SECONDS)
    try:
        opened.connect(  # type: ignore[no-untyped-call] # likewise
            url,
            # Our own, because the library would look for proxies in this environment; that was decided in `config`.
            socket=None if via else _direct(connection, context),
            header=[f"{name}: {value}" for name, value in credentials.authorization(connection, renew=renew).items()],
            subprotocols=["v5.channel.k8s.io", "v4.channel.k8s.io"],
            suppress_origin=True,
            redirect_limit=0,
            http_proxy_host=via.hostname if via else None,
            http_proxy_port=(via.port or 3128) if via else 0,
            http_proxy_auth=credentials.proxy_login(connection.proxy),
            # Nor for exceptions from this one; an empty list would mean the environment's.
            http_no_proxy=["-"],
        )
    except websocket.WebSocketBadStatusException:
        raise
    except (OSError, websocket.WebSocketException) as error:
        raise _broken(error) from error
    return opened


def _direct(connection: Connection, context: ssl.SSLContext) -> ssl.SSLSocket:
    target = urlsplit(connection.server)
    host = target.hostname or ""
    plain = socket.create_connection((host, target.port or 443), timeout=_CONNECT_SECONDS)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return context.wrap_socket(plain, server_hostname=connection.tls_server_name or host)


def _broken(error: BaseException) -> ClusterUnreachable:
    return ClusterUnreachable(
        "The connection to the job pod broke.",
        why=f"{type(error).__name__}: {error}",
        remedy="This is no fault of the job: run it again.",
    )


def _refused(error: websocket.WebSocketBadStatusException) -> ClusterRefused:
    try:
        body = json.loads(error.resp_body or b"{}")
        message = body.get("message") or str(error)
    except (ValueError, AttributeError):
        message = bytes(error.resp_body or b"")[:300].decode("utf-8", "replace")
    remedy = ""
    if error.status_code == _FORBIDDEN:
        remedy = (
            "The operator must give the tenant's service account the verbs get and create on pods/exec; "
            "Kubernetes 1.35 and later ask for both."
        )
    return ClusterRefused(
        "The API server refused to run a command in the job pod.",
        status=error.status_code,
        why=f"{error.status_code} {message}",
        remedy=remedy,
    )
