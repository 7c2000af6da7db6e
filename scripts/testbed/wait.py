"""Wait for a condition. The only place in the test bed that sleeps."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from testbed.errors import BedError

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")
PERIOD = 0.05


def wait_for(
    what: str,
    condition: Callable[[], Result | None],
    timeout: float,
    alive: Callable[[], None] | None = None,
) -> Result:
    """Return the first truthy result of `condition`, asked 20 times a second.

    Args:
        what: names the thing waited for, as it should stand in the error.
        condition: an OSError (connection refused, no such file) counts as "not yet".
        timeout: seconds.
        alive: raises BedError when waiting has become pointless, for example because the process died.

    Raises:
        BedError: not within `timeout` seconds; carries the last OSError, if any.
    """
    end = time.monotonic() + timeout
    trouble = ""
    while True:
        try:
            result = condition()
        except OSError as error:
            trouble = f" (last: {error})"
        else:
            trouble = ""
            if result:
                return result
        if alive is not None:
            alive()
        if time.monotonic() >= end:
            raise BedError(f"{what}: not within {timeout:g} s{trouble}")
        time.sleep(PERIOD)
