"""A job starts up to thirteen stages, so each imports only what it needs. Figures are in docs; names are held here."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

LIST = "import json, sys, {module}; print(json.dumps(sorted(sys.modules)))"
HEAVY = ("kubernetes", "boto3", "botocore", "structlog", "rich", "requests", "urllib3", "asyncio", "importlib.metadata")
# Frozen dataclasses come from executor/values.py; typing is needed where settings are read, and nowhere else.
COSTLY = ("dataclasses", "inspect", "logging", "subprocess", "tempfile", "traceback", "pathlib")


def imported(module: str) -> list[str]:
    """Return what is imported beside what Python itself needs to start."""
    text = subprocess.run(
        # Isolated from the environment; the .pth file of the editable install is Python's own business.
        [sys.executable, "-I", "-c", LIST.format(module=module)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    names: list[str] = json.loads(text)
    return names


def unwanted(module: str, *names: str) -> list[str]:
    return [one for one in imported(module) if any(one == name or one.startswith(f"{name}.") for name in names)]


@pytest.mark.parametrize(
    ("module", "never"),
    [
        (
            "executor.stages.run",
            (
                *(
                    "typing",
                    "random",
                    "secrets",
                    "http.client",
                    "websocket",
                    "click",
                    "yaml",
                    "tomllib",
                    "tenacity",
                    "msgspec",
                ),
                *(
                    "urllib.parse",
                    "urllib.request",
                    "executor.diagnosis",
                    "executor.stages.summary",
                    "executor.stages.keeping",
                    "executor.stages.servicelogs",
                    "threading",
                ),
            ),
        ),
        ("executor.stages.prepare", ("typing", "random", "email", "yaml", "click", "tenacity", "websocket", "tomllib")),
        ("executor.stages.cleanup", ("typing", "random", "email", "yaml", "click", "tenacity", "websocket", "tomllib")),
        ("executor.stages.config", ("yaml", "click", "tenacity", "websocket", "http.client")),
        ("executor.stages.entry", ("executor.stages.run", "executor.stages.prepare", "executor.stages.config", "ssl")),
        ("executor.cli", ("executor.operate", "click", "ssl", "typing")),
    ],
)
def test_a_stage_imports_no_more_than_it_needs(module: str, never: tuple[str, ...]) -> None:
    assert unwanted(module, *HEAVY, *COSTLY, *never) == []


def test_what_runs_in_the_pod_is_read_without_what_unpacks_packages() -> None:
    rendered = "executor.pod.programs; executor.pod.programs.install_command({})"
    assert unwanted(rendered, "importlib.resources", *COSTLY) == []
