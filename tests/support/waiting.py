"""The one place of the driver's tests that sleeps, and only until a condition holds."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS = 60.0
"""Bound of every wait; a loaded machine is no failure."""
_PERIOD = 0.005


def until(what: str, condition: Callable[[], object], seconds: float = SECONDS) -> None:
    """Return once the condition holds; an OSError counts as "not yet".

    Raises:
        AssertionError: it does not within `seconds`.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return
        except OSError:
            pass
        assert time.monotonic() < end, f"{what}: not within {seconds:g} s"
        time.sleep(_PERIOD)
