"""What a developer reads in the job log: folded sections, what the script used, a warning where a limit was near."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from executor.pod.names import BUILD
from testbed import ci, layout
from testbed.joblog import MARKER, plain
from testbed.jobs import JobSpec, Variable

if TYPE_CHECKING:
    from .conftest import Author

MIB = 1 << 20
UNITS = {"bytes": 1, "KiB": 1 << 10, "MiB": MIB, "GiB": 1 << 30}
SUMMARY = re.compile(r"^kaniko-driver: used (?P<parts>.*)$", re.MULTILINE)
OURS = "kaniko_driver_"


def holds(size: int) -> str:
    """A script that holds memory until the pod's first process, which looks every few seconds, has seen it."""
    seen = f'until [ "$(cat /driver/stages/.programs)" -gt {size - size // 50} ]; do sleep 0.2; done 2>/dev/null'
    return f"{{ head -c {size} /dev/zero; {seen}; }} | tail -c {size} > /dev/null"


# Known amounts, in a folder of the container's own disk and in a shell's own time.
GREEDY = (
    "head -c 600000000 /dev/zero > /filling",
    "head -c 300000000 /dev/zero > here",
    "i=0; while [ $i -lt 700000 ]; do i=$((i + 1)); done",
    holds(200_000_000),
)


def size(text: str) -> float:
    """Bytes of `812 MiB`."""
    number, unit = text.split()
    return float(number) * UNITS[unit]


def summary(trace: bytes) -> dict[str, str]:
    """What was used, by its name: `memory` -> `812 MiB of 3 GiB`."""
    found = SUMMARY.search(plain(trace))
    assert found is not None, plain(trace)
    return dict(re.findall(r"(memory|CPU time|disk|layer cache) ([^,]*)", found["parts"]))


def test_sections_of_ours_are_well_formed_and_end(author: Author) -> None:
    result = author.starts("echo hello").wait()
    log = result.trace.decode()
    assert result.state == "success", log
    markers = [(found[1], found[2]) for found in MARKER.finditer(log) if found[2].startswith(OURS)]
    names = [name for word, name in markers if word == "start"]
    assert len(names) == len(set(names)) == 2
    assert markers == [(word, name) for name in names for word in ("start", "end")]
    # Every marker reached GitLab whole: none is left over as text.
    assert f"section_start:{OURS}" not in plain(result.trace)
    pod_name = re.search(r"starting pod (\S+)\n", plain(result.trace))
    assert pod_name is not None
    assert f"pod {pod_name[1]} is ready on node" in plain(result.trace)


def test_a_job_that_wants_plain_text_gets_no_markers_of_ours(author: Author) -> None:
    plain_text = JobSpec("tenant-a", script=("echo hello",), variables=(Variable("NO_COLOR", "1"),))
    result = author.submits(plain_text).wait()
    assert result.state == "success"
    assert OURS not in result.trace.decode()
    of_ours = [line for line in result.trace.decode().split("\n") if "kaniko-driver: " in line]
    assert of_ours
    assert not [line for line in of_ours if "\x1b" in line]


def test_the_summary_tells_what_a_script_really_used(author: Author) -> None:
    result = author.starts(*GREEDY).wait()
    assert result.state == "success", plain(result.trace)
    used = summary(result.trace)
    memory, memory_limit = used["memory"].split(" of ")
    assert (memory_limit, 200_000_000 < size(memory) <= 3 * 1024 * MIB) == ("3 GiB", True), used
    assert float(used["CPU time"].removesuffix(" s")) > 0.5
    disk, disk_limit = used["disk"].split(" of ")
    assert (disk_limit, 590_000_000 < size(disk) < 700_000_000) == ("6 GiB", True), used
    details = plain(result.trace)
    programs = re.search(r"programs themselves about (\d\S* \w+)", details)
    assert programs is not None, details
    assert 190_000_000 < size(programs[1]) < 400_000_000
    builds = re.search(r"/builds: (.*) of 2 GiB", details)
    assert builds is not None, details
    assert 290_000_000 < size(builds[1]) < 320_000_000
    assert "was near its limit" not in details


def test_a_failed_script_is_told_what_it_used_too(author: Author) -> None:
    result = author.starts("exit 7").wait()
    assert (result.state, result.exit_code) == ("failed", 7)
    assert "memory" in summary(result.trace)


def test_hits_and_misses_are_those_of_kaniko(author: Author) -> None:
    base = f"FROM {layout.REGISTRY}/library/busybox:1\n"
    author.writes("Dockerfile", f"{base}RUN echo one-of-{author.project}\nRUN echo two\n")
    first = author.starts(ci.KANIKO).wait()
    assert first.state == "success", plain(first.trace)
    assert summary(first.trace)["layer cache"] == "0 hits and 1 miss"
    second = author.starts(ci.KANIKO).wait()
    assert second.state == "success", plain(second.trace)
    assert summary(second.trace)["layer cache"] == "2 hits and 0 misses"


def test_a_limit_that_was_near_is_warned_of(author: Author) -> None:
    result = author.starts(holds(2900 * MIB)).wait()
    log = plain(result.trace)
    assert result.state == "success", log
    warning = log.index("kaniko-driver: memory was near its limit: programs used 2.8 GiB of 3 GiB")
    # Outside of the section, so that it is seen where that is folded.
    assert log.index("kaniko-driver: used ") < warning
    assert f"resources.{BUILD}.memory_limit" in log
