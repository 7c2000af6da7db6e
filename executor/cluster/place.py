"""Where a script runs: a container of a job pod, the pod's other container, and what became of both.

The exec streams of one script all begin here. The API client is imported only when a connection was lost.
"""

from __future__ import annotations

import time
from contextlib import suppress

from executor.categories import Category
from executor.cluster import credentials
from executor.cluster.script import Fate
from executor.cluster.stream import ExecStream
from executor.errors import ClusterRefused, ClusterUnreachable, PodLost
from executor.pod import names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from executor.job import Connection

_LOOK_SECONDS = 10.0
_LOOKS_FOR_A_REASON = 5


class Place:
    """One container of one pod, as `script.Surroundings` want it."""

    def __init__(self, connection: Connection, *, pod: str, container: str) -> None:
        self._connection = connection
        self._context = credentials.tls_context(connection)
        self._pod = pod
        self._container = container
        self._other = names.BUILD if container == names.HELPER else names.HELPER
        self._seen: dict[str, Any] | None = None

    def open(self, command: list[str]) -> ExecStream:
        """Start a command in the container; errors as of `ExecStream`."""
        return self._open_in(self._container, command)

    def open_elsewhere(self, command: list[str]) -> ExecStream:
        """Start a command in the other container, which shares the volumes."""
        return self._open_in(self._other, command)

    def _open_in(self, container: str, command: list[str]) -> ExecStream:
        return ExecStream(self._connection, self._context, pod=self._pod, container=container, command=command)

    def look(self) -> Fate:
        """Ask the API server for the pod, once: whoever asks tries again himself.

        Raises:
            PodLost: it is gone, or can run nothing any more.
            ClusterUnreachable: no answer.
        """
        # Imported here, as below: only a lost connection needs it.
        from executor.diagnosis import cause

        self._seen = self._ask()
        if self._seen is None:
            raise self.explain()
        state = cause.container_state(self._seen, self._container)
        if "running" in state or _is_starting(self._seen, state):
            return Fate.RUNNING
        if "running" in cause.container_state(self._seen, self._other):
            return Fate.ENDED
        raise self.explain()

    def explain(self) -> PodLost:
        """Say why the container that `look` found dead is."""
        from executor.diagnosis import cause

        found = cause.of_lost_pod(self._seen, self._container)
        if found.category == Category.POD_DELETED:
            # Why it was, only events tell; they outlive it.
            with suppress(ClusterUnreachable, ClusterRefused):
                found = cause.of_lost_pod(self._seen, self._container, self._events())
        # The kubelet tells of a container's end some seconds before it tells why it ended the pod.
        for pause in range(_LOOKS_FOR_A_REASON):
            if found.category != Category.CONTAINER_ENDED:
                break
            time.sleep(min(pause, 2))
            with suppress(ClusterUnreachable, ClusterRefused):
                self._seen = self._ask()
                found = cause.of_lost_pod(self._seen, self._container, self._events())
        return PodLost(found.what, why=found.why, remedy=found.remedy, category=found.category)

    def _ask(self) -> dict[str, Any] | None:
        from executor.cluster.api import Api

        with Api(self._connection, patience=_LOOK_SECONDS, tries=1) as api:
            return _first_life(api.get_pod(self._pod))

    def _events(self) -> list[dict[str, Any]]:
        from executor.cluster.api import Api

        with Api(self._connection, patience=_LOOK_SECONDS, tries=1) as api:
            return api.events_of(self._pod)


def _is_starting(pod: dict[str, Any], state: dict[str, Any]) -> bool:
    """Tell whether the kubelet has said nothing yet of a container in which a script runs already.

    `prepare` asks the pod itself, so scripts begin before the kubelet has told the API server; one that is restarted in
    between tells it late.
    """
    status = pod.get("status") or {}
    leaving = status.get("reason") or pod["metadata"].get("deletionTimestamp")
    return not leaving and "terminated" not in state and status.get("phase") in {"Pending", "Running"}


def _first_life(pod: dict[str, Any] | None) -> dict[str, Any] | None:
    """Let a container that was started again count as ended: what ran in it is gone. Warm pods do that."""
    for status in ((pod or {}).get("status") or {}).get("containerStatuses") or ():
        ended = (status.get("lastState") or {}).get("terminated")
        if status.get("restartCount") and ended:
            status["state"] = {"terminated": ended}
    return pod
