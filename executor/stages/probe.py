"""Whether the job pod accepts scripts, asked of the pod itself: the kubelet looks for started containers once a second.

A few tries of one exec in the helper container, each a request to the API server, from the moment at which the kubelet
has taken the pod. Whatever becomes of them, the watch of the pod goes on beside them and decides too: a probe only
finds out earlier.
"""

from __future__ import annotations

import select
import time
from contextlib import suppress

from executor.cluster import credentials
from executor.cluster.stream import STDOUT, ExecStream
from executor.errors import ClusterRefused, ClusterUnreachable
from executor.pod import names, programs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Self

    from executor.cluster.watch import PodWatch
    from executor.job import Job

_MOMENTS = (0.5, 0.8, 1.2, 1.8)
"""Seconds after the kubelet has taken the pod: an idle node starts the containers in 0.5 to 1.0."""
_BUSY_SECONDS = 1.0
"""A node that takes a pod only after so long has much to do: tries would be in vain, and each costs it something."""
_CONNECT_SECONDS = 3.0
_WATCH_SLACK_SECONDS = 5.0


class Probe:
    """The tries of one pod."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._began = time.monotonic()
        self._taken: float | None = None
        # With services the kubelet's look is waited for: only that tells of those that end again and again.
        self._tries = len(_MOMENTS) if job.manifest["spec"].get("initContainers") else 0
        self._stream: ExecStream | None = None
        self._heard = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._give_up()

    def states(self, watch: PodWatch, pod: dict[str, Any], seconds: float) -> Iterator[tuple[dict[str, Any], bool]]:
        """Yield the pod and whether it is known to accept scripts, at each of its changes and when a try says so."""
        end = time.monotonic() + seconds + _WATCH_SLACK_SECONDS
        yield pod, False
        while (left := end - time.monotonic()) > 0:
            self._look_at(pod)
            if not watch.pending():
                self._wait(watch, min(left, self._until_due()))
                if self._accepted():
                    yield pod, True
                if not select.select([watch], [], [], 0)[0]:
                    continue
            with suppress(TimeoutError):
                change = watch.next(left)
                if change is None:
                    return
                pod = change[1]
                yield pod, False

    def _look_at(self, pod: dict[str, Any]) -> None:
        # The node's first words about it, even if they are that nothing runs.
        if self._taken is None and pod["status"].get("containerStatuses"):
            self._taken = time.monotonic()
            if self._taken - self._began > _BUSY_SECONDS:
                self._tries = len(_MOMENTS)

    def _until_due(self) -> float:
        """Return in how many seconds the next try is due."""
        if self._taken is None or self._stream is not None or self._tries >= len(_MOMENTS):
            return float("inf")
        return max(0.0, self._taken + _MOMENTS[self._tries] - time.monotonic())

    def _wait(self, watch: PodWatch, seconds: float) -> None:
        """Return when there is something to read or a try was made."""
        if self._stream is None or not self._stream.pending():
            ours = [] if self._stream is None else [self._stream.fileno()]
            select.select([watch.fileno(), *ours], [], [], seconds)
        if not self._until_due():
            self._try()

    def _try(self) -> None:
        self._tries += 1
        with suppress(ClusterRefused, ClusterUnreachable):
            self._stream = ExecStream(
                self._job.connection,
                credentials.tls_context(self._job.connection),
                pod=self._job.pod,
                container=names.HELPER,
                command=programs.await_command(),
                seconds=_CONNECT_SECONDS,
            )

    def _accepted(self) -> bool:
        """Read what the try has to say so far."""
        while self._stream is not None and (self._stream.pending() or select.select([self._stream], [], [], 0)[0]):
            try:
                frame = self._stream.receive(_CONNECT_SECONDS)
            except (TimeoutError, ClusterUnreachable):
                frame = None
            if frame is None:
                # The container does not run yet; some servers say so by a stream that ends at once.
                self._give_up()
            elif frame[0] == STDOUT:
                self._heard += bytes(frame[1])
        return programs.READY.encode() in self._heard

    def _give_up(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None
