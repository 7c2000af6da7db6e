"""exec of an API server into containers of our own: a WebSocket on one side, a real process on the other.

As with a kubelet, a connection that breaks leaves the process alone.
"""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping

    from tests.support.api_server import Exchange, Peer
    from tests.support.container import Container

_STDOUT, _STDERR, _STATUS = 1, 2, 3


class ExecBridge:
    """Answers exec requests; `drops` is how many bytes of stdout each next connection lives for."""

    def __init__(self, containers: Mapping[str, Container]) -> None:
        self.containers = containers
        self.drops: list[int] = []
        self.verbs: list[tuple[str, str]] = []
        """Container and verb of each exec so far."""
        self._processes: list[subprocess.Popen[bytes]] = []
        self._peers: list[Peer] = []

    def answer(self, exchange: Exchange) -> None:
        """Answer one exec request."""
        name = dict(exchange.query)["container"]
        container = self.containers[name]
        if container.ended:
            exchange.refuse(500, f"container not found ({name!r})")
            return
        peer = exchange.websocket()
        self.verbs.append((name, "".join(peer.command[3:4])))
        process = container.popen(*peer.command)
        self._processes.append(process)
        self._peers.append(peer)
        _Conversation(peer, process, self.drops.pop(0) if self.drops else None).hold()

    def break_all(self) -> None:
        """Break every connection that stands."""
        for peer in self._peers:
            peer.drop()

    def close(self) -> None:
        """Bury the processes, whose containers have ended."""
        for process in self._processes:
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    with suppress(OSError):
                        stream.close()


def _status(code: int) -> bytes:
    """What a kubelet says of a command's end."""
    if code == 0:
        return b'{"status":"Success"}'
    details = {"causes": [{"reason": "ExitCode", "message": str(code)}]}
    return json.dumps({"status": "Failure", "reason": "NonZeroExitCode", "details": details}).encode()


class _Conversation:
    def __init__(self, peer: Peer, process: subprocess.Popen[bytes], drop: int | None) -> None:
        self._peer = peer
        self._process = process
        self._left = drop
        self._turn = threading.Lock()

    def hold(self) -> None:
        """Pass bytes both ways until the process ends or the connection does."""
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        outputs = [
            threading.Thread(target=self._pass_on, args=(channel, stream))
            for channel, stream in ((_STDOUT, self._process.stdout), (_STDERR, self._process.stderr))
        ]
        reader = threading.Thread(target=self._read)
        for thread in (*outputs, reader):
            thread.start()
        for thread in outputs:
            thread.join()
        with suppress(OSError, ValueError):
            self._peer.send(_STATUS, _status(self._process.wait()))
            # The reader hears the client's answer to it.
            self._peer.say_goodbye()
        reader.join()

    def _read(self) -> None:
        assert self._process.stdin is not None
        with suppress(OSError, ValueError):
            while (frame := self._peer.receive()) is not None:
                if frame[:1] == b"\0":
                    self._process.stdin.write(frame[1:])
                    self._process.stdin.flush()
                elif frame == b"\xff\0":
                    self._process.stdin.close()

    def _pass_on(self, channel: int, stream: IO[bytes]) -> None:
        with suppress(OSError, ValueError):
            while data := stream.read1(65536):  # type: ignore[attr-defined] # Popen's pipes are buffered readers
                with self._turn:
                    self._send(channel, data)

    def _send(self, channel: int, data: bytes) -> None:
        if channel == _STDOUT and self._left is not None:
            if len(data) >= self._left:
                self._peer.send(channel, data[: self._left])
                self._peer.drop()
                raise ConnectionError
            self._left -= len(data)
        self._peer.send(channel, data)
