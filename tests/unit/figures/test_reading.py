"""Logs of several hosts, rotated and packed; what is broken is counted and ends nothing."""

from __future__ import annotations

import gzip
import json
import os
from typing import TYPE_CHECKING

import pytest

from executor.errors import SettingsInvalid
from executor.figures.reading import Reading, lines, parse, with_rotated
from executor.journal import Journal
from tests.support.operator_log import BEGIN, job, written

if TYPE_CHECKING:
    from pathlib import Path


def test_a_line_of_the_journal_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "driver.jsonl"
    Journal(str(path), stage="run", job=7).info("script ended", code=3)
    (line,) = lines([str(path)], Reading())
    assert (line["event"], line["job"], line["code"]) == ("script ended", 7, 3)
    assert abs(line["time"] - path.stat().st_mtime) < 5


def test_logs_of_several_hosts_and_packed_ones_are_one(tmp_path: Path) -> None:
    one, two = written(tmp_path / "one.jsonl", job(1)), tmp_path / "two.jsonl.1.gz"
    two.write_bytes(gzip.compress(written(tmp_path / "two.jsonl", job(2)).read_bytes()))
    reading = Reading()
    assert {line["job"] for line in lines([str(one), str(two)], reading)} == {1, 2}
    assert reading.files == [str(one), str(two)]


def test_a_file_that_is_named_twice_is_read_once(tmp_path: Path) -> None:
    path = written(tmp_path / "x.jsonl", job(1))
    (tmp_path / "again").symlink_to(path)
    assert len(list(lines([str(path), str(tmp_path / "again")], Reading()))) == len(job(1))


def test_rotated_logs_are_found_the_oldest_first(tmp_path: Path) -> None:
    names = ["driver.jsonl-20251101.gz", "driver.jsonl.2.gz", "driver.jsonl.1", "driver.jsonl"]
    for age, name in enumerate(reversed(names)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    (tmp_path / "driver.jsonl.d").mkdir()
    (tmp_path / "other.jsonl").touch()
    assert with_rotated(str(tmp_path / "driver.jsonl")) == [str(tmp_path / name) for name in names]


BROKEN = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"5",
    b'"text"',
    b"{}",
    b'{"timestamp": "2025-11-24T16:00:00.000Z"}',
    b'{"timestamp": 5, "event": "x"}',
    b'{"timestamp": "yesterday", "event": "x"}',
    b'{"timestamp": "2025-11-24T16:00:00", "event": "x"}',
    b'{"timestamp": "2025-11-24T16:00:00Z", "event": 5}',
    b'{"timestamp": "2025-11-24T16:00:00Z", "event": "x"',
    b"\xff\xfe\x00",
    b"[" * 200_000,
]


@pytest.mark.parametrize("text", BROKEN, ids=range(len(BROKEN)))
def test_a_line_that_no_stage_wrote_is_none(text: bytes) -> None:
    assert parse(text) is None


def test_broken_lines_are_counted_and_blank_ones_are_not(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    good = json.dumps(job(1)[0]).encode()
    path.write_bytes(good + b"\n" + b"{half\n\n\0\0\0\n" + good + b"\n" + good[:40])
    reading = Reading()
    assert len(list(lines([str(path)], reading))) == 2
    assert (reading.lines, reading.broken) == (4, 2)


def test_a_damaged_archive_gives_what_can_be_read_and_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    whole = gzip.compress(b"".join(json.dumps(line).encode() + b"\n" for n in range(500) for line in job(n)))
    path.write_bytes(whole[: len(whole) // 2])
    reading = Reading()
    assert list(lines([str(path)], reading))
    assert len(reading.unreadable) == 1
    assert str(path) in reading.unreadable[0]


def test_what_is_older_is_left_out(tmp_path: Path) -> None:
    path = written(tmp_path / "x.jsonl", job(1), job(2, at=BEGIN + 3600))
    assert {line["job"] for line in lines([str(path)], Reading(), since=BEGIN + 3600)} == {2}


def test_without_any_log_it_is_said_what_was_tried(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="no operator log") as raised:
        list(lines([str(tmp_path / "none")], Reading()))
    assert str(tmp_path / "none") in raised.value.why
