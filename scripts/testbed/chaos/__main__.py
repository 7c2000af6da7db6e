"""The command line of `scripts/chaos`."""

from __future__ import annotations

import json
import signal
import sys
from typing import TYPE_CHECKING

import click
from rich import box
from rich.console import Console
from rich.table import Table

from testbed import bed, ci, layout, network
from testbed.cache import remove
from testbed.chaos.ground import prepared, release
from testbed.chaos.judge import Row
from testbed.chaos.play import order, play
from testbed.errors import BedError
from testbed.paths import FilePath
from testbed.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from testbed.chaos.story import Story

FOLDER = layout.STATE / "chaos"
FILE, WRITTEN = FilePath(dir_okay=False), FilePath(dir_okay=False, exists=True)
HELP = """
Let faults meet real jobs on the test bed, one after the other, and count what became of them.

API server, etcd, kubelet, container runtime, node, packets, pods, memory, disk, S3, registry, git, runner, driver,
clock and credentials break in each stage of a job, in an order that the seed decides. Every job counts lines in its
script and in after_script, so that a lost or doubled one is seen.

\b
injected       the fault met the job in that stage
outcome_right  the job ended as it has to: well, or failed by whose fault it was
log_exact      every line is there, once and in order
explained      a failure has its cause in the job log, and its category in the operator log
leftovers      pods and Secrets of the job a minute after its end (after their deadline and a sweep, where the fault
               killed whoever would have deleted them)

\b
Try:
  scripts/chaos --seed 7 --minutes 60 --json chaos.json
  scripts/chaos --short
  scripts/chaos --show chaos.json --markdown

It ends with exit code 1 when one row is not as it has to be. The bed is left as it was found, up or down.
"""


@click.command(help=HELP, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--seed", type=int, default=1, show_default=True, help="Decides order and chance.")
@click.option("--minutes", type=click.FloatRange(min=0.1), default=60.0, show_default=True, help="How long to go on.")
@click.option("--short", is_flag=True, help="A dozen faults, once each: what CI runs, in less than five minutes.")
@click.option("--only", default="", help="Only faults whose name has this in it.")
@click.option("--json", "json_file", type=FILE, help="Write all rows to this file, as they come.")
@click.option("--resume", is_flag=True, help="Go on where the run that wrote the --json file was interrupted.")
@click.option(
    "--show",
    type=WRITTEN,
    help="Break nothing: show what an earlier run wrote with --json.",
)
@click.option("--markdown", is_flag=True, help="Print the table as Markdown.")
def main(  # noqa: PLR0913 - each option is an argument
    *,
    seed: int,
    minutes: float,
    short: bool,
    only: str,
    json_file: Path | None,
    resume: bool,
    show: Path | None,
    markdown: bool,
) -> None:
    """Break things, and show what became of it."""
    if resume and not json_file:
        raise click.UsageError("--resume needs --json FILE, the file of the run to go on with.")
    if show:
        rows = read(show)
    else:
        done = read(json_file) if resume and json_file else []
        told = order(seed, short=short, only=only, done=done)
        rows = on_the_bed(told, done, seed=seed, seconds=minutes * 60, json_file=json_file)
    Console(highlight=False, width=None if sys.stdout.isatty() else 140).print(table(rows, markdown=markdown))
    if not all(row.good for row in rows):
        sys.exit(1)


def read(file: Path) -> list[Row]:
    """Read what a run wrote."""
    return [Row(**one) for one in json.loads(file.read_text())]


def on_the_bed(
    told: Iterator[Story], done: list[Row], *, seed: int, seconds: float, json_file: Path | None
) -> list[Row]:
    """Bring the bed up, break it for a while, and leave it as it was found; `done` are rows of earlier."""
    progress = Progress()
    was_up = network.exists()
    bed.up(progress)
    rows = list(done)

    def tell(row: Row) -> None:
        rows.append(row)
        progress.say(f"{'good' if row.good else 'BAD '} {row.as_json()}")
        if json_file:
            json_file.write_text(json.dumps([one.as_json() for one in rows], indent=1) + "\n")

    try:
        bed.enter_namespace()
        ci.delete_job_pods()  # of a run that was killed
        release(FOLDER)
        remove(FOLDER)
        with prepared(FOLDER, seed, progress) as ground:
            play(ground, told, seconds, tell)
    finally:
        if not was_up:
            bed.down(progress)
    return rows


def table(rows: list[Row], *, markdown: bool) -> Table:
    """One line for each fault and stage; several tellings of one story are added up."""
    result = Table(box=box.MARKDOWN if markdown else box.HEAVY_HEAD)
    for heading in ("fault", "stage", "times", "injected", "outcome right", "log exact", "explained", "leftovers"):
        result.add_column(heading, justify="left" if heading in {"fault", "stage"} else "right")
    grouped: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        grouped.setdefault((row.fault, row.stage), []).append(row)
    for (fault, stage), same in sorted(grouped.items()):
        figures = [
            sum(getattr(row, name) for row in same) for name in ("injected", "outcome_right", "log_exact", "explained")
        ]
        result.add_row(fault, stage, str(len(same)), *map(str, figures), str(sum(row.leftovers for row in same)))
    return result


if __name__ == "__main__":
    # Ends as by Ctrl-C: what was started is ended on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        main(prog_name="scripts/chaos")
    except BedError as error:
        print(f"chaos: {error}", file=sys.stderr)
        sys.exit(1)
