"""A TLS proxy before the API server that answers for it: 429 or 500, as long as a storm lasts.

It shows the API server's own certificate, so that clients verify it as ever. Only the first request of a connection is
looked at; after that bytes pass as they come, so that streams are left alone once they stand.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import threading
from collections import Counter
from contextlib import suppress
from typing import Self

from testbed import layout

_LONGEST_HEAD = 1 << 20
_PIECE = 1 << 16
_REASONS = {429: ("Too Many Requests", "TooManyRequests"), 500: ("Internal Server Error", "InternalError")}


class StormProxy:
    """Listens on 127.0.0.1 until it is closed; use it as a context manager, inside the bed's network namespace."""

    def __init__(self, seed: int) -> None:
        self.met: Counter[int] = Counter()
        """How often each status was given."""
        self._storm: tuple[int, float] = (0, 0.0)
        self._chance = random.Random(seed)  # noqa: S311 - repeatable on purpose
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),), daemon=True)
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()
        self._loop.close()

    def rage(self, status: int, share: float) -> None:
        """Answer this share of all new connections with a status; a share of 0 ends the storm."""
        self._storm = (status, share)

    async def _serve(self) -> None:
        own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        own.load_cert_chain(layout.PKI / "apiserver.crt", layout.PKI / "apiserver.key")
        tasks: set[asyncio.Task[None]] = set()

        def accept(near: asyncio.StreamReader, near_end: asyncio.StreamWriter) -> None:
            task = asyncio.ensure_future(self._pass(near, near_end))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=own, limit=_LONGEST_HEAD)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._over.wait()
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _pass(self, near: asyncio.StreamReader, near_end: asyncio.StreamWriter) -> None:
        ends = [near_end]
        try:
            head = await near.readuntil(b"\r\n\r\n")
            status, share = self._storm
            if share and self._chance.random() < share:
                self.met[status] += 1
                near_end.write(_answer(status))
                near_end.close()
                await near_end.wait_closed()
                return
            context = ssl.create_default_context(cafile=layout.PKI / "ca.crt")
            far, far_end = await asyncio.open_connection(
                layout.HOST_ADDRESS, layout.API_PORT, ssl=context, server_hostname=layout.HOST_ADDRESS
            )
            ends.append(far_end)
            far_end.write(head)
            both = [asyncio.ensure_future(_copy(near, far_end)), asyncio.ensure_future(_copy(far, near_end))]
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            for one in both:
                one.cancel()
            await asyncio.gather(*both, return_exceptions=True)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            for end in ends:
                # Not close, which would wait for what cannot be delivered; what was answered has left by now.
                end.transport.abort()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(_PIECE):
            target.write(data)
            await target.drain()


def _answer(status: int) -> bytes:
    words, reason = _REASONS[status]
    body = f'{{"kind":"Status","status":"Failure","message":"a storm","reason":"{reason}","code":{status}}}'
    asks = "Retry-After: 1\r\n" if status == 429 else ""  # noqa: PLR2004 - the status itself
    head = f"HTTP/1.1 {status} {words}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{asks}"
    return f"{head}Connection: close\r\n\r\n{body}".encode()
