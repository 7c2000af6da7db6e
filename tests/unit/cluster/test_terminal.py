"""How a command in a pod ended is its own exit code, and nothing else is taken for one."""

from __future__ import annotations

import pytest

from executor.cluster.terminal import exit_code
from executor.errors import ClusterRefused


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (b'{"metadata":{},"status":"Success"}', 0),
        (
            b'{"status":"Failure","reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"7"}]}}',
            7,
        ),
        (b'{"status":"Failure","details":{"causes":[{"reason":"X"},{"reason":"ExitCode","message":"137"}]}}', 137),
    ],
)
def test_the_commands_own_code_is_read(status: bytes, code: int) -> None:
    assert exit_code(status) == code


@pytest.mark.parametrize(
    "status",
    [
        b'{"status":"Failure","message":"exec: \\"nothing\\": executable file not found in $PATH","code":500}',
        b'{"status":"Failure","message":"not found","details":{"causes":[{"reason":"ExitCode","message":"x"}]}}',
        b"not found",
    ],
)
def test_a_command_that_could_not_start_is_told(status: bytes) -> None:
    with pytest.raises(ClusterRefused, match="could not be run") as refused:
        exit_code(status)
    assert "not found" in refused.value.why
