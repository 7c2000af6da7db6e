"""run: one script in the pod, followed to its last byte, with its exact exit code.

Imports neither the full client nor, unless something breaks, an HTTP client: this stage runs many times a job.
"""

from __future__ import annotations

import os
import time

from executor.categories import Category
from executor.cluster.place import Place
from executor.cluster.script import Order, Script, Surroundings
from executor.errors import Cancelled, PodLost, RunnerGone
from executor.pod import names
from executor.runner import sections, substages
from executor.stages import cancel
from executor.stages.beside import ticking
from executor.stages.tail import Tail
from executor.values import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from executor.diagnosis.kaniko import Hint
    from executor.job import Job
    from executor.journal import Journal
    from executor.pod.control import Exited
    from executor.runner.contract import Contract
    from executor.stages.joblog import JobLog

# As the built-in executor: its helper sets 0000 unless a job says otherwise, the build keeps what it has. Modes are
# part of Kaniko's cache keys.
_HELPER_UMASK, _USUAL_UMASK = "0000", "0022"


@dataclass(frozen=True, kw_only=True)
class Call:
    """What the runner wants of this call."""

    script_file: str
    sub_stage: str
    authors_mark: str
    """Path of a mark that exists once the first of the author's scripts was sent."""
    keep_mark: str
    """Path of a mark that tells `cleanup` to keep the pod."""
    lost_mark: str
    """Path of a mark that tells `cleanup` that no node will ever end the pod."""
    services_file: str
    """Path of a file that tells up to where the services' logs have been shown."""


def run(job: Job, contract: Contract, journal: Journal, log: JobLog, call: Call) -> int:
    """Carry out the stage.

    Returns:
        The stage's exit code; the script's own is left in BUILD_EXIT_CODE_FILE.

    Raises:
        PodLost, ScriptLost, ClusterUnreachable, ClusterRefused: see `Script.run`.
    """
    contract.forget_exit_code()
    sub_stage = call.sub_stage
    journal.bind(sub_stage=sub_stage)
    helper = _belongs_to_helper(call, journal, log)
    with open(call.script_file, "rb") as file:
        order = Order(
            stage=names.stage_id(sub_stage),
            script=file.read(),
            logins=b"" if helper else job.logins.encode(),
            shell="bash" if helper else job.build_shell,
            output_limit=job.output_limit,
            umask=_HELPER_UMASK if helper and not job.usual_umask else _USUAL_UMASK,
            measured=not helper and sub_stage != "after_script",
        )
    if os.path.exists(call.lost_mark):
        raise PodLost(
            "The node of the job pod does not answer any more.",
            why=f"An earlier script of this job found it so; {sub_stage} is not tried.",
            remedy="This is no fault of the job: run it again.",
            category=Category.NODE_LOST,
        )
    runner, tail = cancel.Runner(), Tail(log.script_output)
    began = time.monotonic()
    try:
        with ticking(job, journal, log, call.services_file, runner.check) as tick:
            surroundings = _surroundings(job, journal, log, tick=tick, helper=helper, sink=tail.pass_on)
            script = Script(order, surroundings, connection_timeout=job.connection_timeout)
            ended, cancelled = _to_its_end(script, job, journal, log, runner)
    except PodLost as lost:
        _tell_what_it_used(script, None, job, journal, log, seconds=time.monotonic() - began)
        if lost.category == Category.NODE_LOST:
            _leave_mark(call.lost_mark)
        raise
    except (RunnerGone, BrokenPipeError):
        _leave_nothing(job, journal)
        return contract.system_failure
    if ended is None:
        return contract.system_failure
    if cancelled:
        _tell_what_it_used(script, ended, job, journal, log, seconds=time.monotonic() - began)
        return contract.script_failed(ended.code or 1, log.say)
    hint = _why_kaniko_failed(script, ended, tail)
    _tell_how_it_ended(ended, hint, journal, log, seconds=time.monotonic() - began)
    _tell_what_it_used(script, ended, job, journal, log, seconds=time.monotonic() - began)
    if not ended.code:
        return 0
    if order.measured:
        # Imported here: only failures need it.
        from executor.stages import keeping

        keeping.announce(job, log, call.keep_mark)
    return contract.script_failed(ended.code, log.say)


def _belongs_to_helper(call: Call, journal: Journal, log: JobLog) -> bool:
    if substages.is_authors(call.sub_stage):
        _leave_mark(call.authors_mark)
        return False
    began = os.path.exists(call.authors_mark)
    helper = substages.runs_in_helper(call.sub_stage, authors_began=began)
    if not substages.is_known(call.sub_stage):
        place = names.HELPER if helper else names.BUILD
        when = "after the job's own scripts began" if began else "before any of the job's own scripts"
        journal.warning("unknown sub-stage", container=place, because=when)
        log.say(
            f"this driver does not know the sub-stage {call.sub_stage!r}; it runs in the {place} container, "
            f"since the runner sent it {when}"
        )
    return helper


def _leave_mark(path: str) -> None:
    with open(path, "w", encoding="ascii"):
        pass


def _to_its_end(
    script: Script, job: Job, journal: Journal, log: JobLog, runner: cancel.Runner
) -> tuple[Exited | None, bool]:
    """Return how a script ended, None where that is not known, and whether it was cancelled or timed out.

    The pod stays also then, since after_script may follow.
    """
    try:
        ended = script.run()
        # A short script may end before anybody looked.
        runner.check()
    except Cancelled:
        journal.info("cancelled")
        # The runner may go away in the middle of this, too.
        stopped = script.stop(grace=job.stop_grace)
        if stopped is None:
            log.say("the script could not be stopped in time; it ends with its pod")
        # Whoever ends a whole host sends SIGTERM to the runner and to us at once.
        runner.check()
        return stopped, True
    return ended, False


def _surroundings(
    job: Job,
    journal: Journal,
    log: JobLog,
    *,
    tick: Callable[[], None],
    helper: bool,
    sink: Callable[[memoryview], None],
) -> Surroundings:
    place = Place(job.connection, pod=job.pod, container=names.HELPER if helper else names.BUILD)
    return Surroundings(
        open=place.open,
        open_elsewhere=place.open_elsewhere,
        look=place.look,
        explain=place.explain,
        sink=sink,
        passed=log.passed,
        say=log.say_between_lines,
        tick=tick,
        note=lambda event, reason: journal.warning(event, reason=reason),
    )


def _why_kaniko_failed(script: Script, ended: Exited, tail: Tail) -> Hint | None:
    # Only where Kaniko ran: the words of other programs are not ours to read.
    if not ended.code or script.used is None or script.used.hits is None:
        return None
    # Imported here: most scripts end well.
    from executor.diagnosis import kaniko

    return kaniko.hint(tail.text())


def _tell_how_it_ended(ended: Exited, hint: Hint | None, journal: Journal, log: JobLog, *, seconds: float) -> None:
    journal.info(
        "script ended",
        code=ended.code,
        seconds=round(seconds, 1),
        bytes=ended.size,
        peak_memory=ended.peak,
        oom_kills=ended.oom_kills,
        category=_category(ended, hint),
    )
    log.say_waiting()
    if hint:
        log.say(hint.text)
    if ended.full:
        log.say("the script printed more than its output limit (volumes.output of the tenant); the rest was dropped")
    if ended.oom_kills:
        log.say(
            f"the kernel killed {ended.oom_kills} process(es) of this script because the container reached its memory "
            "limit; use less memory, or ask the operator of this runner for a higher limit"
        )


def _category(ended: Exited, hint: Hint | None) -> str:
    if not ended.code:
        return ""
    if ended.oom_kills:
        return Category.OUT_OF_MEMORY
    return hint.category if hint else Category.SCRIPT_FAILED


def _tell_what_it_used(
    script: Script, ended: Exited | None, job: Job, journal: Journal, log: JobLog, *, seconds: float
) -> None:
    """Say what the container used of what it had; `ended` is None when it died under the script."""
    if not script.order.measured:
        return
    # Imported here: of a job's scripts only the author's are measured.
    from executor.stages.story import tell
    from executor.stages.summary import summarize

    cache = tell(script.cache, script.missed)
    found = summarize(script.used, ended, job.limits, seconds=seconds, cache=cache)
    if found is None:
        return
    journal.info("resources used", seconds=round(seconds, 1), **found.figures)
    with log.section(sections.name("used", script.order.stage), found.line, collapsed=True):
        for detail in found.details:
            log.say(detail)
    for warning in found.warnings:
        log.say(warning)


def _leave_nothing(job: Job, journal: Journal) -> None:
    """The runner is gone, and nobody will call `cleanup`; the script ends with its pod."""
    from executor.cluster.api import Api

    with Api(job.connection, on_retry=journal.tried_again, patience=job.connection_timeout) as api:
        api.delete_pod(job.pod)
    journal.warning("the runner is gone; its job's pod was deleted", category=Category.RUNNER_GONE)
