"""Alerts, dashboard and metrics before promtool and before a real Prometheus; the command behind `scripts/alerts`.

Both take some minutes to build and are needed for nothing else, so `scripts/bed up` does not build them, and CI does
not call this: it is for whoever changes config/prometheus or a metric.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from testbed import cache, layout, packages, programs
from testbed.errors import BedError
from testbed.progress import Progress
from testbed.prometheus import try_out
from tests.support.operator_log import a_month

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "config/prometheus"
DRIVER = Path(sys.executable).parent / "kaniko-driver"
_USAGE = "Usage: scripts/alerts    (no options: tries config/prometheus and the metrics with a Prometheus)"
_VARIABLE = re.compile(r"\$__\w+")


def main() -> None:
    """Build both where they are not there, and let them look."""
    if sys.argv[1:]:
        wanted = sys.argv[1:] in (["-h"], ["--help"])
        print(_USAGE, file=sys.stdout if wanted else sys.stderr)
        sys.exit(0 if wanted else 2)
    progress = Progress()
    promtool, prometheus = (_built(one, progress) for one in (programs.PROMTOOL, programs.PROMETHEUS))
    with progress.step("promtool check rules"):
        _run(promtool, "check", "rules", "--lint=all", "--lint-fatal", CONFIG / "alerts.yaml")
    with progress.step("promtool test rules: what each alert fires at, and what it leaves alone"):
        _run(promtool, "test", "rules", ROOT / "tests/prometheus/alerts_test.yaml")
    with progress.step("promtool check metrics: what `metrics write` says of a month"):
        _run(promtool, "check", "metrics", text=_metrics())
    expressions = list(_expressions())
    with progress.step(f"promtool promql format: {len(expressions)} expressions of the dashboard"):
        for expression in expressions:
            _run(promtool, "--experimental", "promql", "format", _VARIABLE.sub("5m", expression))
    with (
        progress.step("Prometheus: scrapes, a first failure, every alert fires, the dashboard finds data"),
        tempfile.TemporaryDirectory() as folder,
    ):
        try_out(prometheus, promtool, DRIVER, CONFIG / "alerts.yaml", expressions, Path(folder))
    progress.say("promtool and Prometheus have nothing against alerts, dashboard and metrics")


def _built(program: programs.Program, progress: Progress) -> Path:
    if not program.artifact.ready:
        with cache.lock(layout.CACHE / "lock", progress, "fills the cache of built programs"):
            programs.build(program, packages.ensure_go(progress), progress)
    return program.path


def _metrics() -> str:
    with tempfile.TemporaryDirectory() as folder:
        log = a_month(Path(folder) / "driver.jsonl")
        command = (DRIVER, "metrics", "write", "-", "--log", log, "--state", Path(folder) / "state.json")
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _expressions() -> Iterator[str]:
    dashboard = json.loads((CONFIG / "grafana-dashboard.json").read_text(encoding="utf-8"))
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))


def _run(promtool: Path, *words: str | Path, text: str = "") -> None:
    done = subprocess.run((promtool, *words), input=text, capture_output=True, text=True, check=False)
    # `check metrics` says what it would have otherwise on stderr and ends well.
    if done.returncode or (words[1] == "metrics" and done.stderr.strip()):
        raise BedError(f"promtool {' '.join(map(str, words))}\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    try:
        main()
    except BedError as failure:
        print(f"scripts/alerts: {failure}", file=sys.stderr)
        sys.exit(1)
