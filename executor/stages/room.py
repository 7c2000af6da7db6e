"""Room for one more pod: wait until the tenant's quota has some, or fail, as its settings say.

The quota is only ever tried, never read: the driver has no right to it, and needs none. A watch of the namespace's pods
tells when a try is worth while; one connection serves it for minutes, tries in between included. Of many jobs that
wait, each draws a moment for its try, and gives it up when somebody else was faster; who tried in vain draws from a
longer span. So a pod that goes makes one or two creates and not twenty, however many wait.
"""

from __future__ import annotations

import time
from contextlib import ExitStack

from executor.categories import Category
from executor.errors import ClusterRefused, ClusterUnreachable, PodRejected
from executor.pod import names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from executor.cluster.api import Api
    from executor.cluster.watch import PodWatch
    from executor.diagnosis.quota import Shortage
    from executor.job import Job
    from executor.journal import Journal
    from executor.stages.cancel import Runner
    from executor.stages.joblog import JobLog

    Pod = dict[str, Any]

_SHORTEST_PAUSE, _LONGEST_PAUSE = 5.0, 60.0
"""Seconds between tries while nobody's pod is seen to go; doubled each time. Only a quota that somebody raised is found
by them, and pods that went while there was no watch."""
_RECOUNT = 0.3
"""Seconds that the cluster's quota controller needs, as a rule, to count a pod out that is gone."""
_DRAW, _LONGEST_DRAW = 2.0, 10.0
"""Seconds within which those that wait draw their moment; doubled by each try in vain."""
_VAIN_TRIES = 2
"""Tries for a place that came free; then it was none: a pod that had ended long ago does not count in a quota."""
_WATCH_SECONDS, _BRIEF = 300.0, 10.0
"""A watch that ends sooner than the latter was ended by a server that is not well."""
_GLANCE = 5.0
"""Seconds from one look whether the runner lives to the next."""
_KEPT_LEAVES_WITHIN = 60.0
"""Seconds that a kept pod may take to go, where the tenant's jobs do not wait for room otherwise."""
_DENIED, _DENIALS = (401, 403), 4
"""An API server that has just started knows neither tokens nor rights: so often it may say no."""
_GONE = 410
_TOO_MANY = 429
_SERVER_ERROR = 500
_LISTED_AT_MOST = 100


class Room:
    """One job's way to a place in the quota."""

    def __init__(self, api: Api, job: Job, log: JobLog, journal: Journal, runner: Runner) -> None:
        self._api = api
        self._job = job
        self._log = log
        self._journal = journal
        self._runner = runner
        self._began = time.monotonic()
        self._end = self._began + job.schedule_timeout
        self._pause = _SHORTEST_PAUSE
        self._said = ""
        self._looked_for_kept = False
        self._changes = _Changes(api)
        self._free = 0
        """Places that came free and that nobody was seen to take."""
        self._vain = 0
        """Tries for them in a row."""
        self._span = _DRAW

    def take(self, create: Callable[[], Pod]) -> Pod:
        """Return what `create` made, as soon as the quota lets it.

        Raises:
            PodRejected: there was no room in time, or never will be, or the tenant's jobs do not wait; or the refusal
                has nothing to do with a quota.
        """
        with self._changes:
            while True:
                try:
                    return create()
                except PodRejected as rejected:
                    # Imported here: few jobs are ever refused.
                    from executor.diagnosis import quota

                    shortage = quota.of_refusal(rejected.why)
                    if shortage is None:
                        raise
                    self._look_at(shortage, rejected)
                self._await_a_moment()

    def _look_at(self, shortage: Shortage, rejected: PodRejected) -> None:
        if hopeless := shortage.hopeless:
            raise PodRejected(
                f"A single job of this tenant is larger than its whole quota {shortage.quota}: {hopeless}.",
                why=rejected.why,
                remedy="The operator must raise the quota or lower the tenant's resources.",
                category=Category.QUOTA,
            ) from rejected
        if not self._looked_for_kept:
            self._make_room()
        if time.monotonic() >= self._end:
            raise self._no_room(shortage, rejected) from rejected
        if shortage.words != self._said:
            self._log.say(f"waiting for room: {shortage.words}")
            self._journal.info("waiting for room", quota=shortage.words)
            self._said = shortage.words

    def _no_room(self, shortage: Shortage, rejected: PodRejected) -> PodRejected:
        waited = (
            f" within {self._job.schedule_timeout} s (timeouts.schedule of the tenant)"
            if self._job.when_full == "wait"
            else ""
        )
        return PodRejected(
            f"There was no room for the job pod{waited}: {shortage.words}.",
            why=rejected.why,
            remedy="Other jobs use the tenant's quota up: run this one again when they have ended, "
            "or ask the operator of this runner for a larger one.",
            category=Category.QUOTA,
        )

    def _make_room(self) -> None:
        """Delete the tenant's oldest kept pod, once: a job goes before the remains of another."""
        self._looked_for_kept = True
        wanted = f"{names.TENANT_LABEL}={self._job.tenant},{names.KEPT_LABEL}"
        pods, self._changes.version = self._api.list_pods(wanted, limit=_LISTED_AT_MOST)
        kept = sorted(
            (pod for pod in pods if not pod.get("deletionTimestamp")), key=lambda pod: pod.get("creationTimestamp", "")
        )
        if kept:
            self._api.delete_pod(kept[0]["name"])
            self._log.say(f"the pod {kept[0]['name']}, kept of a failed job, was deleted to make room")
            self._journal.info("kept pod deleted to make room", kept=kept[0]["name"])
        if self._job.when_full != "wait":
            self._end = time.monotonic() + (_KEPT_LEAVES_WITHIN if kept else 0)

    # ------------------------------------------------------------ when to try again

    def _await_a_moment(self) -> None:
        """Return when a try may succeed, or when nothing was seen for a while."""
        # Imported here and below: few jobs ever wait.
        import random

        now = time.monotonic()
        until = min(self._end, now + self._pause * random.uniform(0.75, 1.25))  # noqa: S311 - no secret
        self._pause = min(_LONGEST_PAUSE, 2 * self._pause)
        moment = until
        if self._free:
            # Somebody was faster and is not seen yet, or the cluster has not counted that pod out.
            self._vain += 1
            self._span = min(_LONGEST_DRAW, 2 * self._span)
            self._free = self._free if self._vain < _VAIN_TRIES else 0
            moment = min(until, now + self._draw()) if self._free else until
        self._changes.look_again()
        while (left := moment - time.monotonic()) > 0:
            self._runner.check()
            kind = self._changes.next(min(left, _GLANCE))
            if kind == "DELETED":
                self._free, self._vain = self._free + 1, 0
                moment = min(moment, time.monotonic() + self._draw())
            elif kind == "ADDED" and self._free:
                self._free -= 1
                moment = moment if self._free else until
        self._runner.check()

    def _draw(self) -> float:
        """Draw a moment, in seconds from now; whoever has waited for long draws from a shorter span."""
        import random

        patience = min(0.9, (time.monotonic() - self._began) / self._job.schedule_timeout)
        return _RECOUNT + self._span * (1 - patience) * random.random()  # noqa: S311 - no secret


class _Changes:
    """What becomes of the namespace's pods, over one watch after the other; use it as a context manager."""

    def __init__(self, api: Api) -> None:
        self.version = ""
        """That of the last change; where the first watch begins."""
        self._api = api
        self._open = ExitStack()
        self._watch: PodWatch | None = None
        self._began = 0.0
        self._blind = False
        self._denials = 0

    def __enter__(self) -> None:
        """Begin; the watch is made when it is needed."""

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def look_again(self) -> None:
        """Make a watch again that failed."""
        self._blind = False

    def next(self, seconds: float) -> str:
        """Return the next change's type, or nothing where none was seen within `seconds`.

        Raises:
            ClusterRefused: the right to watch is missing.
        """
        if self._blind:
            # The next create tries several times, and fails with words.
            time.sleep(seconds)
            return ""
        try:
            return self._next(seconds)
        except TimeoutError:
            return ""
        except ClusterRefused as refused:
            self._lose()
            self._denials += refused.status in _DENIED
            passing = refused.status in {_GONE, _TOO_MANY} or (refused.status in _DENIED and self._denials < _DENIALS)
            if not passing and refused.status < _SERVER_ERROR:
                raise
            if refused.status == _GONE:
                self.version = ""
        except ClusterUnreachable:
            self._lose()
        return ""

    def _next(self, seconds: float) -> str:
        if self._watch is None:
            opened = self._api.watch_pods(resource_version=self.version, seconds=_WATCH_SECONDS)
            self._watch, self._began = self._open.enter_context(opened), time.monotonic()
        change = self._watch.next(seconds)
        if change is None:
            self._lose(blind=time.monotonic() - self._began < _BRIEF)
            return ""
        kind, pod = change
        self.version = pod["metadata"]["resourceVersion"] or self.version
        return kind

    def _lose(self, *, blind: bool = True) -> None:
        self._open.close()
        self._watch, self._blind = None, blind
