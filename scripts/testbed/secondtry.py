"""A second try for the few cluster tests that failed: alone, with everything else over.

Two clusters and forty jobs share the processors of one machine, and a test may find a bound too short that holds for
every user. Its first failure stays in the log and its name is told at the end, so that it is mended and not forgotten;
what fails alone as well is a failure like any other.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.errors import BedError

if TYPE_CHECKING:
    from collections.abc import Callable

MOST = 3
"""More than these did not fail by chance."""
FAILED = 1
"""pytest's exit code where tests failed; others say that it could not run them."""


def run(first: list[str], again: list[str], call: Callable[[list[str]], int], folder: Path = Path()) -> list[str]:
    """Run pytest, and what failed once more.

    Args:
        first: the command for all tests.
        again: the command for those that failed; may spread them in another way.
        call: runs a command and returns its exit code.
        folder: pytest's root, where it remembers what failed.

    Returns:
        The ids of those that passed only at their second try.

    Raises:
        BedError: a test failed twice, too many failed, or pytest could not run.
    """
    command = [*first, "--cache-clear"]
    code = call(command)
    if code == 0:
        return []
    failed = _failed(folder) if code == FAILED else []
    if 0 < len(failed) <= MOST:
        command = [*again, "--last-failed"]
        code = call(command)
        if code == 0:
            return failed
    raise BedError(f"{' '.join(command)} failed with exit code {code}")


def _failed(folder: Path) -> list[str]:
    remembered: dict[str, bool] = json.loads((folder / ".pytest_cache/v/cache/lastfailed").read_text())
    return sorted(remembered)
