"""The command line of the bench, `scripts/bench`: brings the bed up, measures, shows, and leaves nothing behind."""

from __future__ import annotations

import compileall
import json
import math
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console

import executor
from testbed import bed, ci, layout, network
from testbed.bench import host
from testbed.bench.cache import cache
from testbed.bench.ground import prepared
from testbed.bench.measures import LONG, MEASURES
from testbed.bench.plot import svg
from testbed.bench.report import document
from testbed.bench.samples import Samples, merge
from testbed.bench.table import table
from testbed.cache import remove
from testbed.errors import BedError
from testbed.paths import FilePath
from testbed.progress import Progress

FOLDER = layout.STATE / "bench"
FILE, WRITTEN = FilePath(dir_okay=False), FilePath(dir_okay=False, exists=True)
HELP = """
Measure the driver on the test bed, beside the built-in Kubernetes executor of the same gitlab-runner.

Both take the same jobs in turn, with the same images, requests and limits, on the same node, so that whatever
else this machine does meets both. Absolute times are those of a small machine: the ratios are what counts.

\b
job     a trivial job with a git clone, cold and with a warm pod: hand-out to script and to end; API requests
stages  wall time, CPU and memory of each stage process; start of `run` to the script's first byte
twenty  twenty jobs at once: script starts, makespan, CPU and memory of the runner and all below it
log     200 MB through one stage; how soon lines arrive under one and under twenty streams
build   the sample's build, empty and full layer cache, beside Kaniko alone in a bare pod

\b
Try:
  scripts/bench --only job --rounds 3
  scripts/bench --json figures.json --svg figures.svg
  scripts/bench --show figures.json --markdown
  scripts/bench cache --help      the layer cache alone: no cache, cold, warm, a local directory

It ends with exit code 1 when a job fails, since then nothing that was measured means anything. The bed is left as
it was found, up or down, but for the first tenant's layer cache, which `build` empties.
"""


@click.command(help=HELP, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--json", "json_file", type=FILE, help="Write medians and all samples to this file.")
@click.option("--svg", "svg_file", type=FILE, help="Draw the figures that both executors have.")
@click.option(
    "--rounds",
    type=click.IntRange(1),
    default=5,
    show_default=True,
    help="How often to measure each thing; a third of that for `twenty` and `build`.",
)
@click.option(
    "--only",
    type=click.Choice(list(MEASURES)),
    multiple=True,
    help="Measure this alone; may be given several times.",
)
@click.option(
    "--show",
    type=WRITTEN,
    help="Measure nothing: show what an earlier run wrote with --json.",
)
@click.option("--markdown", is_flag=True, help="Print the table as Markdown.")
def main(
    *,
    json_file: Path | None,
    svg_file: Path | None,
    rounds: int,
    only: tuple[str, ...],
    show: Path | None,
    markdown: bool,
) -> None:
    """Measure, and show what was measured."""
    if show:
        found = json.loads(show.read_text())
        samples, machine, when = found["samples"], found["host"], datetime.fromtimestamp(show.stat().st_mtime, UTC)
    else:
        samples, machine, when = on_the_bed(only or tuple(MEASURES), rounds), host.size(), datetime.now(UTC)
    Console(highlight=False, width=None if sys.stdout.isatty() else 160).print(table(samples, markdown=markdown))
    if json_file:
        json_file.write_text(json.dumps(document(samples, machine), indent=1) + "\n")
    if svg_file:
        where = f"kaniko-driver, {when:%Y-%m-%d}, {machine['cpus']:.0f} processors, {machine['memory_gb']:.0f} GB"
        svg_file.write_text(svg(samples, where))


def on_the_bed(wanted: tuple[str, ...], rounds: int) -> Samples:
    """Bring the bed up, measure, and leave the bed as it was found."""
    progress = Progress()
    was_up = network.exists()
    bed.up(progress)
    try:
        bed.enter_namespace()
        ci.delete_job_pods()  # of a run that was killed
        return measure(wanted, rounds, progress)
    finally:
        if not was_up:
            bed.down(progress)


def measure(wanted: tuple[str, ...], rounds: int, progress: Progress) -> Samples:
    """Take the measures in their order."""
    samples: Samples = {}
    remove(FOLDER)
    # An installed driver has bytecode; this environment may be told to write none.
    compileall.compile_dir(Path(executor.__file__).parent, quiet=1)
    with prepared(FOLDER, progress) as ground:
        for name, take in MEASURES.items():
            if name in wanted:
                merge(samples, {"load_average": [host.load()]})
                with progress.step(f"measuring: {name}"):
                    merge(samples, take(ground, math.ceil(rounds / 3) if name in LONG else rounds))
    # Kept when something failed: it holds the logs.
    remove(FOLDER)
    return samples


if __name__ == "__main__":
    # Ends as by Ctrl-C: what was made in the cluster is deleted on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        if sys.argv[1:2] == ["cache"]:
            cache(sys.argv[2:], prog_name="scripts/bench cache")
        else:
            main(prog_name="scripts/bench")
    except BedError as error:
        print(f"bench: {error}", file=sys.stderr)
        if FOLDER.exists():
            print(f"bench: logs are in {FOLDER}", file=sys.stderr)
        sys.exit(1)
