"""Beds beside the first one, for tests that run side by side: each worker of pytest-xdist has a bed of its own.

Imports nothing of the bed: `layout` reads its name when it is imported, so this must be asked before.
"""

from __future__ import annotations

import os

WORKER = "PYTEST_XDIST_WORKER"
"""In the environment of a worker: gw0, gw1 and so on."""


def environment(number: int) -> dict[str, str]:
    """Return what names a bed; 0 is the one that this process's environment names."""
    if number == 0:
        return {}
    name = os.environ.get("KANIKO_BED_NAME") or "kaniko-bed"
    state = os.environ.get("KANIKO_BED_STATE")
    folder = {"KANIKO_BED_STATE": f"{state}-{number + 1}"} if state else {}
    return {"KANIKO_BED_NAME": f"{name}-{number + 1}", **folder}


def choose() -> None:
    """Let this worker's environment name its own bed; outside of workers nothing changes."""
    worker = os.environ.get(WORKER, "gw0")
    os.environ.update(environment(int(worker.removeprefix("gw"))))
