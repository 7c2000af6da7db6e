"""The runner gives up, by SIGTERM or by dying itself: both as exceptions that nothing on the way swallows.

`Cancelled` can be held back where half a step would be lost.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager

from executor.errors import Cancelled, RunnerGone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


_STDOUT = 1
_AGAIN = 0.001
"""Seconds until what was swallowed is raised once more."""


class _State:
    heard = False
    raised = False
    shields = 0


def listen() -> None:
    """Raise `Cancelled` at the first SIGTERM, wherever the stage is; later ones do nothing."""
    signal.signal(signal.SIGTERM, _hear)
    # A runner in a terminal: Ctrl-C goes to the whole process group.
    signal.signal(signal.SIGINT, _hear)
    # The terminal of such a runner is closed, or the kernel finds a process group without a parent: that the runner is
    # gone is noticed below, and then the pod has to be deleted first.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # Python swallows what is raised in a finalizer or a weak reference's callback, as imports have them.
    signal.signal(signal.SIGALRM, _hear)
    sys.unraisablehook = _swallowed


def over() -> None:
    """Do nothing from now on: the stage has ended, and only its exit code is left to tell."""
    _State.raised = True


def requested() -> bool:
    """Tell whether a shielded step should end early."""
    return _State.heard and not _State.raised


@contextmanager
def shielded() -> Iterator[None]:
    """Hold `Cancelled` back until the block is done."""
    _State.shields += 1
    try:
        yield
    finally:
        _State.shields -= 1
    _raise_once()


class Runner:
    """The process that started this stage."""

    def __init__(self) -> None:
        self._process = os.getppid()
        self._told = False

    def check(self) -> None:
        """See whether it lives; one that was killed leaves its stages running.

        Raises:
            RunnerGone: it does not; raised once, so that what cleans up can go on.
        """
        if not self._told and (os.getppid() != self._process or _nobody_reads(_STDOUT)):
            self._told = True
            raise RunnerGone


def _nobody_reads(descriptor: int) -> bool:
    """Tell whether the other end of a pipe is closed: so is the runner's, even when it died before we looked at it."""
    # Imported here: config has no use for it.
    import select

    poll = select.poll()
    poll.register(descriptor, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _hear(_signal: int, _frame: FrameType | None) -> None:
    _State.heard = True
    _raise_once()


def _swallowed(what: sys.UnraisableHookArgs) -> None:
    if what.exc_type is not Cancelled:
        sys.__unraisablehook__(what)
        return
    _State.raised = False
    # Not here: this call is inside of what swallows.
    signal.setitimer(signal.ITIMER_REAL, _AGAIN)


def _raise_once() -> None:
    if requested() and not _State.shields:
        _State.raised = True
        raise Cancelled
