"""What the summary tells of the layer cache is what happened, and twenty builds at once store all that they should."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from testbed import ci, kaniko_log, layer_cache, layout, s3
from testbed.joblog import plain
from testbed.jobs import JobSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.coordinator_job import JobResult

    from .conftest import Author

TENANT = layout.TENANTS[0]
BUSYBOX = f"{layout.REGISTRY}/library/busybox:1"
FIRST = f"""\
FROM {BUSYBOX} AS one
RUN sleep 4 && head -c 300000 /dev/urandom > /first
FROM {BUSYBOX}
COPY --from=one /first /first
"""
DOCKERFILE = FIRST + "RUN head -c 200000 /dev/urandom > /second\n"
CHANGED = FIRST + "ARG A\nRUN echo $A && head -c 100000 /dev/urandom > /third && exit 3\n"
BUILD = f"{ci.KANIKO} --cleanup"
TWENTY = f"""\
FROM {BUSYBOX}
COPY README /README
RUN sha256sum /README > /shared && head -c 200000 /README /dev/zero > /zeros 2>/dev/null
ARG NUMBER
RUN echo $NUMBER > /own
"""


@pytest.fixture(autouse=True)
def _empty(_bed: None) -> Iterator[None]:
    layer_cache.empty(TENANT)
    yield
    layer_cache.empty(TENANT)


def figures(result: JobResult) -> dict[str, Any]:
    """Return what the operator log keeps of the job's script."""
    for line in reversed((layout.DRIVER / "driver.jsonl").read_text().splitlines()):
        entry: dict[str, Any] = json.loads(line)
        if entry.get("event") == "resources used" and entry.get("job") == result.ident:
            return entry
    raise AssertionError(plain(result.trace))


def sizes(part: str = "") -> int:
    """Return how many bytes the tenant's bucket holds in objects of a kind."""
    pages = s3.client().get_paginator("list_objects_v2").paginate(Bucket=TENANT.cache_bucket)
    return sum(one["Size"] for page in pages for one in page.get("Contents", []) if part in one["Key"])


def runs(author: Author, *script: str) -> JobResult:
    return author.submits(JobSpec(author.tenant.name, script=script)).wait()


def test_the_summary_tells_what_happened(author: Author) -> None:
    author.writes("Dockerfile", DOCKERFILE)
    cold = runs(author, BUILD)
    assert cold.state == "success", plain(cold.trace)
    told = figures(cold)
    # A stage stops at the first look-up that finds nothing; there are two stages.
    assert (told["cache_hits"], told["cache_misses"], told["cache_read_bytes"]) == (0, 2, 0)
    assert told["cache_written_bytes"] == sizes() > 500_000
    assert "first not found: RUN sleep 4 && head" in plain(cold.trace)

    author.writes("Changed", CHANGED)
    stored = sizes()
    # Built from the cache, without it, and half of it until it fails: by one script.
    changed = BUILD.replace("/Dockerfile", "/Changed") + " --build-arg A=s3cret-value"
    warm = runs(author, BUILD, f"{BUILD} --cache=false", f"{changed} || echo it failed")
    log = plain(warm.trace)
    assert warm.state == "success", log
    assert "it failed\n" in log
    told = figures(warm)
    assert (told["cache_hits"], told["cache_misses"]) == (3, 1)
    # The first stage's layer was fetched once, and both entries were read.
    assert stored - sizes("/entries/") <= told["cache_read_bytes"] <= stored + sizes("/entries/")
    assert told["cache_written_bytes"] == sizes() - stored == 0
    # What it took in the first build, which slept, less what the look-ups took.
    assert told["cache_saved_ms"] > 0
    assert "first not found: RUN echo $A && head" in log
    assert (told["cache_reason"], told["cache_lost"], told["cache_dropped"]) == (0, 0, 0)


def test_a_build_that_wants_no_cache_tells_nothing_of_it(author: Author) -> None:
    author.writes("Dockerfile", f"FROM {BUSYBOX}\nRUN true\n")
    result = runs(author, f"{BUILD} --cache=false")
    assert result.state == "success", plain(result.trace)
    assert "layer cache" not in plain(result.trace)


def test_twenty_builds_at_once_lose_no_entry(author: Author) -> None:
    author.writes("Dockerfile", TWENTY)
    jobs = [
        author.submits(JobSpec(TENANT.name, script=(f'{ci.KANIKO}"-{number}" --build-arg NUMBER={number}',)))
        for number in range(20)
    ]
    for job in jobs:
        result = job.wait()
        assert result.state == "success", plain(result.trace)
        assert figures(result)["cache_dropped"] == 0
    # One for what all share, and one for each.
    assert sum("/entries/" in key for key in layer_cache.objects(TENANT)) == 1 + 20
    rights = ("--settings", str(layout.DRIVER), "--tenant-keys", "--kubeconfig", str(layout.ADMIN_KUBECONFIG))
    command = [str(ci.DRIVER_COMMAND), "cache", "verify", TENANT.name, *rights, "--output", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)
    assert json.loads(done.stdout)["broken"] == []
    again = runs(author, f"{ci.KANIKO} --build-arg NUMBER=13")
    assert (kaniko_log.hits(plain(again.trace)), kaniko_log.misses(plain(again.trace))) == (2, 0)
