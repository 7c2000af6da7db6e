"""doctor where somebody ends it: what was not checked is no verdict."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from executor.operate.checkup import findings
from executor.operate.commands import cli
from tests.support.tenants import write_settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """Put back what doctor makes of signals: elsewhere it has a process of its own."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("output", ["text", "json"])
def test_who_interrupts_it_is_told_of_no_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, output: str
) -> None:
    def run(_: object) -> Iterator[findings.Finding]:
        os.kill(os.getpid(), number)
        yield findings.good("cluster", "answers")

    monkeypatch.setattr(findings, "run", run)

    done = CliRunner().invoke(cli, ["doctor", "--settings", write_settings(tmp_path / "s"), "--output", output])

    assert done.exit_code == 1
    assert "interrupted" in done.stderr
    assert "ready" not in done.stdout
