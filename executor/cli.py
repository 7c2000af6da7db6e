"""The command `kaniko-driver`: the runner's four stages, and the operator's commands.

The stages are dispatched by hand, because each of them starts for every sub-stage of every job, and click alone would
be a third of its start-up time. Their help and everything else goes to click, which knows the stages' options too.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

STAGES = ("config", "prepare", "run", "cleanup")


def main() -> None:
    """Entry point."""
    arguments = sys.argv[1:]
    if arguments and arguments[0] in STAGES and not {"-h", "--help"}.intersection(arguments):
        from executor.stages import entry
        from executor.stages.stage import carry_out

        sys.exit(carry_out(arguments[0], entry.stage(arguments[0], arguments[1:])))
    _operate()


def _operate() -> None:
    """Carry out an operator's command; what is no defect, and click leaves a traceback, ends in words."""
    # Imported here: see above.
    import errno
    import signal

    # By an exception, so that what was made on the way is taken away: credentials in temporary files above all.
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _end)
    try:
        from executor.operate.commands import cli

        cli()
    except KeyboardInterrupt:
        # As click itself says it once its commands are imported.
        sys.exit("\nAborted!")
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EIO}:
            raise
        sys.exit(f"Error: {error.filename or 'the output'} cannot be written: {error.strerror}")


def _end(number: int, _: FrameType | None) -> None:
    # As a shell tells of a program that a signal ended.
    sys.exit(128 + number)
