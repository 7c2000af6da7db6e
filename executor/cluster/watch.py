"""A watch of pods, read change by change from the connection that it has to itself."""

from __future__ import annotations

import json

from executor.cluster import refusals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from executor.cluster.wire import Answer, Wire

_GONE = 410


class PodWatch:
    """What happens to pods of the namespace, one change after the other."""

    def __init__(self, answer: Answer, wire: Wire, server: str) -> None:
        self._answer = answer
        self._wire = wire
        self._server = server

    def fileno(self) -> int:
        """Return what to wait on beside other files; what `pending` tells of is not seen there."""
        return self._wire.fileno()

    def pending(self) -> bool:
        """Tell whether bytes have come that `next` has not looked at."""
        return self._answer.has_line() or self._wire.pending()

    def next(self, seconds: float | None = None) -> tuple[str, dict[str, Any]] | None:
        """Return ADDED, MODIFIED or DELETED with the pod; None at the end of the stream.

        Raises:
            TimeoutError: nothing whole came within `seconds`; the watch goes on.
            ClusterRefused: the server ended the watch; 410 when it must be begun from another version.
            ClusterUnreachable: the connection broke, or carried something else.
        """
        if seconds is not None:
            self._wire.wait_at_most(max(0.001, seconds))
        try:
            line = self._answer.line()
            return _change(line) if line else None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            if seconds is not None and isinstance(error, TimeoutError):
                raise
            raise refusals.unreachable(self._server, error) from error


def _change(line: bytes) -> tuple[str, dict[str, Any]]:
    """Read one line of a watch: its type, and the pod."""
    change = json.loads(line)
    kind, pod = str(change["type"]), change["object"]
    if kind == "ERROR":
        raise refusals.refused(int(pod.get("code", _GONE)), pod, "a watch of pods")
    pod["metadata"].setdefault("resourceVersion", "")
    if kind == "DELETED":
        pod["metadata"].setdefault("deletionTimestamp", "now")
    return kind, pod
