"""The measures, each a function from the ground and a number of rounds to samples."""

from __future__ import annotations

import hashlib
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from testbed import cluster
from testbed.bench import audit, clock, host
from testbed.bench.build import build
from testbed.bench.ground import BUILTIN, DRIVER, MEASURED, TENANT, USERS, WARM, recorder, wait_until_warm
from testbed.bench.player import Attempt, output
from testbed.bench.samples import Samples, merge
from testbed.errors import BedError
from testbed.jobs import JobSpec
from testbed.wait import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from testbed.bench.ground import Ground
    from testbed.coordinator_job import JobResult


COLUMNS = {BUILTIN: "builtin", DRIVER: "cold", WARM: "warm"}
"""Whom a job is for -> its column in the results."""
TRIVIAL = (clock.mark("start"),)
TOGETHER = 20
RUN_STAGES = 4
"""The job that the goal for CPU speaks of; real ones have more, and are told as they are beside it."""
FIRST_BYTES = 10
LOG_BYTES = 200_000_000
LOG_PIECES = 10
LINES = 60
LINE_PAUSE_MICROSECONDS = 100_000
READ_AT_ONCE = 1 << 20


def job(ground: Ground, rounds: int) -> Samples:
    """A trivial job with a git clone: hand-out to the script's first line and to its end; its API requests."""
    samples: Samples = {}
    taken: list[tuple[str, datetime]] = []
    with ground.warmed():
        for number in range(rounds + 1):
            for queue in COLUMNS:
                result = ground.finished(ground.submit(queue, TRIVIAL))
                # Whatever of a job goes on behind its end would disturb the next one, and be counted as its own.
                ground.wait_until_quiet()
                wait_until_warm()
                taken.append((queue, _handed_out(result)))
                if number:  # the first of each warms up what a second job finds warm
                    merge(samples, _times(queue, result))
            merge(samples, {"load_average": [host.load()]})
        ended = datetime.now(UTC)
    for queue in COLUMNS:
        merge(samples, requests(queue, taken, ended))
    return samples


def _times(queue: str, result: JobResult) -> Samples:
    column = COLUMNS[queue]
    begun = clock.since_boot(_handed_out(result))
    return {
        f"finish_seconds.{column}": [_seconds(result)],
        f"script_start_seconds.{column}": [_started(result) - begun],
    }


def requests(queue: str, taken: list[tuple[str, datetime]], ended: datetime) -> Samples:
    """API requests of an executor's jobs, in all and by kind; `taken` are all jobs, one after another."""
    counted = audit.count(cluster.requests_of(USERS[queue]), [*(begun for _, begun in taken), ended])
    # The first of each is left out, as it is of the times.
    counts = [count for (of, _), count in zip(taken, counted, strict=True) if of == queue][1:]
    samples: Samples = {f"api_requests_per_job.{queue}": [float(count.total()) for count in counts]}
    for kind in sorted({kind for count in counts for kind in count}):
        samples[f"api_requests.{queue}.{kind}"] = [float(count[kind]) for count in counts]
    return samples


def stages(ground: Ground, rounds: int) -> Samples:
    """Wall, CPU and peak memory of each stage process of real jobs; `run` to the script's first byte."""
    for _ in range(rounds):
        ground.finished(ground.submit(MEASURED, TRIVIAL))
    samples = stage_samples(ground.records.read_text().splitlines())
    attempt = Attempt(ground.folder / "first-bytes", _spec(), settings=ground.settings)
    with attempt:
        merge(samples, {"stage_first_byte_seconds": [first_byte(attempt) for _ in range(FIRST_BYTES)]})
    ground.wait_until_quiet()
    return samples


def stage_samples(lines: list[str]) -> Samples:
    """What the records of whole jobs say: a sample for each stage, and the CPU of a job with four run stages."""
    samples: Samples = {}
    jobs: dict[str, list[tuple[str, float]]] = {}
    for line in lines:
        record = json.loads(line)
        name = record["stage"]
        jobs.setdefault(record["job"], []).append((name, record["cpu_seconds"]))
        for value in ("wall_seconds", "cpu_seconds", "peak_mb"):
            merge(samples, {f"stage.{name}.{value}": [record[value]]})
    for used in jobs.values():
        runs = [cpu for name, cpu in used if name == "run"]
        others = sum(cpu for name, cpu in used if name != "run")
        merge(
            samples,
            {
                "driver_cpu_seconds_per_job": [others + RUN_STAGES * sum(runs) / len(runs)],
                "whole_job.cpu_seconds": [others + sum(runs)],
                "whole_job.run_stages": [float(len(runs))],
            },
        )
    return samples


def first_byte(attempt: Attempt) -> float:
    """Seconds from the start of a `run` stage to the first byte of its script."""
    words = attempt.run_words("echo x")
    began = time.monotonic()
    with attempt.start(*words) as process:
        os.read(output(process).fileno(), 1)
        took = time.monotonic() - began
        out, _ = process.communicate()
    attempt.check(process, out)
    return took


def together(ground: Ground, rounds: int) -> Samples:
    """Twenty jobs at once: makespan, script starts, CPU and memory of the runner with everything below it.

    With warm pods there is one for each job; those that take their places start while the jobs run, as anywhere.
    """
    samples: Samples = {}
    for number in range(rounds):
        for queue in (BUILTIN, DRIVER, WARM) if number % 2 == 0 else (WARM, DRIVER, BUILTIN):
            with ground.warmed(TOGETHER) if queue == WARM else nullcontext():
                with ground.progress.step(f"{TOGETHER} jobs at once, {queue}"):
                    merge(samples, _twenty(ground, queue))
                ground.wait_until_quiet()
        merge(samples, {"load_average": [host.load()]})
    return samples


def _twenty(ground: Ground, queue: str) -> Samples:
    with host.Consumption(ground.runner.pid) as consumption:
        jobs = [ground.submit(queue, TRIVIAL) for _ in range(TOGETHER)]
        results = [ground.finished(each) for each in jobs]
    begun = clock.since_boot(min(result.timings.submitted for result in results))
    return {
        f"twenty_jobs.{queue}.makespan": [max(clock.since_boot(_ended(result)) for result in results) - begun],
        f"twenty_jobs.{queue}.start": [_started(result) - begun for result in results],
        f"twenty_jobs.{queue}.runner_cpu_seconds": [consumption.cpu_seconds],
        f"twenty_jobs.{queue}.runner_peak_mb": [consumption.peak_mb],
    }


def log(ground: Ground, rounds: int) -> Samples:
    """200 MB through a `run` stage, and how soon single lines arrive under one and under twenty streams."""
    samples: Samples = {}
    records = ground.folder / "log.jsonl"
    measured = recorder(ground.folder / "log-recorder", records)
    spec, settings = _spec(), ground.settings
    with Attempt(ground.folder / "log", spec, settings=settings, driver=measured) as attempt:
        attempt.run(f"yes {'x' * 99} | head -c {LOG_BYTES // LOG_PIECES} > /builds/piece", "get_sources")
        with ground.progress.step(f"{LOG_BYTES // 1_000_000} MB of log, {rounds} times"):
            merge(samples, {"log_mb_per_second": [_rate(attempt) for _ in range(rounds)]})
        merge(samples, {"line_latency_seconds.one": latencies(attempt)})
    streamed = [json.loads(line) for line in records.read_text().splitlines()]
    peaks = [record["peak_mb"] for record in streamed if record["sub_stage"] == "build_script"]
    merge(samples, {"stage_peak_mb": peaks[:rounds]})
    with ground.progress.step(f"lines of {TOGETHER} streams"):
        merge(samples, {"line_latency_seconds.twenty": _latencies_of_many(ground)})
    ground.wait_until_quiet()
    return samples


def _rate(attempt: Attempt) -> float:
    words = attempt.run_words(f"for piece in $(seq {LOG_PIECES}); do cat /builds/piece; done")
    began = time.monotonic()
    received, wanted = hashlib.sha256(), hashlib.sha256((b"x" * 99 + b"\n") * (LOG_BYTES // 100)).hexdigest()
    count = 0
    with attempt.start(*words) as process:
        pipe = output(process).fileno()
        while data := os.read(pipe, READ_AT_ONCE):
            if count < LOG_BYTES:  # what the driver itself may say comes after the script's bytes
                received.update(data[: LOG_BYTES - count])
            count += len(data)
    took = time.monotonic() - began
    attempt.check(process)
    if received.hexdigest() != wanted:
        raise BedError(f"the log is not what the script printed: {count} bytes came of {LOG_BYTES}")
    return LOG_BYTES / 1e6 / took


def latencies(attempt: Attempt) -> list[float]:
    """Seconds from the printing of each line in the pod to its arrival at the runner's end of the pipe."""
    script = f"for line in $(seq {LINES}); do {clock.mark('line')}; usleep {LINE_PAUSE_MICROSECONDS}; done"
    found: list[float] = []
    with attempt.start(*attempt.run_words(script)) as process:
        for line in output(process):
            arrived = clock.now()
            found += [arrived - printed for printed in clock.marks(line).values()]
    attempt.check(process)
    if len(found) != LINES:
        raise BedError(f"{len(found)} of {LINES} lines arrived")
    return found


def _latencies_of_many(ground: Ground) -> list[float]:
    attempts = [
        Attempt(ground.folder / f"stream-{number}", _spec(number), settings=ground.settings)
        for number in range(1, TOGETHER + 1)
    ]
    with ExitStack() as stack, ThreadPoolExecutor(TOGETHER) as pool:
        # All are begun before one is waited for; what became ready is ended whatever becomes of the others.
        ready = [pool.submit(stack.enter_context, attempt) for attempt in attempts]
        wait_for("the streams' pods", lambda: all(each.done() for each in ready), 300)
        for each in ready:
            each.result()
        return [latency for found in pool.map(latencies, attempts) for latency in found]


def _spec(number: int = 1) -> JobSpec:
    # Far from the numbers that the coordinator gives.
    return JobSpec(TENANT.name, ident=900_000 + number, overrides={"features": {"trace_sections": False}})


def _handed_out(result: JobResult) -> datetime:
    if result.timings.handed_out is None:
        raise BedError(f"job {result.ident} was never handed out")
    return result.timings.handed_out


def _ended(result: JobResult) -> datetime:
    return result.timings.finished or datetime.now(UTC)


def _seconds(result: JobResult) -> float:
    return (_ended(result) - _handed_out(result)).total_seconds()


def _started(result: JobResult) -> float:
    found = clock.marks(result.trace)
    if "start" not in found:
        raise BedError(f"the log of job {result.ident} lacks the script's own time stamp")
    return found["start"]


LONG = frozenset({"twenty", "build"})
"""Measures that take minutes: a third of the rounds is enough for them."""
MEASURES: dict[str, Callable[[Ground, int], Samples]] = {
    "job": job,
    "stages": stages,
    "twenty": together,
    "log": log,
    "build": build,
}
