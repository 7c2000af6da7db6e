"""An API server on loopback whose every answer is decided by the test, for faults that no real server makes on demand.

It speaks TLS, HTTP/1.1 and WebSocket, and knows nothing of Kubernetes. A test gives a function that answers one
exchange; what it raises fails the test when the server is closed.
"""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import socket
import struct
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qsl, urlsplit

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from tests.support.tls import Certificate

    Answer = Callable[["Exchange"], None]

_WEBSOCKET_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_BINARY, _CLOSE, _PING = 2, 8, 9
_SHORT, _MEDIUM = 126, 1 << 16


class Exchange:
    """One request, and the ways to answer it or not."""

    def __init__(self, handler: _Handler) -> None:
        self._handler = handler
        url = urlsplit(handler.path)
        self.method = handler.command
        self.path = url.path
        self.query = parse_qsl(url.query, keep_blank_values=True)
        self.headers = handler.headers
        self.body: Any = None
        if length := int(handler.headers.get("Content-Length") or 0):
            self.body = json.loads(handler.rfile.read(length))

    @property
    def closing(self) -> threading.Event:
        """Set when the server is closed; what waits, waits for this too."""
        return self._handler.server.closing

    def json(self, status: int, document: object, **headers: str) -> None:
        """Answer with a JSON document."""
        self.raw(status, json.dumps(document).encode(), content_type="application/json", **headers)

    def refuse(self, status: int, message: str, reason: str = "", **headers: str) -> None:
        """Answer with a Status, as Kubernetes does."""
        document = {"kind": "Status", "status": "Failure", "code": status, "message": message, "reason": reason}
        self.json(status, document, **headers)

    def raw(self, status: int, body: bytes, *, content_type: str = "text/plain", **headers: str) -> None:
        """Answer with any body."""
        self._handler.send_response(status)
        for name, value in {"Content-Type": content_type, "Content-Length": str(len(body)), **headers}.items():
            self._handler.send_header(name.replace("_", "-"), value)
        self._handler.end_headers()
        self._handler.wfile.write(body)

    def start_lines(self) -> None:
        """Begin an answer of unknown length, such as a watch."""
        self._handler.send_response(200)
        self._handler.send_header("Transfer-Encoding", "chunked")
        self._handler.end_headers()
        self._handler.wfile.flush()

    def line(self, document: object) -> None:
        """Send one line of such an answer."""
        self._chunk(json.dumps(document).encode() + b"\n")

    def text(self, text: str) -> None:
        """Send a piece of such an answer as it is."""
        self._chunk(text.encode())

    def end_lines(self) -> None:
        """End such an answer cleanly."""
        self._chunk(b"")

    def _chunk(self, data: bytes) -> None:
        self._handler.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        self._handler.wfile.flush()

    def silence(self) -> None:
        """Answer nothing and keep the connection, until the server is closed."""
        self.closing.wait()
        self.reset()

    def drop(self) -> None:
        """End the connection in the middle of the answer; what was sent before arrives."""
        self._handler.close_connection = True
        self._handler.wfile.flush()
        with suppress(OSError):
            self._handler.connection.shutdown(socket.SHUT_RDWR)

    def reset(self) -> None:
        """Break the connection without a word; what was sent before may be lost."""
        self._handler.close_connection = True
        raw = self._handler.connection
        # Linger 0: a reset and no orderly end.
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with suppress(OSError):
            raw.close()

    def websocket(self, protocol: str = "v5.channel.k8s.io") -> Peer:
        """Accept the upgrade."""
        key = self.headers["Sec-WebSocket-Key"].encode()
        accept = base64.b64encode(hashlib.sha1(key + _WEBSOCKET_GUID, usedforsecurity=False).digest()).decode()
        self._handler.send_response(101)
        for name, value in {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Accept": accept,
            "Sec-WebSocket-Protocol": protocol,
        }.items():
            self._handler.send_header(name, value)
        self._handler.end_headers()
        self._handler.wfile.flush()
        self._handler.close_connection = True
        return Peer(self, self._handler)


class Peer:
    """The server's end of a WebSocket."""

    def __init__(self, exchange: Exchange, handler: _Handler) -> None:
        self._exchange = exchange
        self._handler = handler

    @property
    def command(self) -> list[str]:
        """The words of the command that exec was asked to run."""
        return [value for name, value in self._exchange.query if name == "command"]

    def send(self, channel: int, data: bytes) -> None:
        """Send bytes on a channel."""
        self.frame(_BINARY, bytes([channel]) + data)

    def ping(self) -> None:
        """Send a ping."""
        self.frame(_PING, b"")

    def close(self) -> None:
        """End the connection in order, once the client has said so too."""
        self.say_goodbye()
        while self.receive() is not None:
            pass

    def say_goodbye(self) -> None:
        """Say that the connection ends."""
        self.frame(_CLOSE, struct.pack("!H", 1000))

    def frame(self, opcode: int, payload: bytes) -> None:
        """Send one whole frame."""
        self.raw(frame_bytes(opcode, payload))

    def raw(self, data: bytes) -> None:
        """Send bytes as they are, such as a part of a frame."""
        self._handler.wfile.write(data)
        self._handler.wfile.flush()

    def receive(self) -> bytes | None:
        """Return the payload of the next binary frame, or None at the end of the connection."""
        while True:
            head = self._handler.rfile.read(2)
            if len(head) < 2:
                return None
            length = head[1] & 0x7F
            if length == _SHORT:
                (length,) = struct.unpack("!H", self._handler.rfile.read(2))
            elif length == _SHORT + 1:
                (length,) = struct.unpack("!Q", self._handler.rfile.read(8))
            mask = self._handler.rfile.read(4)
            masked = self._handler.rfile.read(length)
            if head[0] & 0x0F == _CLOSE:
                return None
            if head[0] & 0x0F == _BINARY:
                # One long exclusive or, because scripts of megabytes pass through here.
                stream = (mask * (length // 4 + 1))[:length]
                return (int.from_bytes(masked, "big") ^ int.from_bytes(stream, "big")).to_bytes(length, "big")

    def received(self, size: int) -> bytes:
        """Return `size` bytes of the client's stdin."""
        data = b""
        while len(data) < size:
            frame = self.receive()
            assert frame is not None, f"the client left after {len(data)} of {size} bytes"
            assert frame[:1] == b"\0"
            data += frame[1:]
        return data

    def drop(self) -> None:
        """End the connection in the middle; what was sent before arrives."""
        self._exchange.drop()

    def reset(self) -> None:
        """Break the connection without a word."""
        self._exchange.reset()


def frame_bytes(opcode: int, payload: bytes) -> bytes:
    """Make a frame as servers send it: whole and unmasked."""
    length = len(payload)
    if length < _SHORT:
        head = bytes([0x80 | opcode, length])
    elif length < _MEDIUM:
        head = struct.pack("!BBH", 0x80 | opcode, _SHORT, length)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, _SHORT + 1, length)
    return head + payload


class ApiServer:
    """Listens until it is closed; answers are given in `answers`, in turn, the last one again and again."""

    def __init__(self, certificate: Certificate) -> None:
        self.certificate = certificate
        self.exchanges: list[Exchange] = []
        self.answers: list[Answer] = []
        self.failures: list[BaseException] = []
        self._lock = threading.Lock()
        self._server = _Server(self, certificate.server_context())
        self.url = f"https://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        """Stop, and raise what went wrong in an answer."""
        self._server.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.close_connections()
        self._server.server_close()
        if self.failures:
            raise self.failures[0]

    def requests(self) -> list[str]:
        """Return method and path of every request so far."""
        return [f"{exchange.method} {exchange.path}" for exchange in self.exchanges]

    @property
    def connections(self) -> int:
        """How many connections were made so far."""
        return self._server.accepted

    def respond(self, exchange: Exchange) -> None:
        """Answer one request."""
        with self._lock:
            self.exchanges.append(exchange)
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        try:
            answer(exchange)
        except (OSError, ValueError):
            # The client has left, which is its right.
            exchange.reset()
        except BaseException as error:
            self.failures.append(error)
            exchange.reset()
            raise


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True

    def __init__(self, owner: ApiServer, context: ssl.SSLContext) -> None:
        self.owner = owner
        self.context = context
        self.closing = threading.Event()
        self.accepted = 0
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.accepted += 1
        self._open.add(request)
        super().process_request(request, client_address)

    def finish_request(self, request: Any, client_address: Any) -> None:
        # In the connection's own thread, because a client may be slow or no client at all.
        try:
            secured = self.context.wrap_socket(request, server_side=True)
        except (OSError, ValueError):
            return
        self._open.add(secured)
        try:
            super().finish_request(cast("Any", secured), client_address)
        finally:
            secured.close()
            self._open.discard(secured)

    def close_connections(self) -> None:
        """Wake threads that wait for a client."""
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that break off are what is tested, and failures of answers are kept."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def parse_request(self) -> bool:
        parsed = super().parse_request()
        if parsed:
            for method in ("GET", "POST", "PATCH", "DELETE"):
                setattr(self, f"do_{method}", self._respond)
        return parsed

    def _respond(self) -> None:
        self.server.owner.respond(Exchange(self))

    def log_message(self, *_: object) -> None:
        pass
