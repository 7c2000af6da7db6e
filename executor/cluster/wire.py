"""One TLS connection to the API server, through a proxy where there is one, and HTTP/1.1 as far as stages need it.

Our own, because the standard library's client brings the `email` package along, a fifth of a stage's start, and cannot
go on with an answer after a time-out, as a watch beside something else must. Every method raises OSError when the
connection is broken or what comes is no HTTP.
"""

from __future__ import annotations

import socket
from binascii import b2a_base64

from executor.cluster import address, credentials

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable

    from executor.job import Connection

_READ = 32 * 1024
_LONGEST_HEAD = 128 * 1024
_LONGEST_SIZE = 1024
"""Bytes of a chunk's size and what servers may write behind it."""
_LONGEST_CHUNK = 64 * 1024 * 1024
_LONGEST_NUMBER = 18
"""Digits of a length: Python reads no number of some thousand, and the body is bounded anyway."""
_STATUS_DIGITS = 3
_SWITCHING, _OK, _NO_CONTENT = 101, 200, 204


class Ended(ConnectionError):
    """The other end has closed the connection."""


class Wire:
    """A connection and the bytes that have come over it and were not taken yet."""

    def __init__(self, connection: Connection, context: ssl.SSLContext, *, seconds: float) -> None:
        """Connect; each step within `seconds`."""
        self.host = address.place(connection.server)
        self.buffer = bytearray()
        # Closes what it wraps when the handshake fails.
        self.socket = context.wrap_socket(
            _dial(connection, seconds),
            server_hostname=connection.tls_server_name or address.host_and_port(connection.server)[0],
        )

    def fileno(self) -> int:
        """Return what to wait on beside other files; what `pending` tells of is not seen there."""
        return self.socket.fileno()

    def pending(self) -> bool:
        """Tell whether bytes have come that nobody has taken."""
        return bool(self.buffer) or self.socket.pending() > 0

    def wait_at_most(self, seconds: float) -> None:
        """Let every later step fail with TimeoutError after so long; what has come until then is kept."""
        self.socket.settimeout(seconds)

    def fill(self) -> None:
        """Wait for more bytes."""
        data = self.socket.recv(_READ)
        if not data:
            raise Ended("the connection ended in the middle")
        self.buffer += data

    def take(self, length: int) -> bytes | None:
        """Take so many bytes, or None as long as there are fewer."""
        if len(self.buffer) < length:
            return None
        taken = bytes(memoryview(self.buffer)[:length])
        del self.buffer[:length]
        return taken

    def request(self, method: str, path: str, headers: Iterable[tuple[str, str]], body: bytes = b"") -> Answer:
        """Send a request and wait for the head of its answer."""
        self.send(method, path, headers, body)
        return Answer(self)

    def send(self, method: str, path: str, headers: Iterable[tuple[str, str]], body: bytes = b"") -> None:
        """Send a request whose answer may be long in coming."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}", *(f"{name}: {value}" for name, value in headers)]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        self.socket.sendall("\r\n".join((*lines, "", "")).encode("ascii") + body)

    def close(self) -> None:
        """Drop the connection without a farewell."""
        self.socket.close()


class Answer:
    """The head of an answer, and its body as it comes."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.status, self.headers = _read_head(wire.socket, wire.buffer)
        while self.status < _OK and self.status != _SWITCHING:
            self.status, self.headers = _read_head(wire.socket, wire.buffer)
        self.body = bytearray()
        """What has come of it and was not taken as a line; a part of it where the connection broke."""
        self._chunked = "chunked" in self.headers.get("transfer-encoding", "").lower()
        length = self.headers.get("content-length", "")
        # Without a length the end of the connection is the end of the body.
        self._left = int(length[:_LONGEST_NUMBER]) if length.isdecimal() else None
        self._whole = self.status == _NO_CONTENT or (self._left == 0 and not self._chunked)
        self.is_last = self.headers.get("connection", "").lower() == "close" or not (self._chunked or length)
        """No other request can follow over this connection."""

    def read(self, most: int = _LONGEST_CHUNK) -> bytes:
        """Wait for the whole body."""
        while not self._whole:
            self._more()
            if len(self.body) > most:
                raise ConnectionError("the server sent an answer that is too long")
        return bytes(self.body)

    def line(self, most: int = _LONGEST_CHUNK) -> bytes:
        """Wait for a line; empty at the end of the body, or when the server leaves in the middle of it.

        One that is longer than `most` comes in pieces, the last of which ends with a newline.
        """
        while (end := self.body.find(b"\n")) < 0 and len(self.body) < most:
            try:
                if self._whole:
                    return b""
                self._more()
            except Ended:
                return b""
        end = min(end + 1 or most, most)
        taken = bytes(self.body[:end])
        del self.body[:end]
        return taken

    def has_line(self) -> bool:
        """Tell whether a line, or the end of the body, is there already."""
        return self._whole or b"\n" in self.body

    def _more(self) -> None:
        if self._chunked:
            while (piece := self._take_chunk()) is None:
                self._wire.fill()
            self._whole = not piece
        else:
            if not self._wire.buffer:
                try:
                    self._wire.fill()
                except Ended:
                    if self._left is not None:
                        raise
                    self._whole = True
                    return
            length = len(self._wire.buffer)
            piece = self._wire.take(length if self._left is None else min(length, self._left)) or b""
            if self._left is not None:
                self._left -= len(piece)
                self._whole = not self._left
        self.body += piece

    def _take_chunk(self) -> bytes | None:
        """Take a chunk, empty for the last one, or None as long as it is not whole."""
        buffer = self._wire.buffer
        end = buffer.find(b"\r\n")
        if end < 0:
            if len(buffer) > _LONGEST_SIZE:
                raise ConnectionError("the server sent a chunk without a size")
            return None
        try:
            size = int(buffer[:end].partition(b";")[0], 16)
        except ValueError as error:
            raise ConnectionError("the server sent a chunk without a size") from error
        if not 0 <= size <= _LONGEST_CHUNK:
            raise ConnectionError("the server sent a chunk that is too long")
        # Behind the last one there may be further headers.
        whole = end + 2 + size + 2 if size else buffer.find(b"\r\n\r\n") + 4
        if whole <= end + 2 or len(buffer) < whole:
            return None
        piece = bytes(buffer[end + 2 : end + 2 + size])
        del buffer[:whole]
        return piece


def _dial(connection: Connection, seconds: float) -> socket.socket:
    """Connect to the server or, by way of its proxy, to what the proxy connects to."""
    host, port = address.host_and_port(connection.server)
    if not connection.proxy:
        return _connected(host, port, seconds)
    # Imported here: few have a proxy.
    from urllib.parse import urlsplit

    via = urlsplit(connection.proxy)
    opened = _connected(via.hostname or "", via.port or 3128, seconds)
    try:
        place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        lines = [f"CONNECT {place} HTTP/1.1", f"Host: {place}"]
        if login := credentials.proxy_login(connection.proxy):
            encoded = b2a_base64(":".join(login).encode(), newline=False).decode()
            lines.append(f"Proxy-Authorization: Basic {encoded}")
        opened.sendall("\r\n".join((*lines, "", "")).encode("ascii"))
        status, _ = _read_head(opened, bytearray())
        if status // 100 != 2:  # noqa: PLR2004 - the class of success
            raise ConnectionError(f"the proxy {via.hostname}:{via.port or 3128} answered with HTTP {status}")
    except BaseException:
        opened.close()
        raise
    return opened


def _connected(host: str, port: int, seconds: float) -> socket.socket:
    opened = socket.create_connection((host, port), timeout=seconds)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return opened


def _read_head(opened: socket.socket, buffer: bytearray) -> tuple[int, dict[str, str]]:
    """Take an answer's head: status, and headers by name in lower case; what came behind it stays in the buffer."""
    while (end := buffer.find(b"\r\n\r\n")) < 0:
        more = opened.recv(_READ)
        if not more and not buffer:
            raise Ended("the server closed the connection without an answer")
        buffer += more
        if not more or len(buffer) > _LONGEST_HEAD:
            raise ConnectionError("what answered speaks no HTTP")
    head = buffer[:end].decode("latin-1")
    del buffer[: end + 4]
    first, *lines = head.split("\r\n")
    words = first.split(" ", 2)
    if len(words) < 2 or not words[0].startswith("HTTP/1."):  # noqa: PLR2004 - version, status
        raise ConnectionError("what answered speaks no HTTP")
    if not words[1].isdecimal() or len(words[1]) != _STATUS_DIGITS:
        raise ConnectionError("what answered speaks no HTTP")
    pairs = (line.partition(":") for line in lines)
    return int(words[1]), {name.strip().lower(): value.strip() for name, _, value in pairs}
