"""Trying again: the one policy for calls of the API server.

A call is bounded by the seconds that it may take, tries and pauses included, and by how often it may be made. A server
that says how long to wait is obeyed.
"""

from __future__ import annotations

import time

from executor.categories import Category
from executor.cluster.refusals import Busy
from executor.errors import ClusterRefused, ClusterUnreachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    Result = TypeVar("Result")

TRIES = 12
"""More than a minute's patience has room for, since pauses grow to 15 s: a server that refuses connections is quick."""
_LONGEST_SECONDS = 60
_DENIALS = {Category.RIGHT_MISSING: 3, Category.CREDENTIALS: 5}
"""So often they may pass: for a moment after its start the API server knows neither rights nor tokens, and a token may
be renewed late. The latter takes a quarter of a minute."""


class Patience:
    """How long and how often calls are tried; each call begins anew."""

    def __init__(self, seconds: float, *, tries: int, on_retry: Callable[[BaseException], None]) -> None:
        """Allow each call `seconds`, a minute at most, and `tries`; `on_retry` hears of each failure that passes."""
        self._seconds = min(seconds, _LONGEST_SECONDS)
        self._tries = tries
        self._on_retry = on_retry
        self._end = 0.0

    def begin(self) -> None:
        """Start the clock for a call that is made once."""
        self._end = time.monotonic() + self._seconds

    def left(self) -> float:
        """Return how many seconds a try may still take; never none, since zero would mean for ever or not at all."""
        return max(0.1, self._end - time.monotonic())

    def tried(self, call: Callable[[], Result]) -> Result:
        """Make a call until it succeeds, fails for good, or the patience is spent; then its own error is raised."""
        self.begin()
        try:
            return call()
        except (ClusterUnreachable, ClusterRefused) as error:
            if not _may_pass(error):
                raise
            pause = _asked(error)
            if self._tries == 1 or time.monotonic() + pause >= self._end:
                raise
            self._on_retry(error)
        if pause:
            time.sleep(pause)
        # Imported here: tenacity costs 0.035 s, and the first try nearly always succeeds.
        import tenacity

        denials = 0

        def worth_it(error: BaseException) -> bool:
            nonlocal denials
            if isinstance(error, ClusterRefused) and not isinstance(error, Busy):
                denials += 1
                return denials < _DENIALS.get(error.category, 0)
            return _may_pass(error)

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(worth_it),
            wait=_wait_as_told,
            stop=tenacity.stop_after_attempt(self._tries - 1)
            | tenacity.stop_before_delay(self._end - time.monotonic()),
            before_sleep=lambda state: self._on_retry(_failure_of(state)),
            reraise=True,
        )
        return retrying(call)


def _may_pass(error: BaseException) -> bool:
    """Tell whether another try may end otherwise; a missing right may, too, right after the server's start."""
    if isinstance(error, ClusterRefused) and not isinstance(error, Busy):
        return error.category in _DENIALS
    return isinstance(error, (ClusterUnreachable, Busy))


def _failure_of(state: Any) -> BaseException:
    failure: BaseException = state.outcome.exception()
    return failure


def _wait_as_told(state: Any) -> float:
    """Wait 1, 2, 4, 8 s with jitter, and never less than the server asked for."""
    import tenacity

    return max(_asked(_failure_of(state)), tenacity.wait_exponential_jitter(initial=1, max=15)(state))


def _asked(error: BaseException) -> float:
    return error.retry_after if isinstance(error, Busy) else 0.0
