"""Room for one more pod: wait until the tenant's quota has some, or fail, as its settings say.

The quota is only ever tried, never read: the driver has no right to it, and needs none. A watch of the namespace's pods
tells when a try is worth while. Of many jobs that wait, each draws a moment for its try, and gives it up when somebody
else was faster: a pod that goes makes one create and not twenty.
"""

from __future__ import annotations

import time

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

_SHORTEST_PAUSE, _LONGEST_PAUSE = 1.0, 15.0
"""Seconds between tries while nobody's pod is seen to go; doubled each time."""
_RECOUNT = 0.3
"""Seconds that the cluster's quota controller needs, as a rule, to count a pod out that is gone."""
_DRAW = 2.0
"""Seconds within which those that wait draw their moment."""
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
        self._version = ""
        self._denials = 0
        self._looked_for_kept = False

    def take(self, create: Callable[[], Pod]) -> Pod:
        """Return what `create` made, as soon as the quota lets it.

        Raises:
            PodRejected: there was no room in time, or never will be, or the tenant's jobs do not wait; or the refusal
                has nothing to do with a quota.
        """
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
            self._runner.check()

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
        pods, self._version = self._api.list_pods(wanted, limit=_LISTED_AT_MOST)
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
        try:
            with self._api.watch_pods(resource_version=self._version, seconds=until - now) as watch:
                until = self._follow(watch, until)
        except ClusterRefused as refused:
            self._denials += refused.status in _DENIED
            passing = refused.status in {_GONE, _TOO_MANY} or (refused.status in _DENIED and self._denials < _DENIALS)
            if not passing and refused.status < _SERVER_ERROR:
                raise
            if refused.status == _GONE:
                self._version = ""
        except ClusterUnreachable:
            # The next create tries several times, and fails with words.
            pass
        time.sleep(max(0.0, until - time.monotonic()))

    def _follow(self, watch: PodWatch, until: float) -> float:
        """Return when to try: at the moment that was drawn for a pod that went, unless another pod took its place."""
        free, moment = 0, until
        while (left := moment - time.monotonic()) > 0:
            try:
                event = watch.next(left)
            except TimeoutError:
                break
            if event is None:
                break
            kind, pod = event
            self._version = pod["metadata"]["resourceVersion"] or self._version
            if kind == "DELETED":
                free += 1
                moment = min(moment, time.monotonic() + self._draw())
            elif kind == "ADDED":
                free = max(0, free - 1)
                moment = moment if free else until
        if free:
            # The cluster may count that pod out a little later.
            self._pause = _SHORTEST_PAUSE
        return moment

    def _draw(self) -> float:
        """Draw a moment, in seconds from now; whoever has waited for long draws from a shorter span."""
        import random

        patience = min(0.9, (time.monotonic() - self._began) / self._job.schedule_timeout)
        return _RECOUNT + _DRAW * (1 - patience) * random.random()  # noqa: S311 - no secret
