"""What a stage does about once a second beside its own work: the check for the runner, and what services print."""

from __future__ import annotations

from contextlib import nullcontext

from executor.stages import cancel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from executor.job import Job
    from executor.journal import Journal
    from executor.stages.joblog import JobLog


def ticking(
    job: Job, journal: Journal, log: JobLog, services_file: str, check: Callable[[], None]
) -> AbstractContextManager[Callable[[], None]]:
    """Return what to call, for as long as the block lasts; `services_file` as of `servicelogs.shown`."""
    if not job.service_logs:
        return nullcontext(check)
    with cancel.shielded():
        # Imported here: few jobs want to see what their services print.
        from executor.stages.servicelogs import shown

    return shown(job, journal, log, services_file, check)
