"""What surrounds every stage: the way from an error to words and an exit code, and the operator log."""

from __future__ import annotations

import os

from executor.categories import Category
from executor.errors import Cancelled, DriverError, RunnerGone
from executor.journal import Journal
from executor.runner.contract import Contract
from executor.stages import cancel
from executor.stages.joblog import STDERR, STDOUT, JobLog

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_NO_CONTRACT = 2
"""Exit code where not even the runner's own codes are known; the number that it uses for system failures."""


def carry_out(name: str, stage: Callable[[Contract, Journal, JobLog], int]) -> int:
    """Run a stage and return its exit code; every error becomes words in the job log, none a traceback."""
    # The stdout of `config` is the contract's, and of `cleanup` only stderr is kept by the runner. Elsewhere lines of
    # ours and of the script share one stream, since two would be mixed in any order.
    log = JobLog(STDERR if name in {"config", "cleanup"} else STDOUT)
    journal = Journal(stage=name, process=os.getpid())
    contract: Contract | None = None
    try:
        try:
            contract = Contract.read(os.environ)
            # Not earlier: as long as nothing has begun, SIGTERM may simply end the process.
            cancel.listen()
            return stage(contract, journal, log)
        finally:
            cancel.over()
    except Cancelled:
        journal.info("cancelled", category=Category.CANCELLED)
        log.say("cancelled by the runner")
    except RunnerGone:
        journal.warning("the runner is gone", category=Category.RUNNER_GONE)
    except DriverError as error:
        journal.error("stage failed", exception=error, kind=type(error).__name__, category=error.category)
        log.fail(error)
        if contract is not None:
            return contract.failed(error)
    except OSError as error:
        # Networks have errors of their own, so this is a file of the runner's host: gone, unreadable, no room for it.
        journal.error("stage failed", exception=error, kind=type(error).__name__, category=Category.HOST_FILE)
        log.say(
            f"A file on the runner's host cannot be used: {error.filename or 'of the stage'}: {error.strerror or error}"
            "\nThis is no fault of the job: run it again. If it stays, the operator must look at the host's disk."
        )
    except Exception as error:  # noqa: BLE001 - the last line of defence: a job's author must never see a traceback
        journal.error("stage failed unexpectedly", exception=error, category=Category.INTERNAL)
        log.say(
            f"An error in kaniko-driver itself ended the job: {type(error).__name__}.\n"
            "This is no fault of the job. The operator finds the details in the driver's log and should report them."
        )
    return _NO_CONTRACT if contract is None else contract.system_failure
