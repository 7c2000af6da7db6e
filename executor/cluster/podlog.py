"""What a container prints, line by line, on from where an earlier reader stopped.

The API server takes whole seconds for a beginning, so lines come twice; their time stamps tell which were seen. Nothing
here is tried again: whoever reads decides that.
"""

from __future__ import annotations

import json
import os
import select
from datetime import datetime

from executor.cluster import address, credentials, refusals
from executor.cluster.wire import Answer, Wire
from executor.values import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from executor.job import Connection

_CONNECT_SECONDS = 10.0
_QUIET_SECONDS = 60.0
"""A connection that was silent for so long is made anew: it may be half-open, and many proxies end it then."""
_PIECE_SECONDS = 0.2
"""How long to wait for the rest of what has begun to come, before the bell is listened to again."""
_LONGEST_LINE = 16 * 1024
_LONGEST_REFUSAL = 100_000
_STAMP = len("2006-01-02T15:04:05.000000000")
_OK = 200


@dataclass(frozen=True)
class Position:
    """Where a reader stopped."""

    stamp: str = ""
    """Time stamp of the last line, as the kubelet writes it (RFC 3339 with nine decimals); empty: nothing was read."""
    lines: int = 0
    """How many lines with this stamp were read: CRI-O gives one to all that a program printed at once."""


class Bell:
    """Ends all reading in other threads at once."""

    def __init__(self) -> None:
        self._heard, self._rope = os.pipe2(os.O_CLOEXEC)
        self.rung = False

    def ring(self) -> None:
        """End what is read, and let nothing be waited for from now on."""
        if not self.rung:
            self.rung = True
            os.close(self._rope)

    def wait(self, seconds: float, beside: Wire | None = None) -> bool:
        """Wait for bytes of a connection, or only for the time to pass; true when something came, or the bell rang."""
        poll = select.poll()
        poll.register(self._heard, select.POLLIN)
        if beside is not None:
            poll.register(beside.fileno(), select.POLLIN)
        return bool(poll.poll(seconds * 1000))


def read(
    connection: Connection, *, pod: str, container: str, after: Position, bell: Bell
) -> Iterator[tuple[str, Position]]:
    """Yield the lines behind a position, each with its time stamp and the position behind it.

    Ends with the container, when the line was quiet for a minute, and when the bell rings. With a bell that has rung
    already only what is there is read.

    Raises:
        ClusterRefused: a right is missing, the container has not started, the pod is gone.
        ClusterUnreachable: no connection, or it broke.
    """
    wire = None
    try:
        wire = Wire(connection, credentials.tls_context(connection), seconds=_CONNECT_SECONDS)
        follow = not bell.rung
        path = _path(connection, pod, container, after, follow=follow)
        wire.send("GET", path, {"User-Agent": "kaniko-driver", **credentials.authorization(connection)}.items())
        answer = _head(wire, bell) if follow else Answer(wire)
        if answer is not None:
            yield from _behind(after, _lines(_accepted(answer, pod), wire, bell if follow else None))
    except OSError as error:
        raise refusals.unreachable(connection.server, error) from error
    finally:
        if wire is not None:
            wire.close()


def _path(connection: Connection, pod: str, container: str, after: Position, *, follow: bool) -> str:
    wishes = [("container", container), ("timestamps", "true"), *([("follow", "true")] if follow else [])]
    wishes += [("sinceTime", after.stamp)] if after.stamp else []
    namespace = f"{address.path(connection.server)}/api/v1/namespaces/{address.quoted(connection.namespace)}"
    return f"{namespace}/pods/{address.quoted(pod)}/log?{address.query(wishes)}"


def _head(wire: Wire, bell: Bell) -> Answer | None:
    """Wait for the head of the answer, which comes with the container's first words; None when there are none."""
    wire.wait_at_most(_PIECE_SECONDS)
    while bell.wait(_QUIET_SECONDS, wire) and not bell.rung:
        try:
            return Answer(wire)
        except TimeoutError:
            # What came was TLS's own.
            continue
    return None


def _accepted(answer: Answer, pod: str) -> Answer:
    if answer.status == _OK:
        return answer
    try:
        status = json.loads(answer.read(_LONGEST_REFUSAL))
    except (ValueError, RecursionError):
        status = {}
    raise refusals.refused(answer.status, status if isinstance(status, dict) else {}, f"log of {pod}")


def _lines(answer: Answer, wire: Wire, bell: Bell | None) -> Iterator[bytes]:
    """Yield lines without their ends; what is longer than 16 KiB is cut."""
    cut = False
    while bell is None or answer.has_line() or wire.pending() or (bell.wait(_QUIET_SECONDS, wire) and not bell.rung):
        try:
            line = answer.line(_LONGEST_LINE)
        except TimeoutError:
            # The rest of it is still on its way.
            if bell is None:
                raise
            continue
        if not line:
            # At the end of a container stands what it printed without a newline; a broken connection has another try.
            line = bytes(answer.body) if answer.has_line() else b""
            if line and not cut:
                yield line
            return
        if not cut:
            yield line.rstrip(b"\r\n")
        cut = not line.endswith(b"\n")


def _behind(after: Position, lines: Iterator[bytes]) -> Iterator[tuple[str, Position]]:
    """Leave out what was read before."""
    last, seen, caught_up = after, 0, False
    for line in lines:
        text = line.decode("utf-8", "replace")
        stamp = text.partition(" ")[0]
        if not _is_stamp(stamp):
            # The kubelet's own words, about a log that it cannot read.
            continue
        if not caught_up:
            if stamp == after.stamp and seen < after.lines:
                seen += 1
                continue
            caught_up = stamp == after.stamp or not _is_before(stamp, after.stamp)
            if not caught_up:
                continue
        # From here on all is new, whatever a clock that was set back makes of the stamps.
        last = Position(stamp, last.lines + 1 if stamp == last.stamp else 1)
        yield text, last


def _is_stamp(word: str) -> bool:
    return len(word) > _STAMP and word[10] == "T" and word[:4].isdigit()


def _is_before(one: str, other: str) -> bool:
    if not other or one[_STAMP:] == other[_STAMP:]:
        return one < other
    # The node's time zone has changed: to summer time, for one.
    return datetime.fromisoformat(one) < datetime.fromisoformat(other)
