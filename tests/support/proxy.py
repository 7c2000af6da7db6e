"""An HTTP proxy on loopback that knows CONNECT, and remembers who asked for what."""

from __future__ import annotations

import socket
import socketserver
import threading
from contextlib import suppress


class Proxy:
    """Listens until it is closed; with `login` it asks for that Proxy-Authorization."""

    def __init__(self, *, login: str = "") -> None:
        self.login = login
        self.requests: list[str] = []
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.owner = self
        self._server.open = set()
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        """Stop, and end what passes through."""
        self._server.shutdown()
        self._thread.join()
        for connection in list(self._server.open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._server.server_close()


class _Server(socketserver.ThreadingTCPServer):
    owner: Proxy
    open: set[socket.socket]

    def process_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        assert isinstance(request, socket.socket)
        # Not in the connection's thread: `close` must know every connection that it waits for.
        self.open.add(request)
        super().process_request(request, client_address)


class _Handler(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        head: list[str] = []
        while line := self.rfile.readline().decode().strip():
            head.append(line)
        if not head:
            return
        owner = self.server.owner
        owner.requests.append(head[0])
        if owner.login and f"proxy-authorization: {owner.login}".lower() not in [line.lower() for line in head]:
            self.wfile.write(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            return
        host, _, port = head[0].split()[1].rpartition(":")
        with socket.create_connection((host, int(port))) as target:
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_relay, args=(target, self.connection))
            back.start()
            _relay(self.connection, target)
            back.join()


def _relay(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
