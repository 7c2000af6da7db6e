"""A WebSocket client (RFC 6455) as far as exec needs one: binary messages, no extensions, nothing tried twice.

Our own, because the run stage starts many times a job and importing a library for this costs a sixth of its start.
Reads as much as there is and copies each message once.
"""

from __future__ import annotations

import os
import struct
from binascii import b2a_base64
from contextlib import suppress
from hashlib import sha1

from executor.cluster.wire import Wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable

    from executor.job import Connection

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_BINARY, _CLOSE, _PING, _PONG = 2, 8, 9, 10
_LAST, _RESERVED, _OPCODE, _MASKED, _LENGTH = 0x80, 0x70, 0x0F, 0x80, 0x7F
_SHORT, _MEDIUM = 126, 127
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
        self._parts: list[bytes] = []
        self._wire = Wire(connection, context, seconds=seconds)
        try:
            self._upgrade(path, headers, protocols)
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
        return self._wire.fileno()

    def pending(self) -> bool:
        """Tell whether bytes have been read that `receive` has not returned yet."""
        return self._wire.pending()

    def receive(self, seconds: float) -> bytes | None:
        """Wait for a message; None when the server ends the connection in order.

        Raises:
            TimeoutError: nothing came for `seconds`. What has come of a message until then is kept.
        """
        self._wire.wait_at_most(seconds)
        while True:
            frame = self._take_frame()
            if frame is None:
                self._wire.fill()
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
        self._wire.close()

    # ------------------------------------------------------------ frames

    def _take_frame(self) -> tuple[int, bool, bytes] | None:
        buffer = self._wire.buffer
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
        self._wire.socket.sendall(head + key + masked)

    # ------------------------------------------------------------ the upgrade

    def _upgrade(self, path: str, headers: Iterable[tuple[str, str]], protocols: str) -> None:
        key = b2a_base64(os.urandom(16), newline=False)
        wishes = [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", key.decode()),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Protocol", protocols),
        ]
        answer = self._wire.request("GET", path, [*wishes, *headers])
        if answer.status in _REDIRECTS:
            # Not followed: it could take the token elsewhere.
            raise ConnectionError(f"Redirect to {answer.headers.get('location')}")
        if answer.status != _SWITCHING:
            self._wire.wait_at_most(_BODY_SECONDS)
            # Part of its words is better than none.
            with suppress(OSError):
                answer.read(_LONGEST_BODY)
            raise Refused(answer.status, bytes(answer.body))
        accept = b2a_base64(sha1(key + _GUID, usedforsecurity=False).digest(), newline=False).decode()
        if answer.headers.get("sec-websocket-accept") != accept:
            raise ConnectionError("what answered is no WebSocket server")
