"""The command line of the bench, as far as it needs no bed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from click.testing import CliRunner

from testbed.bench.__main__ import main
from testbed.bench.measures import LONG, MEASURES
from testbed.bench.report import document

if TYPE_CHECKING:
    from pathlib import Path


def test_help_names_every_measure() -> None:
    text = CliRunner().invoke(main, ["--help"]).output
    assert all(f"\n  {name} " in text for name in MEASURES)
    assert set(MEASURES) >= LONG


def test_an_unknown_measure_is_refused_with_the_known_ones() -> None:
    result = CliRunner().invoke(main, ["--only", "everything"])
    assert result.exit_code == 2
    assert "twenty" in result.output


def test_an_earlier_run_is_shown_and_drawn_without_measuring(tmp_path: Path) -> None:
    samples = {"finish_seconds.builtin": [5.0], "finish_seconds.cold": [2.0]}
    earlier, again, plot = tmp_path / "earlier.json", tmp_path / "again.json", tmp_path / "plot.svg"
    earlier.write_text(json.dumps(document(samples, {"cpus": 2.0, "memory_gb": 25.2})))
    words = ["--show", str(earlier), "--markdown", "--json", str(again), "--svg", str(plot)]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    assert "| handed out → finished (s)" in result.output
    assert json.loads(again.read_text()) == json.loads(earlier.read_text())
    assert "2 processors, 25 GB" in plot.read_text()
