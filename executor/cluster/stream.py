"""One exec into a container, over a WebSocket (KEP-4006, subprotocols v5 and v4.channel.k8s.io).

A stream that ends says nothing about the program in the pod: programs here only start or follow a supervised script,
which lives on. Nothing here is retried; `script.py` owns that.
"""

from __future__ import annotations

import json

from executor.cluster import credentials
from executor.cluster.address import path, query, quoted
from executor.cluster.websocket import Refused, WebSocket
from executor.errors import ClusterRefused, ClusterUnreachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl

    from executor.job import Connection

STDOUT, STDERR, STATUS = 1, 2, 3
_STDIN = b"\0"
_PROTOCOLS = "v5.channel.k8s.io, v4.channel.k8s.io"
_CHUNK = 64 * 1024
_CONNECT_SECONDS = 15
_UNAUTHORIZED = 401
_FORBIDDEN = 403


class ExecStream:
    """A command that runs in a container, for as long as the connection lasts."""

    def __init__(  # noqa: PLR0913 - what a request for an exec consists of
        self,
        connection: Connection,
        context: ssl.SSLContext,
        *,
        pod: str,
        container: str,
        command: list[str],
        terminal: bool = False,
        seconds: float = _CONNECT_SECONDS,
    ) -> None:
        """Start the command, each step within `seconds`; on a `terminal` its stderr is part of its stdout.

        Raises:
            ClusterRefused: 404 no such pod, 403 a right is missing, 400 or 500 the container does not run.
            ClusterUnreachable: no connection.
        """
        wishes = [("container", container), ("stdin", "true"), ("stdout", "true")]
        wishes.append(("tty", "true") if terminal else ("stderr", "true"))
        wishes += [("command", word) for word in command]
        namespace = f"{path(connection.server)}/api/v1/namespaces/{quoted(connection.namespace)}"
        target = f"{namespace}/pods/{quoted(pod)}/exec?{query(wishes)}"
        try:
            self._socket = _open(target, connection, context, seconds, renew=False)
        except Refused as error:
            if error.status != _UNAUTHORIZED or not connection.exec_plugin:
                raise _refused(error) from error
            try:
                self._socket = _open(target, connection, context, seconds, renew=True)
            except Refused as again:
                raise _refused(again) from again

    def send(self, data: bytes) -> None:
        """Write to the command's stdin.

        Raises:
            ClusterUnreachable: the connection broke.
        """
        for start in range(0, len(data), _CHUNK):
            self._send(_STDIN + data[start : start + _CHUNK])

    def end_input(self) -> None:
        """Let the command read the end of its input; servers before subprotocol v5 cannot."""
        self._send(b"\xff\0")

    def resize(self, *, columns: int, rows: int) -> None:
        """Tell the command's terminal its size."""
        self._send(b"\4" + json.dumps({"Width": columns, "Height": rows}).encode())

    def ping(self) -> None:
        """Keep a quiet connection alive."""
        try:
            self._socket.ping()
        except OSError as error:
            raise _broken(error) from error

    def _send(self, message: bytes) -> None:
        try:
            self._socket.send(message)
        except OSError as error:
            raise _broken(error) from error

    def fileno(self) -> int:
        """Return what to wait on beside other files; what `pending` tells of is not seen there."""
        return self._socket.fileno()

    def pending(self) -> bool:
        """Tell whether bytes have been taken from the connection that `receive` has not seen yet."""
        return self._socket.pending()

    def receive(self, seconds: float) -> tuple[int, memoryview] | None:
        """Wait for output.

        Returns:
            The channel and its bytes; None when the stream has ended in order. STATUS brings a Status in JSON: what
            became of the command itself, which says nothing of the script that it started or followed.

        Raises:
            TimeoutError: nothing came for `seconds`.
            ClusterUnreachable: the connection broke.
        """
        while True:
            try:
                message = self._socket.receive(seconds)
            except TimeoutError:
                raise
            except OSError as error:
                raise _broken(error) from error
            if message is None:
                return None
            # Kubernetes opens each channel with an empty message.
            if len(message) > 1 and message[0] in (STDOUT, STDERR, STATUS):
                return message[0], memoryview(message)[1:]

    def close(self) -> None:
        """Drop the connection without a farewell; the program in the pod need not notice."""
        self._socket.close()


def _open(path: str, connection: Connection, context: ssl.SSLContext, seconds: float, *, renew: bool) -> WebSocket:
    headers = credentials.authorization(connection, renew=renew).items()
    try:
        return WebSocket(connection, context, path, headers=headers, protocols=_PROTOCOLS, seconds=seconds)
    except OSError as error:
        raise _broken(error) from error


def _broken(error: BaseException) -> ClusterUnreachable:
    return ClusterUnreachable(
        "The connection to the job pod broke.",
        why=f"{type(error).__name__}: {error}",
        remedy="This is no fault of the job: run it again.",
    )


def _refused(error: Refused) -> ClusterRefused:
    try:
        body = json.loads(error.body or b"{}")
        message = body.get("message") or str(error)
    except (ValueError, AttributeError, RecursionError):
        message = error.body[:300].decode("utf-8", "replace")
    # Imported here: most commands are let through.
    from executor.diagnosis import refusal

    words = str(message)
    if error.status == _FORBIDDEN and "denied" not in words and "cannot" not in words:
        # Where `create` is missing the API server names no right at all.
        words = 'cannot create resource "pods/exec"'
    category, remedy = refusal.of_answer(error.status, words)
    return ClusterRefused(
        "The API server refused to run a command in the job pod.",
        status=error.status,
        why=f"{error.status} {message}",
        remedy=remedy,
        category=category,
    )
