"""The command behind `scripts/test`: linters, strict types and every kind of test, in the order of their cost."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from testbed import bed, beds, browser, layout, secondtry
from testbed.errors import BedError
from testbed.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Mapping

PROGRAMS = Path(sys.executable).parent
UNREACHABLE = 3
"""Exit code of scripts/audit where nobody could be asked."""
MOST_WORKERS = 4
KINDS = ("lint", "unit", "contract", "cluster")

LINTERS = (
    ("ruff", "check", "--quiet", "."),
    ("ruff", "format", "--check", "--quiet", "."),
    ("mypy",),
    ("lint-imports",),
)

HELP = """
Run the project's checks and tests; without arguments all of them.

\b
lint      style, strict types, who may import whom, and known holes in dependencies
unit      pure functions and the in-pod programs; three minutes, no root
contract  the stage commands, called as GitLab Runner calls them; two or three minutes, no root
cluster   real jobs on the test bed; needs root and Linux, and builds the bed when it is not there

Ends at the first kind that fails. Cluster tests leave the bed down, unless it was up before or --keep is given.
With --beds 2 they run side by side on two beds, file by file: half the time, and 2 GB of memory more.
Up to three of them that fail are run once more, alone; those that pass then are named at the end: unsteady, to mend.
"""
# File by file, because fixtures are often made once a file. In the order of their names, not of their numbers of
# tests: the longest file has a single one and would come last.
SIDE_BY_SIDE = ("--dist=loadfile", "--no-loadscope-reorder")


@click.command(help=HELP, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.argument("kinds", nargs=-1, type=click.Choice([*KINDS, "all"]), metavar="[lint|unit|contract|cluster|all]...")
@click.option("--keep", is_flag=True, help="Leave the test bed up when it was this command that started it.")
@click.option(
    "--beds", "count", type=click.IntRange(1, 4), default=1, help="Test beds to run cluster tests on at once."
)
@click.option("-k", "expression", default="", help="Only tests whose names match, as in pytest.")
def main(kinds: tuple[str, ...], *, keep: bool, count: int, expression: str) -> None:
    """Carry out the chosen kinds in their order."""
    progress = Progress()
    wanted = [kind for kind in KINDS if not kinds or "all" in kinds or kind in kinds]
    try:
        for kind in wanted:
            if kind == "lint":
                _lint(progress)
            elif kind == "cluster":
                _on_the_bed(progress, expression, keep=keep, count=count)
            else:
                _build_cache_registry(progress)
                _pytest(progress, kind, expression, workers=min(os.cpu_count() or 1, MOST_WORKERS))
    except BedError as error:
        sys.exit(f"scripts/test: {error}")
    progress.say(f"passed: {', '.join(wanted)}")


def _lint(progress: Progress) -> None:
    for program, *arguments in LINTERS:
        with progress.step(" ".join((program, *arguments))):
            _run([str(PROGRAMS / program), *arguments])
    with progress.step("audit of what is locked"):
        done = subprocess.run(["scripts/audit"], capture_output=True, text=True, check=False)
    if done.returncode == UNREACHABLE:
        # Neither good nor bad, and no reason to stop work in a network without advisories; nobody shall overlook it.
        progress.say(f"WARNING: {done.stderr.strip().splitlines()[-1]}")
    elif done.returncode:
        sys.exit(f"scripts/test: scripts/audit found something:\n{done.stderr}")


def _pytest(progress: Progress, kind: str, expression: str, *, workers: int) -> None:
    progress.say(f"{kind} tests")
    _run(_tests(kind, expression, workers=workers))


def _tests(kind: str, expression: str, *, workers: int) -> list[str]:
    selection = ["-k", expression] if expression else []
    spread = [f"--numprocesses={workers}", *SIDE_BY_SIDE] if workers > 1 else []
    return [str(PROGRAMS / "pytest"), f"tests/{kind}", *spread, *selection]


def _build_cache_registry(progress: Progress) -> None:
    """Build it now and not with the bed, which takes as long: its tests are skipped without."""
    try:
        bed.build_cache_registry(progress)
    except BedError as error:
        progress.say(f"WARNING: the tests of the cache registry are skipped: {error}")


def _on_the_bed(progress: Progress, expression: str, *, keep: bool, count: int) -> None:
    was_up = layout.NAMESPACE_PATH.exists()
    with progress.step("looking for a browser"):
        browser.install()
    bed.up(progress)
    try:
        # The tests enter their bed by themselves, and bring up those beside the first.
        progress.say("cluster tests")
        everything, alone = (_tests("cluster", expression, workers=workers) for workers in (count, 1))
        for test in secondtry.run(everything, alone, _call):
            progress.say(f"WARNING: unsteady, passed only at its second try: {test}")
    finally:
        if not keep:
            with progress.step("taking the test bed down"):
                if not was_up:
                    bed.down(progress)
                for further in range(1, count):
                    # Nobody looks at those between two runs; what a killed test left goes with their data.
                    _run(["scripts/bed", "down", "--purge"], beds.environment(further))


def _run(command: list[str], settings: Mapping[str, str] | None = None) -> None:
    code = _call(command, settings)
    if code:
        raise BedError(f"{' '.join(command)} failed with exit code {code}")


def _call(command: list[str], settings: Mapping[str, str] | None = None) -> int:
    # No stale byte code and no colours in a CI log; the tests see the same environment everywhere.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **(settings or {})}
    return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    main(prog_name="scripts/test")
