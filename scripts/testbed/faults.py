"""A TCP proxy that does what bad networks do, on a schedule that a seed decides: cut, reset, stall, delay, slow.

It stands in front of a real server and knows nothing of what passes through. Whoever uses it must be inside the bed's
network namespace.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Kind = Literal["cut", "reset", "stall", "delay", "slow"]
_PIECE = 64 * 1024
_SLOW_PIECE = 2048
_LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class Fault:
    """What happens to one connection once the server has sent `after` bytes.

    `cut` is an orderly end, `reset` none; `stall` leaves the connection standing and passes nothing any more; `delay`
    holds everything up once for `seconds`; `slow` lets through 40 kB/s for so long.
    """

    kind: Kind
    after: int
    seconds: float = 0.0


def schedule(seed: int, count: int, *, longest: int) -> Iterator[Fault]:
    """Give `count` faults that follow from the seed; each comes within the first `longest` bytes of its connection."""
    chance = random.Random(seed)  # noqa: S311 - repeatable on purpose
    kinds: tuple[Kind, ...] = ("cut", "reset", "stall", "delay", "slow")
    for _ in range(count):
        (kind,) = chance.choices(kinds, (6, 6, 1, 3, 3))
        yield Fault(kind, chance.randrange(1, longest), chance.uniform(0.2, 2))


class FaultProxy:
    """Listens on an address of this machine until it is closed; use it as a context manager.

    Each connection meets the next fault of `faults`, further ones after each that it outlives, and none when there
    are no more. Beside that, `lifetime` ends
    connections that have lasted so many seconds, and `idle` those on which nothing passed for so long. While `silent`
    is set nothing passes at all, and nobody is told.
    """

    def __init__(self, host: str, port: int, *, listen: str = "127.0.0.1") -> None:
        self._target = (host, port)
        self._faults: Iterator[Fault] = iter(())
        self.lifetime = float("inf")
        self.idle = float("inf")
        self.silent = False
        self.met: Counter[str] = Counter()
        """How often what happened so far."""
        self.connections = 0
        # Made here and not in the thread, so that the port is known at once.
        self._socket = socket.create_server((listen, 0))
        self.port: int = self._socket.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()
        self._loop.close()

    def plan(self, faults: Iterable[Fault] = (), *, lifetime: float = float("inf"), idle: float = float("inf")) -> None:
        """Decide what happens to the connections from now on, and count anew."""
        self._faults, self.lifetime, self.idle = iter(faults), lifetime, idle
        self.met.clear()
        self.connections = 0

    def next_fault(self) -> Fault | None:
        """Take the next fault of the plan."""
        return next(self._faults, None)

    async def _serve(self) -> None:
        tasks: set[asyncio.Task[None]] = set()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.ensure_future(self._pass(reader, writer))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        server = await asyncio.start_server(accept, sock=self._socket)
        await self._over.wait()
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        ends = [writer]
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
            ends.append(far_writer)
            for end in ends:
                # So that `drain` waits until the kernel has everything.
                end.transport.set_write_buffer_limits(0)
            await _Passage(self, reader, writer, far_reader, far_writer).hold()
        except OSError:
            pass
        finally:
            for end in ends:
                # Not close, which would wait for what cannot be delivered.
                end.transport.abort()


class _Passage:
    """One connection through the proxy."""

    def __init__(
        self,
        proxy: FaultProxy,
        near: asyncio.StreamReader,
        near_end: asyncio.StreamWriter,
        far: asyncio.StreamReader,
        far_end: asyncio.StreamWriter,
    ) -> None:
        self._proxy = proxy
        self._near, self._near_end, self._far, self._far_end = near, near_end, far, far_end
        self._stalled = False
        self._began = self._heard = asyncio.get_running_loop().time()

    async def hold(self) -> None:
        """Pass bytes both ways until an end, the server's or ours."""
        work = [asyncio.ensure_future(one) for one in (self._up(), self._down(), self._watch())]
        try:
            await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in work:
                one.cancel()
            await asyncio.gather(*work, return_exceptions=True)

    async def _up(self) -> None:
        while data := await self._near.read(_PIECE):
            if not self._stalled:
                await self._send(self._far_end, data)

    async def _down(self) -> None:
        fault = self._proxy.next_fault()
        left = fault.after if fault else 0
        while data := await self._far.read(_PIECE):
            if fault is None or len(data) < left:
                await self._send(self._near_end, data)
                left -= len(data)
                continue
            await self._send(self._near_end, data[:left])
            if await self._strike(fault, data[left:]):
                return
            fault = self._proxy.next_fault()
            left = fault.after if fault else 0
        # An orderly end of the server: what was sent before it must arrive.
        self._near_end.write_eof()
        await self._near_end.drain()

    async def _strike(self, fault: Fault, rest: bytes) -> bool:
        """Let the fault happen; true when the connection is over."""
        self._proxy.met[fault.kind] += 1
        if fault.kind == "cut":
            self._near_end.write_eof()
            return True
        if fault.kind == "reset":
            self._reset()
            return True
        if fault.kind == "stall":
            self._stalled = True
            # For ever; the other direction notices when the client leaves.
            await asyncio.Event().wait()
        if fault.kind == "delay":
            await asyncio.sleep(fault.seconds)
        if fault.kind == "slow":
            rest = await self._trickle(rest, fault.seconds)
        await self._send(self._near_end, rest)
        return False

    async def _trickle(self, rest: bytes, seconds: float) -> bytes:
        end = asyncio.get_running_loop().time() + seconds
        while rest and asyncio.get_running_loop().time() < end:
            await self._send(self._near_end, rest[:_SLOW_PIECE])
            rest = rest[_SLOW_PIECE:]
            await asyncio.sleep(0.05)
        return rest

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            now = asyncio.get_running_loop().time()
            for name, since, most in (
                ("lifetime", self._began, self._proxy.lifetime),
                ("idle", self._heard, self._proxy.idle),
            ):
                if now - since > most:
                    self._proxy.met[name] += 1
                    return

    async def _send(self, end: asyncio.StreamWriter, data: bytes) -> None:
        while self._proxy.silent:  # noqa: ASYNC110 - set by another thread, where no event of ours can wait
            await asyncio.sleep(_LOOK_SECONDS)
        self._heard = asyncio.get_running_loop().time()
        end.write(data)
        await end.drain()

    def _reset(self) -> None:
        # Linger 0: a reset and no orderly end.
        for end in (self._near_end, self._far_end):
            with suppress(OSError):
                opened: socket.socket = end.get_extra_info("socket")
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
