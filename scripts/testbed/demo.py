"""The demo: three real jobs, from an empty cache to a table of what happened, and a non-zero exit if it was not so.

`scripts/demo` is the way in. It promises: the first build fills the tenant's cache, the second takes every cacheable
instruction from it in a new pod, the other tenant builds on its own node from its own empty cache, no pod is left.
"""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from testbed import bed, ci, kaniko_log, layer_cache, layout, network, registry, runner_image, runner_pod
from testbed.cache import remove
from testbed.errors import BedError
from testbed.joblog import COLOUR, Unstamped, plain, section
from testbed.progress import Progress
from testbed.wait import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.coordinator_job import JobResult, SubmittedJob
    from testbed.layout import Tenant

FOLDER = layout.STATE / "demo"
TENANT_A, TENANT_B = layout.TENANTS
NODE_OF = {TENANT_A: "node1", TENANT_B: "node2"}
SILENCE = 180.0  # seconds without a line after which the runner or the driver must be dead
CLEANUP_TIMEOUT = 60.0  # seconds; the driver deletes a pod without waiting for its node to let go of it


@dataclass(frozen=True)
class Story:
    """One job of the demo; `cached` says where its cacheable instructions must come from."""

    title: str
    tenant: Tenant
    cached: bool


@dataclass(frozen=True)
class Outcome:
    """What became of a job."""

    story: Story
    result: JobResult
    node: str
    hits: int
    misses: int
    digest: str

    @property
    def start_latency(self) -> float | None:
        """Seconds from the hand-out of the job to the first byte of its script."""
        script = section(self.result.trace, "step_script")
        begun, handed_out = script and script.first_output, self.result.timings.handed_out
        return (begun - handed_out).total_seconds() if begun and handed_out else None

    @property
    def build_time(self) -> float | None:
        """Seconds that the script took."""
        script = section(self.result.trace, "step_script")
        return (script.ended - script.started).total_seconds() if script and script.ended else None

    def problems(self, cacheable: int) -> list[str]:
        """In which ways it is not what was promised."""
        wanted = cacheable if self.story.cached else 0
        promises = {
            f"it ended as {self.result.state}, exit code {self.result.exit_code} ({self.result.failure_reason})": (
                self.result.state == "success"
            ),
            "its log did not arrive complete": self.result.trace_complete,
            f"it ran on {self.node}, not on {NODE_OF[self.story.tenant]}": self.node == NODE_OF[self.story.tenant],
            "it was built without looking into the cache": self.hits + self.misses > 0,
            f"{self.hits} of {cacheable} cacheable instructions came from the cache, not {wanted}": self.hits == wanted,
            "its image is not in the registry under the digest that Kaniko reported": self.digest != "",
        }
        return [f"{self.story.title}: {problem}" for problem, kept in promises.items() if not kept]


STORIES = (
    Story("1 tenant-a, empty cache", TENANT_A, cached=False),
    Story("2 tenant-a, again", TENANT_A, cached=True),
    Story("3 tenant-b, empty cache", TENANT_B, cached=False),
)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--keep", is_flag=True, help="Leave the bed up afterwards, for playing with it.")
@click.option("--down", is_flag=True, help="Remove the bed and its data, and do nothing else.")
@click.option(
    "--runner",
    is_flag=True,
    help="Then build the runner's own image by a job, and let that runner take a job inside the cluster. About a "
    "minute more, and once some minutes; needs the Python package index.",
)
def main(keep: bool, down: bool, runner: bool) -> None:  # noqa: FBT001 - options of a command line are flags
    """Set up a two-node cluster on this machine and build images in it through gitlab-runner and the driver.

    The first run builds Kubernetes, Kaniko and the rest from source, which takes a while; what was built is kept.
    """
    progress = Progress()
    if down:
        take_down(progress)
        return
    was_up = network.exists()
    bed.up(progress)
    try:
        show(progress, with_runner=runner)
    finally:
        if keep or was_up:
            progress.say("the bed stays up: `scripts/bed kubectl get pods -A`; `scripts/demo --down` removes it")
        else:
            take_down(progress)


def show(progress: Progress, *, with_runner: bool = False) -> None:
    """Run the jobs one after another and say what happened.

    Raises:
        BedError: something is not as promised; the table is printed before.
    """
    bed.enter_namespace()
    remove(FOLDER)
    if deleted := ci.delete_job_pods():
        progress.say(f"deleted {deleted} pods of an earlier run")
    for tenant in layout.TENANTS:
        if deleted := layer_cache.empty(tenant):
            progress.say(f"emptied the layer cache of {tenant.name} ({deleted} objects)")
    console = Console(highlight=False)
    with ci.at_work(FOLDER, port=layout.COORDINATOR_PORT) as running:
        commit = ci.commit_sample(running.coordinator)
        progress.say(f"the sample is commit {commit[:8]}; GitLab's part is played at {running.coordinator.url}")
        outcomes = [run(story, running, progress, console) for story in STORIES]
        cacheable = kaniko_log.cacheable((ci.SAMPLE / "Dockerfile").read_text())
        problems = [problem for outcome in outcomes for problem in outcome.problems(cacheable)]
        if with_runner:
            problems += show_runner(running, progress, console)
        problems += pods_left()
    console.print(table(outcomes, cacheable))
    if problems:
        raise BedError("not as promised:\n" + "\n".join(f"  {problem}" for problem in problems))
    progress.say("all as promised: cached rebuild, each tenant on its node with its cache, no pod left")


def run(story: Story, running: ci.Ci, progress: Progress, console: Console) -> Outcome:
    """Submit one job, print its log as it comes, and look at what it left."""
    console.rule(f"[bold]job {story.title}")
    job = running.coordinator.submit(ci.sample_job(story.tenant))
    with seen_nodes(story.tenant, job.ident) as nodes:
        print_log(job, console)
        result = job.wait(SILENCE)
    console.rule()
    progress.say(f"job {story.title}: {result.state}")
    log = plain(result.trace)
    return Outcome(
        story,
        result,
        node=", ".join(sorted(nodes)) or "?",
        hits=kaniko_log.hits(log),
        misses=kaniko_log.misses(log),
        digest=pushed_digest(job, log),
    )


def show_runner(running: ci.Ci, progress: Progress, console: Console) -> list[str]:
    """Build the runner's own image, run it in the cluster, let it take a job; returns what was not as promised."""
    runner_image.provide(progress)
    runner_image.commit_context(running.coordinator, FOLDER / "context")
    built = running.coordinator.submit(runner_image.job(TENANT_A))
    if not succeeds("4 tenant-a, the runner's own image", built, console):
        return ["the image of the runner was not built"]
    with runner_pod.at_work(TENANT_A, ci.image_of(built), FOLDER / "runner") as pod:
        progress.say(f"the runner is pod {pod.pod()} in {pod.namespace}")
        job = pod.starts("echo built by a runner inside the cluster")
        done = succeeds("5 tenant-a, by the runner in the cluster", job, console)
    return [] if done else ["the runner in the cluster did not finish its job"]


def succeeds(title: str, job: SubmittedJob, console: Console) -> bool:
    """Print the log of a job as it comes; whether it succeeds."""
    console.rule(f"[bold]job {title}")
    print_log(job, console)
    console.rule()
    return job.wait(SILENCE).state == "success"


def print_log(job: SubmittedJob, console: Console) -> None:
    """Print the log of a job until it is over."""
    view = Unstamped()
    for piece in job.follow(SILENCE):
        text = view.feed(piece)
        console.file.write(text if console.is_terminal else COLOUR.sub("", text))
        console.file.flush()
    console.file.write("\n")


@contextmanager
def seen_nodes(tenant: Tenant, ident: int) -> Iterator[set[str]]:
    """Note during the block on which nodes the job's pods are; the pods are gone when it is over."""
    nodes: set[str] = set()
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.3):
            with suppress(OSError, BedError):
                nodes.update(pod["spec"].get("nodeName", "") for pod in ci.job_pods(tenant, ident))
                nodes.discard("")

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield nodes
    finally:
        over.set()
        watcher.join()


def pushed_digest(job: SubmittedJob, log: str) -> str:
    """The digest of the job's image in the registry, if it is the one that the job reported; else nothing."""
    found = registry.digest(ci.image_of(job))
    return found if found and found in log else ""


def pods_left() -> list[str]:
    """Pods that are still there when every job is over and its clean-up had its time."""
    try:
        wait_for("the end of all job pods", lambda: not ci.all_job_pods(), CLEANUP_TIMEOUT)
    except BedError:
        return [f"pod {pod['metadata']['namespace']}/{pod['metadata']['name']} is left" for pod in ci.all_job_pods()]
    return []


def table(outcomes: list[Outcome], cacheable: int) -> Table:
    """The jobs side by side."""
    caption = "start: from the hand-out of the job to the first byte of its script"
    result = Table(title="What the driver did", title_justify="left", caption=caption, caption_justify="left")
    for heading in ("job", "node", "start", "build", "cache hits", "image digest"):
        result.add_column(heading, no_wrap=heading != "job")
    for outcome in outcomes:
        result.add_row(
            outcome.story.title,
            outcome.node,
            seconds(outcome.start_latency),
            seconds(outcome.build_time),
            f"{outcome.hits} of {cacheable}",
            outcome.digest[:19] or "none",
        )
    return result


def seconds(value: float | None) -> str:
    """A duration for the table."""
    return "?" if value is None else f"{value:.1f} s"


def take_down(progress: Progress) -> None:
    """Remove the bed and its data; what was built for it stays in the cache folder.

    Raises:
        BedError: something could not be removed.
    """
    left = bed.down(progress)
    if left:
        raise BedError(f"could not be removed: {', '.join(left)}")
    bed.purge(built=False)
    progress.say(f"removed; what was built stays in {layout.CACHE} (`scripts/bed down --purge --cache` deletes it too)")


if __name__ == "__main__":
    try:
        main(prog_name="scripts/demo")
    except BedError as error:
        print(f"demo: {error}", file=sys.stderr)
        sys.exit(1)
