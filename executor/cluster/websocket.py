"""A WebSocket client (RFC 6455) as far as exec needs one: binary messages, no extensions, nothing tried twice.

Our own, because the run stage starts many times a job and importing a library for this costs a sixth of its start.
Reads as much as there is and copies each message once.
"""

from __future__ import annotations

import os
import socket
import struct
from binascii import b2a_base64
from contextlib import suppress
from hashlib import sha1
from urllib.parse import urlsplit

from executor.cluster import credentials

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable

    from executor.job import Connection

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_BINARY, _CLOSE, _PING, _PONG = 2, 8, 9, 10
_LAST, _RESERVED, _OPCODE, _MASKED, _LENGTH = 0x80, 0x70, 0x0F, 0x80, 0x7F
_SHORT, _MEDIUM = 126, 127
_READ = 32 * 1024
_LONGEST_HEAD = 64 * 1024
_BODY_SECONDS = 5.0
_LONGEST_BODY = 1024 * 1024
_LONGEST_MESSAGE = 64 * 1024 * 1024
_SWITCHING = 101
_REDIRECTS = range(300, 400)


class Refused(Exception):
    """The server answered the upgrade with something else."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.body = body


class WebSocket:
    """One connection to the API server; every method raises OSError when it is broken."""

    def __init__(
        self,
        connection: Connection,
        context: ssl.SSLContext,
        path: str,
        *,
        headers: Iterable[tuple[str, str]],
        protocols: str,
        seconds: float,
    ) -> None:
        """Connect, through the connection's proxy where there is one, and upgrade; each step within `seconds`.

        Raises:
            Refused: the server did not want to.
        """
        self._buffer = bytearray()
        self._parts: list[bytes] = []
        target = urlsplit(connection.server)
        name = connection.tls_server_name or target.hostname
        # Closes what it wraps when the handshake fails.
        self._socket = context.wrap_socket(_dial(connection, seconds), server_hostname=name)
        try:
            self._upgrade(path, target.netloc, headers, protocols)
        except BaseException:
            self.close()
            raise

    def send(self, message: bytes) -> None:
        """Send one binary message."""
        self._send(_BINARY, message)

    def ping(self) -> None:
        """Send what the server answers, and what keeps a quiet connection alive."""
        self._send(_PING, b"")

    def fileno(self) -> int:
        """Return what to wait on beside other files."""
        return self._socket.fileno()

    def pending(self) -> bool:
        """Tell whether bytes have been read that `receive` has not returned yet."""
        return bool(self._buffer) or self._socket.pending() > 0

    def receive(self, seconds: float) -> bytes | None:
        """Wait for a message; None when the server ends the connection in order.

        Raises:
            TimeoutError: nothing came for `seconds`. What has come of a message until then is kept.
        """
        self._socket.settimeout(seconds)
        while True:
            frame = self._take_frame()
            if frame is None:
                self._read()
                continue
            opcode, last, payload = frame
            if opcode == _CLOSE:
                self._send(_CLOSE, payload)
                return None
            if opcode == _PING:
                self._send(_PONG, payload)
            if opcode >= _CLOSE:
                continue
            if last and not self._parts:
                return payload
            self._parts.append(payload)
            if sum(map(len, self._parts)) > _LONGEST_MESSAGE:
                raise ConnectionError("the server sent a message that is too long")
            if last:
                whole, self._parts = b"".join(self._parts), []
                return whole

    def close(self) -> None:
        """Drop the connection without a farewell."""
        self._socket.close()

    # ------------------------------------------------------------ frames

    def _take_frame(self) -> tuple[int, bool, bytes] | None:
        buffer = self._buffer
        if len(buffer) < 2:  # noqa: PLR2004 - the shortest head
            return None
        start, length = 2, buffer[1] & _LENGTH
        if buffer[0] & _RESERVED or buffer[1] & _MASKED:
            raise ConnectionError("the server sent what is no WebSocket frame")
        if length >= _SHORT:
            start = 4 if length == _SHORT else 10
            if len(buffer) < start:
                return None
            length = int.from_bytes(buffer[2:start], "big")
        if length > _LONGEST_MESSAGE:
            raise ConnectionError("the server sent a message that is too long")
        if len(buffer) < start + length:
            return None
        head = buffer[0]
        payload = bytes(memoryview(buffer)[start : start + length])
        del buffer[: start + length]
        return head & _OPCODE, bool(head & _LAST), payload

    def _read(self) -> None:
        data = self._socket.recv(_READ)
        if not data:
            raise ConnectionError("the connection ended in the middle")
        self._buffer += data

    def _send(self, opcode: int, payload: bytes) -> None:
        length = len(payload)
        if length < _SHORT:
            head = bytes([_LAST | opcode, _MASKED | length])
        elif length < 1 << 16:
            head = struct.pack("!BBH", _LAST | opcode, _MASKED | _SHORT, length)
        else:
            head = struct.pack("!BBQ", _LAST | opcode, _MASKED | _MEDIUM, length)
        key = os.urandom(4)
        # One long exclusive or: byte by byte would take seconds for a script of megabytes.
        mask = int.from_bytes((key * (length // 4 + 1))[:length], "big")
        masked = (int.from_bytes(payload, "big") ^ mask).to_bytes(length, "big")
        self._socket.sendall(head + key + masked)

    # ------------------------------------------------------------ the upgrade

    def _upgrade(self, path: str, host: str, headers: Iterable[tuple[str, str]], protocols: str) -> None:
        key = b2a_base64(os.urandom(16), newline=False)
        lines = [
            f"GET {path} HTTP/1.1",
            f"Host: {host}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key.decode()}",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Protocol: {protocols}",
            *(f"{name}: {value}" for name, value in headers),
        ]
        self._socket.sendall("\r\n".join((*lines, "", "")).encode("ascii"))
        status, answer, rest = _read_head(self._socket)
        self._buffer += rest
        if status in _REDIRECTS:
            # Not followed: it could take the token elsewhere.
            raise ConnectionError(f"Redirect to {answer.get('location')}")
        if status != _SWITCHING:
            raise Refused(status, self._body(answer))
        accept = b2a_base64(sha1(key + _GUID, usedforsecurity=False).digest(), newline=False).decode()
        if answer.get("sec-websocket-accept") != accept:
            raise ConnectionError("what answered is no WebSocket server")

    def _body(self, answer: dict[str, str]) -> bytes:
        length = answer.get("content-length", "")
        wanted = min(int(length) if length.isdecimal() else _LONGEST_BODY, _LONGEST_BODY)
        chunked = "chunked" in answer.get("transfer-encoding", "").lower()
        self._socket.settimeout(_BODY_SECONDS)
        # Of an answer without a length the end of the connection is its end, and part of one is better than none.
        with suppress(OSError):
            while len(self._buffer) < wanted and not (chunked and self._buffer.endswith(b"0\r\n\r\n")):
                self._read()
        return _without_chunks(bytes(self._buffer)) if chunked else bytes(self._buffer)


def _dial(connection: Connection, seconds: float) -> socket.socket:
    """Connect to the server or, by way of its proxy, to what the proxy connects to."""
    target = urlsplit(connection.server)
    host, port = target.hostname or "", target.port or 443
    if not connection.proxy:
        return _connected(host, port, seconds)
    via = urlsplit(connection.proxy)
    opened = _connected(via.hostname or "", via.port or 3128, seconds)
    try:
        place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        lines = [f"CONNECT {place} HTTP/1.1", f"Host: {place}"]
        if login := credentials.proxy_login(connection.proxy):
            encoded = b2a_base64(":".join(login).encode(), newline=False).decode()
            lines.append(f"Proxy-Authorization: Basic {encoded}")
        opened.sendall("\r\n".join((*lines, "", "")).encode("ascii"))
        status, _, _ = _read_head(opened)
        if status // 100 != 2:  # noqa: PLR2004 - the class of success
            raise ConnectionError(f"the proxy {via.hostname}:{via.port or 3128} answered with HTTP {status}")
    except BaseException:
        opened.close()
        raise
    return opened


def _without_chunks(body: bytes) -> bytes:
    whole = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        try:
            length = int(size.partition(b";")[0], 16)
        except ValueError:
            break
        whole += body[:length]
        body = body[length + 2 :]
    return whole


def _connected(host: str, port: int, seconds: float) -> socket.socket:
    opened = socket.create_connection((host, port), timeout=seconds)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return opened


def _read_head(opened: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Read an answer's head: status, headers by name in lower case, and the bytes that came after it."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = opened.recv(_LONGEST_HEAD)
        data += more
        if not more or len(data) > 2 * _LONGEST_HEAD:
            raise ConnectionError("what answered speaks no HTTP")
    head, _, rest = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ", 2)
    if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdecimal():  # noqa: PLR2004 - version, status
        raise ConnectionError("what answered speaks no HTTP")
    pairs = (line.partition(":") for line in lines)
    return int(words[1]), {name.strip().lower(): value.strip() for name, _, value in pairs}, rest
