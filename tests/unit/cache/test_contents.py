"""Listings are added up by generation as they pass; ten million objects need no more memory than ten."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from executor.cache.contents import Place, count, place_of

BASE = "layer-cache/tenant-a"
DAYS = [datetime(2026, 11, day, tzinfo=UTC) for day in (1, 2, 3)]
ROOT = Path(__file__).parents[3]
MOST_MEGABYTES = 150


def listed(*names: str) -> list[dict[str, Any]]:
    return [
        {"Key": f"{BASE}/{name}", "Size": 10 + number, "LastModified": DAYS[number % 3]}
        for number, name in enumerate(names)
    ]


def test_objects_are_added_up_by_generation_and_cache() -> None:
    found, others = count(
        listed("7/entries/a", "7/blobs/b", "7/blobs/c", "8/entries/d", "protected/7/entries/e", "readme"), BASE
    )
    seven, protected = found[Place(protected=False, generation=7)], found[Place(protected=True, generation=7)]
    assert (seven.objects, seven.entries, seven.size) == (3, 1, 33)
    assert (seven.oldest, seven.newest) == (DAYS[0], DAYS[2])
    assert (protected.objects, protected.entries) == (1, 1)
    assert len(found) == 3
    assert (others.objects, others.size) == (1, 15)


@pytest.mark.parametrize(
    "head", ["", "7", "entries", "7/other", "x/entries", "7/blobs/more", "protected/entries", "-1/blobs"]
)
def test_what_is_not_ours_is_told_apart(head: str) -> None:
    assert place_of(head) is None


def test_a_folder_ends_in_a_slash() -> None:
    assert Place(protected=True, generation=7).folder(BASE) == f"{BASE}/protected/7/"


LISTING = """\
import re
# A page of a listing, ten thousand times over, each time with names of its own.
def objects(kind):
    page = [{"Key": "", "Size": 1, "LastModified": None} for _ in range(1000)]
    for number in range(10_000):
        head = f"layer-cache/tenant-a/7/{kind}/{number:013x}"
        for at, one in enumerate(page):
            one["Key"] = f"{head}{at:03x}"
        yield from page
"""
# Not ru_maxrss, in which the kernel counts the process that started this one.
REPORT = """
kilobytes = int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
print(getattr(found, 'objects', found), kilobytes // 1024)
"""


@pytest.mark.parametrize(
    "work",
    [
        "import executor.cache.contents as c; found, = c.count(objects('entries'), 'layer-cache/tenant-a')[0].values()",
        "from executor.cache.verify import Blobs; found = len(Blobs(objects('blobs')))",
    ],
    ids=["usage", "verify"],
)
def test_ten_million_objects_pass_in_flat_memory(work: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import boto3\n{LISTING}{work}{REPORT}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    objects, megabytes = map(int, done.stdout.split())
    assert objects == 10_000_000
    assert megabytes <= MOST_MEGABYTES
