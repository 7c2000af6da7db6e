"""prepare: start the job pod, and return once both containers accept scripts.

On any failure, on SIGTERM, and when the runner is gone by then, what was created is deleted again.
"""

from __future__ import annotations

import contextlib
import os
import time

from executor.categories import Category
from executor.cluster.api import Api
from executor.diagnosis import cause
from executor.errors import ClusterRefused, ClusterUnreachable, DriverError, PodRejected
from executor.pod import names
from executor.pod.readiness import takes_scripts
from executor.runner import sections
from executor.stages import cancel
from executor.stages.anew import BeginAnew, another
from executor.stages.beside import ticking
from executor.stages.room import Room
from executor.stages.waiting import Waiting, not_started
from executor.values import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from executor.job import Job
    from executor.journal import Journal
    from executor.stages.joblog import JobLog

_DELETE_PATIENCE, _BRIEF_PATIENCE = 10.0, 2.0
"""Seconds to spend on a pod that failed: the runner may be waiting for the end of a cancelled job. The latter where the
API server has just been waited for in vain."""
_BETWEEN_WATCHES = 1.0
"""Seconds from the beginning of one watch to the next, at least: a server that is restarting ends each at once."""
_DENIED, _DENIALS = (401, 403), 4
"""An API server that has just started knows neither tokens nor rights: so often, a second apart, it may say no."""
_GONE = 410
_TOO_MANY = 429
_SERVER_ERROR = 500
"""From here on an answer does not say whether the pod was made."""


@dataclass(frozen=True, kw_only=True)
class _Files:
    """What the stage leaves beside the job file."""

    intent: str
    services: str


def prepare(
    job: Job, journal: Journal, log: JobLog, *, intent: str, services_file: str, rewrite: Callable[[Job], None]
) -> int:
    """Carry out the stage.

    Args:
        job: as `config` resolved it.
        journal: operator log.
        log: job log.
        intent: path of a mark that exists while a create may be in flight; `cleanup` looks at it.
        services_file: path of a file that tells `run` up to where the services' logs have been shown.
        rewrite: writes the job file anew, for a job that has claimed a pod of another name.

    Raises:
        PodRejected: the API server refused the manifest.
        PodNotStarted: it was accepted and did not become ready in time, or never will.
    """
    for note in job.notes:
        log.say(note)
    started, runner = time.monotonic(), cancel.Runner()
    api = Api(
        job.connection,
        on_retry=journal.tried_again,
        patience=job.connection_timeout,
    )
    with api:
        claimed = _claimed(api, job, journal, log, rewrite) if job.warm or job.cold_because else None
        if claimed is None:
            files = _Files(intent=intent, services=services_file)
            job, pod = _started(api, job, journal, log, runner, files=files, rewrite=rewrite)
        else:
            job, pod = claimed
            with _deleted_on_failure(job, journal):
                runner.check()
    seconds = time.monotonic() - started
    node = pod["spec"].get("nodeName", "")
    journal.info("pod ready", seconds=round(seconds, 2), node=node, warm=claimed is not None)
    # Outside of the section: it says the result also where that is folded.
    waited = "warm " if claimed else ""
    log.say(f"{waited}pod {job.connection.namespace}/{job.pod} is ready on node {node} after {seconds:.1f} s")
    return 0


def _claimed(
    api: Api, job: Job, journal: Journal, log: JobLog, rewrite: Callable[[Job], None]
) -> tuple[Job, dict[str, Any]] | None:
    """Take a warm pod where one fits, and say in one line where none does; what fails on the way makes a cold start."""
    because = job.cold_because
    if job.warm:
        with cancel.shielded():
            # Imported here: few tenants have warm pods.
            from executor.stages.claim import claim
        try:
            claimed, because = claim(api, job, journal, rewrite)
        except (ClusterRefused, ClusterUnreachable) as error:
            claimed, because = None, error.why or error.what
        if claimed is not None:
            return claimed
    journal.info("no warm pod", reason=because)
    log.say(f"no warm pod for this job: {because}")
    return None


def _started(  # noqa: PLR0913 - the stage's own surroundings
    api: Api,
    job: Job,
    journal: Journal,
    log: JobLog,
    runner: cancel.Runner,
    *,
    files: _Files,
    rewrite: Callable[[Job], None],
) -> tuple[Job, dict[str, Any]]:
    """Create the job's own pod, another one for each pull policy that fails, and return it once it accepts scripts."""
    while True:
        try:
            return job, _tried(api, job, journal, log, runner, files=files)
        except BeginAnew as failed:
            job = another(job, failed, journal, log)
            rewrite(job)


def _tried(
    api: Api, job: Job, journal: Journal, log: JobLog, runner: cancel.Runner, *, files: _Files
) -> dict[str, Any]:
    place, since = f"{job.connection.namespace}/{job.pod}", time.monotonic()
    with _deleted_on_failure(job, journal), log.section(sections.name("pod", job.pod), f"starting pod {place}"):
        pod = Room(api, job, log, journal, runner).take(lambda: _create(api, job, files.intent))
        journal.info("pod created")
        if job.secrets:
            pod = _open_gate(api, job, pod)
        events = _events_told(api, job, journal, log)
        with ticking(job, journal, log, files.services, runner.check) as tick, events:
            pod = _await_ready(api, job, pod, Waiting(api, job, journal, log, since=since))
            tick()
            if job.manifest["spec"].get("initContainers"):
                with cancel.shielded():
                    # Imported here: it brings the exec stream along, which few jobs need in this stage.
                    from executor.stages.services import await_services
                await_services(api, job, pod, journal, log, tick)
    return pod


def _events_told(api: Api, job: Job, journal: Journal, log: JobLog) -> contextlib.AbstractContextManager[None]:
    """List the cluster's events of the pod at the end of the block, where the job asks for them."""
    if not job.print_events:
        return contextlib.nullcontext()
    with cancel.shielded():
        # Imported here: few jobs do.
        from executor.stages.podevents import told
    return told(api, job, journal, log)


def _create(api: Api, job: Job, intent: str) -> dict[str, Any]:
    with open(intent, "w", encoding="ascii") as mark:
        mark.write(job.pod)
    try:
        pod = api.create_pod(job.manifest)
    except ClusterRefused as refused:
        if refused.status < _SERVER_ERROR:
            os.unlink(intent)
        raise PodRejected(
            "The cluster refused the job pod.",
            why=refused.why,
            remedy=refused.remedy or "The operator of this runner must correct what the message names.",
            category=refused.category,
        ) from refused
    os.unlink(intent)
    return pod


def _open_gate(api: Api, job: Job, pod: dict[str, Any]) -> dict[str, Any]:
    """Make the Secrets that the pod waits for, and let it be scheduled; they go when it goes."""
    with cancel.shielded():
        # Imported here: most jobs have none.
        from executor.pod import secrets
    try:
        for secret in job.secrets:
            api.create_secret(secrets.owned(secret, pod))
        return api.patch_pod(job.pod, {"spec": {"schedulingGates": None}})
    except ClusterRefused as refused:
        raise PodRejected(
            "The cluster refused the Secrets that the job's own image or services need.",
            why=refused.why,
            remedy=refused.remedy or "The operator of this runner must correct what the message names.",
            category=refused.category,
        ) from refused


def _await_ready(api: Api, job: Job, pod: dict[str, Any], waiting: Waiting) -> dict[str, Any]:
    denials = 0
    with cancel.shielded():
        # Imported here: it brings the exec stream along, while the node already starts the pod.
        from executor.stages.probe import Probe
    with Probe(job) as probe:
        while (left := waiting.seconds_left()) > 0:
            began = time.monotonic()
            try:
                seconds = waiting.seconds_to_watch(left)
                version = pod["metadata"]["resourceVersion"]
                with api.watch_pod(job.pod, resource_version=version, seconds=seconds) as watch:
                    for state, accepts_scripts in probe.states(watch, pod, seconds):
                        pod = state
                        if accepts_scripts or takes_scripts(pod):
                            return pod
                        waiting.look_at(pod)
            except ClusterRefused as refused:
                denials += refused.status in _DENIED
                passing = refused.status in {_GONE, _TOO_MANY} or (refused.status in _DENIED and denials < _DENIALS)
                if not passing and refused.status < _SERVER_ERROR:
                    raise
            except ClusterUnreachable:
                # The next read of the pod tries several times, and fails with words.
                pass
            time.sleep(max(0.0, began + _BETWEEN_WATCHES - time.monotonic()))
            current = api.get_pod(job.pod)
            if current is None:
                raise not_started(cause.of_lost_pod(None, names.BUILD, api.events_of(job.pod)))
            pod = current
            waiting.look_closer(pod)
    raise waiting.timed_out(pod)


@contextlib.contextmanager
def _deleted_on_failure(job: Job, journal: Journal) -> Iterator[None]:
    try:
        yield
    except BaseException as failure:
        grace = None
        if getattr(failure, "category", "") == Category.NODE_LOST:
            # No kubelet would say that the containers have ended.
            grace = 0
        elif isinstance(failure, BeginAnew):
            # The next pod may need its place in the quota.
            grace = 1
        patience = _BRIEF_PATIENCE if isinstance(failure, ClusterUnreachable) else _DELETE_PATIENCE
        try:
            patience = min(patience, job.connection_timeout)
            with Api(job.connection, on_retry=journal.tried_again, patience=patience) as api:
                api.delete_pod(job.pod, grace_seconds=grace)
        except DriverError as error:
            # `cleanup` follows, and tries again.
            journal.warning("the pod could not be deleted", reason=str(error))
        raise
