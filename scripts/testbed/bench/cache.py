"""`scripts/bench cache`: what the layer cache costs a cold build and saves a warm one, and what Kaniko's flags do.

The sample is built by jobs of the driver, in pods of their own; what counts is the time of the executor alone. Beside
them stands Kaniko with its cache in a local directory (`--cache-repo=oci:…`), which needs no network at all.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING, Any

import click

from testbed import bed, ci, layer_cache, layout, network
from testbed.bench import clock
from testbed.bench.ground import write_settings
from testbed.cache import remove
from testbed.errors import BedError
from testbed.joblog import plain
from testbed.paths import callers_folder
from testbed.progress import Progress
from testbed.wait import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.coordinator_job import JobResult

FOLDER = layout.STATE / "bench-cache"
TENANT = layout.TENANTS[0]
PATIENCE = 300.0  # seconds for one job
LOCAL = "--cache=true --cache-repo=oci:/builds/layers"
HALF_A_MINUTE = 100_000_000
"""Makes the sample's long step take as long as a small compilation does; in the demo it is a fifth of that."""
VARIANTS = {
    "as the driver does": "",
    "--compressed-caching=true": "--compressed-caching=true",
    "--cache-copy-layers=true": "--cache-copy-layers=true",
    "--snapshot-mode=redo": "--snapshot-mode=redo",
    "--snapshot-mode=time": "--snapshot-mode=time",
    "--use-new-run": "--use-new-run=true",
}
"""Name of a row -> flags, which win over the driver's own."""


@dataclass(frozen=True)
class Build:
    """One build: seconds of the executor, and what the driver's own figures say."""

    seconds: float
    figures: dict[str, int]

    @property
    def requests(self) -> int:
        """Requests to S3."""
        return self.figures.get("cache_requests", 0)

    @property
    def processor(self) -> float:
        """Seconds of processor time, which other work of the machine changes less."""
        return self.figures.get("cpu_ms", 0) / 1000

    @property
    def memory(self) -> float:
        """MB that programs held at the most."""
        return self.figures.get("programs_bytes", 0) / 1e6


class Builds:
    """Builds of the sample, one after another."""

    def __init__(self, gitlab: ci.Ci, log: Path, progress: Progress, *, limit: int) -> None:
        self._gitlab, self._log, self._progress = gitlab, log, progress
        self._limit = f"--build-arg LIMIT={limit}"

    def build(self, what: str, flags: str = "", *, before: str = "") -> Build:
        """Build the sample with further flags; `before` is run first and not counted.

        Raises:
            BedError: the job failed.
        """
        spec = ci.sample_job(TENANT)
        executor = " ".join((spec.script[1], self._limit, flags))
        script = (before.replace("EXECUTOR", executor) or "true", clock.mark("begin"), executor, clock.mark("end"))
        with self._progress.step(f"the sample's build, {what}"):
            job = self._gitlab.coordinator.submit(replace(spec, script=script, after_script=(), artifacts=()))
            result = job.wait(PATIENCE)
            if result.state != "success":
                raise BedError(f"the build failed; the end of its log:\n{plain(result.trace)[-2000:]}")
            # Its end must not disturb the next one.
            wait_for("the end of the job's pod", lambda: not ci.all_job_pods(), 120)
        return Build(clock.between(result.trace, "begin", "end"), self._figures(result))

    def _figures(self, result: JobResult) -> dict[str, int]:
        found: dict[str, int] = {}
        for line in self._log.read_text().splitlines():
            entry: dict[str, Any] = json.loads(line)
            if entry.get("event") == "resources used" and entry.get("job") == result.ident:
                found |= {name: value for name, value in entry.items() if isinstance(value, int)}
        return found


def compare(builds: Builds, rounds: int) -> dict[str, Any]:
    """Build without a cache, cold, warm, and warm from a local directory, in turn."""
    kinds: dict[str, list[Build]] = {"no_cache": [], "cold": [], "warm": [], "local_cache": []}
    for _ in range(rounds):
        layer_cache.empty(TENANT)
        kinds["no_cache"].append(builds.build("no layer cache", "--cache=false"))
        kinds["cold"].append(builds.build("empty layer cache"))
        kinds["warm"].append(builds.build("full layer cache"))
        fill = "EXECUTOR --cleanup >/dev/null 2>&1"
        kinds["local_cache"].append(builds.build("full local cache", LOCAL, before=fill))
    layer_cache.empty(TENANT)
    return document(kinds)


def document(kinds: dict[str, list[Build]]) -> dict[str, Any]:
    """Put the medians together."""
    seconds = {f"{kind}_seconds": round(median(one.seconds for one in found), 2) for kind, found in kinds.items()}
    requests = {kind: round(median(one.requests for one in kinds[kind])) for kind in ("cold", "warm")}
    # The local cache is filled in the same pod, whose processor time says nothing of the build alone.
    counted = (kind for kind in kinds if kind != "local_cache")
    processor = {kind: round(median(one.processor for one in kinds[kind]), 1) for kind in counted}
    samples = {kind: [round(one.seconds, 2) for one in found] for kind, found in kinds.items()}
    return {**seconds, "cpu_seconds": processor, "s3_requests": requests, "samples": samples}


def flags(builds: Builds, rounds: int) -> list[dict[str, Any]]:
    """Build cold and warm with each variant of flags, in turn."""
    found: dict[str, tuple[list[Build], list[Build]]] = {name: ([], []) for name in VARIANTS}
    for _ in range(rounds):
        for name, words in VARIANTS.items():
            layer_cache.empty(TENANT)
            found[name][0].append(builds.build(f"{name}, cold", words))
            found[name][1].append(builds.build(f"{name}, warm", words))
    layer_cache.empty(TENANT)
    return [
        {
            "flags": name,
            "cold_seconds": round(median(one.seconds for one in cold), 2),
            "warm_seconds": round(median(one.seconds for one in warm), 2),
            "cold_cpu_seconds": round(median(one.processor for one in cold), 1),
            "warm_cpu_seconds": round(median(one.processor for one in warm), 1),
            "memory_mb": round(median(one.memory for one in cold)),
        }
        for name, (cold, warm) in found.items()
    ]


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True, help="How often to build each.")
@click.option(
    "--json", "target", is_flag=False, flag_value="-", default="", metavar="[FILE]", help="Print, or write, JSON."
)
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=HALF_A_MINUTE,
    show_default=True,
    help="How long the sample's long step takes: up to which number it looks for records. 20000000 in the demo.",
)
@click.option("--flags", "of_flags", is_flag=True, help="Compare flags of Kaniko instead.")
def cache(*, rounds: int, target: str, limit: int, of_flags: bool) -> None:
    """Measure the layer cache by builds of the sample.

    Without a cache, with an empty one, with a full one, and with a full one in a local directory of the pod; and how
    many requests to S3 that takes. Each kind is built in turn; medians are shown.
    """
    progress = Progress()
    was_up = network.exists()
    bed.up(progress)
    try:
        bed.enter_namespace()
        ci.delete_job_pods()  # of a run that was killed
        remove(FOLDER)
        settings = write_settings(FOLDER / "settings")
        with ci.at_work(FOLDER / "ci", tenants=[TENANT], settings=settings) as gitlab:
            ci.commit_sample(gitlab.coordinator)
            builds = Builds(gitlab, settings / "driver.jsonl", progress, limit=limit)
            found = flags(builds, rounds) if of_flags else compare(builds, rounds)
            gitlab.runner.check()
        remove(FOLDER)
    finally:
        if not was_up:
            bed.down(progress)
    if target == "-":
        click.echo(json.dumps(found))
        return
    if target:
        (callers_folder() / target).write_text(json.dumps(found) + "\n")
    click.echo(in_words(found))


def in_words(found: Any) -> str:
    """Make lines for people."""
    if isinstance(found, list):
        form = "{flags:28} {cold_seconds:6} {cold_cpu_seconds:6} {warm_seconds:6} {warm_cpu_seconds:6} {memory_mb:7}"
        head = f"{'flags':28} {'cold s':>6} {'CPU s':>6} {'warm s':>6} {'CPU s':>6} {'MB':>7}"
        return "\n".join([head, *(form.format(**one) for one in found)])
    none, cold, warm, local = (found[f"{kind}_seconds"] for kind in ("no_cache", "cold", "warm", "local_cache"))
    requests, cpu = found["s3_requests"], found["cpu_seconds"]
    rows = (
        ("no cache", none, cpu["no_cache"], ""),
        ("cold", cold, cpu["cold"], f"{cold / none:.2f} of no cache, {requests['cold']} requests to S3"),
        ("warm", warm, cpu["warm"], f"{cold / warm:.1f} times faster than cold, {requests['warm']} requests to S3"),
        ("local, warm", local, "", f"warm is {warm / local:.2f} of it"),
    )
    return "\n".join([f"{'':12} {'s':>6} {'CPU s':>6}", *("{:12} {:6} {:>6}   {}".format(*row) for row in rows)])
