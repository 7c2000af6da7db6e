"""What a pod that is not ready yet waits for: how long it still may, what is said of it, and when waiting is vain.

Three budgets, each for what somebody else answers for: until a node takes the pod (`timeouts.schedule`), while images
are pulled (`timeouts.pull`), and the rest of its start (`timeouts.start`). The clock of one stands while another runs.
"""

from __future__ import annotations

import time

from executor.categories import Category
from executor.diagnosis import cause
from executor.errors import DriverError, OwnContainerFailed, PodNotStarted
from executor.pod import names
from executor.stages.anew import BeginAnew, can_do_without
from executor.values import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from executor.cluster.api import Api
    from executor.job import Job
    from executor.journal import Journal
    from executor.stages.joblog import JobLog

    Pod = dict[str, Any]

_IMAGE_GRACE = 30.0
"""Seconds for which a failing pull may be a registry's hiccup."""
_OUTAGE_GRACE = 120.0
"""The same, for a registry that does not answer or asks for patience."""
_FIRST_LOOK = 20.0
"""Seconds after which a pod whose status says nothing is looked into by its events; then after three times as long."""
_SCHEDULE, _PULL, _START = "schedule", "pull", "start"


class Waiting:
    """Knows how long is left, says why the pod is not ready, once and on change, and gives up where waiting is vain."""

    def __init__(self, api: Api, job: Job, journal: Journal, log: JobLog, *, since: float) -> None:
        """Wait as long as the tenant's time-outs allow; that for a node began at `since`, on the monotonic clock."""
        self._api = api
        self._job = job
        self._journal = journal
        self._log = log
        self._last: cause.Diagnosis | None = None
        self._image_fails_since: float | None = None
        self._backed_off = ""
        self._phase, self._entered = _SCHEDULE, since
        self._budgets = {_SCHEDULE: job.schedule_timeout, _PULL: job.pull_timeout, _START: job.start_timeout}
        self._left: dict[str, float] = dict(self._budgets)
        self._scheduled: float | None = None
        self._next_look = _FIRST_LOOK
        self._watch = _FIRST_LOOK
        self._silent = True
        self._pulling = ""
        self._no_node_since: float | None = None
        self._autoscaler = ""
        self._node_is_coming = False

    # ------------------------------------------------------------ how long

    def seconds_left(self) -> float:
        """Return what is left of the budget that applies now."""
        return self._left[self._phase] - (time.monotonic() - self._entered)

    def seconds_to_watch(self, left: float) -> float:
        """Return how long to watch: to the next look, or for good where the pod itself says what it waits for.

        A pod may get its node during the watch, most do at once, so none lasts beyond the looks that are due then, nor
        beyond the other budgets.
        """
        longest = min(left, self._job.start_timeout, self._job.pull_timeout)
        if self._scheduled is None:
            longest, self._watch = min(longest, self._watch), 3 * _FIRST_LOOK
            if self._no_node_since is not None and not self._node_is_coming:
                longest = min(longest, max(1.0, self._no_node_since + self._job.new_node_timeout - time.monotonic()))
        elif self._silent:
            longest = min(longest, max(1.0, self._scheduled + self._next_look - time.monotonic()))
        return longest

    def _enter(self, phase: str) -> None:
        now = time.monotonic()
        self._left[self._phase] -= now - self._entered
        self._phase, self._entered = phase, now

    # ------------------------------------------------------------ what is said

    def look_closer(self, pod: Pod) -> None:
        """Say what only events tell: a node that is being added, volumes that cannot be mounted, a network that fails.

        Raises:
            PodNotStarted: its node has not even taken it.
        """
        if self._scheduled is None:
            if self._last is not None:
                self._look_at_the_autoscaler()
            return
        if not self._silent or time.monotonic() < self._scheduled + self._next_look:
            return
        if self._next_look > _FIRST_LOOK and not (pod.get("status") or {}).get("startTime"):
            raise not_started(cause.of_silent_node(pod))
        self._next_look *= 3
        found = cause.of_start(self._api.events_of(self._job.pod))
        if found is not None:
            self._tell(found)
        elif self._phase == _PULL and (images := ", ".join(cause.images_to_come(pod))) != self._pulling:
            self._pulling = images
            self._log.say(f"waiting: The node pulls images.\n  Still to come: {images}")

    def look_at(self, pod: Pod) -> None:
        """Say what holds the pod up.

        Raises:
            PodNotStarted: it will never start.
            BeginAnew: it would not, but another pod may.
        """
        if not pod["spec"].get("nodeName"):
            self._enter(_SCHEDULE)
        else:
            if self._scheduled is None:
                self._scheduled = time.monotonic()
                self._journal.info("pod scheduled", node=pod["spec"]["nodeName"])
            images = cause.images_to_come(pod)
            self._pulling = self._pulling and ", ".join(images)
            self._enter(_PULL if images else _START)
        found = cause.of_waiting_pod(pod)
        self._silent = found is None
        if found is None:
            self._image_fails_since, self._backed_off = None, ""
            if self._last is not None and self._last.category not in cause.TOLD_BY_EVENTS:
                self._last = None
            return
        found = self._with_its_cause(found)
        self._leave_to_another_pod(found)
        if found.final and not self._may_get_a_new_node(found):
            raise not_started(found, waited=self._waited_for_a_node(found), authors=self._authors(found))
        if self._image_failed_for_good(found):
            found = self._with_its_login(found)
            raise not_started(found, authors=self._authors(found))
        self._tell(found)

    def _tell(self, found: cause.Diagnosis) -> None:
        if self._last is None or found.what != self._last.what:
            self._log.say(f"waiting: {found.what}\n  {found.why}")
        self._last = found

    # ------------------------------------------------------------ nodes that are made when they are needed

    def _look_at_the_autoscaler(self) -> None:
        # Imported here: most pods find a node at once.
        from executor.diagnosis import scheduling

        said = scheduling.of_autoscaler(self._api.events_of(self._job.pod))
        if said is None:
            return
        self._node_is_coming = said.node_is_coming
        words = f"{said.what}\n  {said.words}"
        if words != self._autoscaler:
            self._autoscaler = words
            self._log.say(f"waiting: {words}")

    def _may_get_a_new_node(self, found: cause.Diagnosis) -> bool:
        """Tell whether to wait for a node that does not exist yet; an autoscaler that says it adds one is believed."""
        if not found.unless_new_node or not self._job.new_node_timeout:
            return False
        self._no_node_since = self._no_node_since or time.monotonic()
        return self._node_is_coming or time.monotonic() - self._no_node_since < self._job.new_node_timeout

    def _waited_for_a_node(self, found: cause.Diagnosis) -> str:
        if not found.unless_new_node or not self._job.new_node_timeout:
            return ""
        added = f"No node was added within {self._job.new_node_timeout} s (timeouts.new_node of the tenant)."
        return f"{added} {self._autoscaler}".rstrip()

    # ------------------------------------------------------------ images

    def _with_its_cause(self, found: cause.Diagnosis) -> cause.Diagnosis:
        """Name the cause of a failing pull again: before 1.31 the kubelet does it once, and then says that it waits."""
        told = self._last
        if found.category != Category.IMAGE_FAILED or not found.backing_off or not told or told.what != found.what:
            return found
        return replace(told, backing_off=True)

    def _leave_to_another_pod(self, found: cause.Diagnosis) -> None:
        """Give up at the first pull that fails where the job names another policy for this image, and a service.

        Raises:
            BeginAnew: so it is.
        """
        if found.category == Category.SERVICE_FAILED and can_do_without(self._job, found.container):
            raise BeginAnew(found)
        if found.container not in self._job.pull_policies:
            return
        # Imported here: few jobs have a list of policies.
        from executor.diagnosis import image

        if found.category in image.ALL:
            raise BeginAnew(found)

    def _image_failed_for_good(self, found: cause.Diagnosis) -> bool:
        """Tell whether to give up: after a registry's second answer, or when waiting for any answer has lasted.

        Not after the first: a kubelet that could not read the job's login in a second has asked without it.
        """
        # Imported here: most images are there at once.
        from executor.diagnosis import image

        if found.category not in image.ALL:
            self._image_fails_since, self._backed_off = None, ""
            return False
        self._image_fails_since = self._image_fails_since or time.monotonic()
        if found.backing_off:
            self._backed_off = found.what
        elif found.category in image.ANSWERED and found.what == self._backed_off:
            return True
        grace = _OUTAGE_GRACE if found.category in image.PASSING else _IMAGE_GRACE
        return time.monotonic() - self._image_fails_since > grace

    def _with_its_login(self, found: cause.Diagnosis) -> cause.Diagnosis:
        # Imported here: most images are there at once.
        from executor.diagnosis import image

        if found.category not in image.ANSWERED:
            return found
        try:
            return image.with_its_login(found, self._api.events_of(self._job.pod))
        except DriverError as error:
            self._journal.warning("the events of the pod cannot be read", reason=str(error))
            return found

    def _authors(self, found: cause.Diagnosis) -> bool:
        """Tell whether only the job's author can mend it: the name of an image that does not exist, for one."""
        from executor.diagnosis import image

        chosen = names.is_service(found.container) or (found.container == names.BUILD and self._job.authors_image)
        operators = (image.ALL - image.ANSWERED) | {Category.SECRET_MISSING}
        return chosen and found.category not in operators

    # ------------------------------------------------------------ the end of patience

    def timed_out(self, pod: Pod) -> DriverError:
        """Make the error for a pod that used up its time; the cluster's warnings where nothing else is known."""
        if self._last is not None:
            return not_started(self._last, waited=self._autoscaler)
        within = f"within {self._budgets[self._phase]} s (timeouts.{self._phase} of the tenant)."
        if self._phase == _PULL:
            return PodNotStarted(
                f"The node did not get the images of the job pod {within}",
                why=f"Still to come: {', '.join(cause.images_to_come(pod))}.",
                remedy="Use a smaller image where the job names its own; otherwise the operator must look at the "
                "node's way to the registry, load images beforehand, or raise timeouts.pull.",
                category=Category.IMAGE_SLOW,
            )
        try:
            warnings = "\n".join(
                f"{event.get('reason')}: {event.get('message')}"
                for event in self._api.events_of(self._job.pod)
                if event.get("type") == "Warning"
            )
        except DriverError as error:
            warnings = f"The cluster's warnings cannot be read: {error.why}"
        unscheduled = self._phase == _SCHEDULE
        return PodNotStarted(
            f"No node took the job pod {within}" if unscheduled else f"The job pod did not become ready {within}",
            why=warnings,
            remedy="The operator must look at the tenant's nodes.",
            category=Category.UNSCHEDULABLE if unscheduled else Category.NOT_READY_IN_TIME,
        )


def not_started(found: cause.Diagnosis, *, waited: str = "", authors: bool = False) -> PodNotStarted:
    """Make the error for a pod that will not start; `waited` is what waiting has brought."""
    error = OwnContainerFailed if authors else PodNotStarted
    return error(
        f"The job pod did not start. {found.what}",
        why="\n".join(filter(None, (found.why, waited))),
        remedy=found.remedy,
        category=found.category,
    )
