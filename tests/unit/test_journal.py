"""The operator log: whole JSON lines, also from many stages at once, and never a reason to fail a job."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from executor.errors import PodLost
from executor.journal import Journal

if TYPE_CHECKING:
    from pathlib import Path


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_line_carries_time_level_event_and_what_its_stage_knows(tmp_path: Path) -> None:
    path = tmp_path / "driver.jsonl"
    journal = Journal(str(path), stage="run")
    journal.bind(job=7)
    journal.info("script ended", code=0)
    journal.warning("stream lost", reason="x")
    first, second = lines(path)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first.pop("timestamp"))
    assert first == {"level": "info", "event": "script ended", "stage": "run", "job": 7, "code": 0}
    assert (second["level"], second["reason"]) == ("warning", "x")


def test_any_text_stays_one_line(tmp_path: Path) -> None:
    path = tmp_path / "driver.jsonl"
    nasty = 'a\nb\r"c"\x00\x1b[31m\u2028 ä 漢 \udcff'
    Journal(str(path)).info(nasty, path=tmp_path, raw=b"x")
    (line,) = lines(path)
    assert line["event"] == nasty
    assert path.read_bytes().count(b"\n") == 1
    assert path.read_bytes().isascii()


def test_a_failure_leaves_its_traceback_with_its_cause(tmp_path: Path) -> None:
    path = tmp_path / "driver.jsonl"
    try:
        try:
            raise OSError("the cause")
        except OSError as cause:
            raise PodLost("gone") from cause
    except PodLost as error:
        Journal(str(path)).error("stage failed", exception=error)
    (line,) = lines(path)
    assert line["level"] == "error"
    assert "OSError: the cause" in line["exception"]
    assert "executor.errors.PodLost: gone" in line["exception"]


WRITE_MANY = """
import sys
from executor.journal import Journal

journal = Journal(sys.argv[1], writer=int(sys.argv[2]), padding="x" * 3000)
for number in range(200):
    journal.info("event", number=number)
"""


def test_parallel_writers_do_not_interleave(tmp_path: Path) -> None:
    path = tmp_path / "driver.jsonl"
    writers = [subprocess.Popen([sys.executable, "-c", WRITE_MANY, path, str(writer)]) for writer in range(8)]
    assert [writer.wait() for writer in writers] == [0] * 8
    written = lines(path)
    assert len(written) == 8 * 200
    for writer in range(8):
        assert [line["number"] for line in written if line["writer"] == writer] == list(range(200))


@pytest.mark.parametrize("name", ["no/such/folder/x.jsonl", "", "x" * 300])
def test_a_log_that_cannot_be_written_is_noted_and_never_raises(tmp_path: Path, name: str) -> None:
    journal = Journal(f"{tmp_path}/{name}")
    journal.info("event")
    journal.error("event", exception=ValueError("x"))
    assert journal.complaint.startswith(f"{tmp_path}/{name}: ")


def test_without_a_path_nothing_is_written() -> None:
    journal = Journal()
    journal.info("event")
    assert journal.complaint == ""
