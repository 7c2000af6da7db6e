"""The driver's own lines start at a line start, and the script's bytes pass untouched."""

from __future__ import annotations

import os
import random
import threading
from typing import TYPE_CHECKING

import pytest

from executor.errors import DriverError
from executor.stages.joblog import JobLog

if TYPE_CHECKING:
    from pathlib import Path


class Output:
    """A job log that writes to a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.log = JobLog(self.descriptor)

    def script(self, data: bytes) -> None:
        self.log.script_output(memoryview(data))

    def read(self) -> bytes:
        os.close(self.descriptor)
        return self.path.read_bytes()


@pytest.fixture
def output(tmp_path: Path) -> Output:
    return Output(tmp_path / "log")


def test_bytes_of_the_script_pass_as_they_are_in_any_pieces(output: Output) -> None:
    some = random.Random(4)
    data = some.randbytes(300_000)
    position = 0
    while position < len(data):
        size = some.randrange(0, 5000)
        output.script(data[position : position + size])
        position += size
    assert output.log.passed() == len(data)
    assert output.read() == data


def test_a_line_of_ours_names_the_speaker_and_starts_at_a_line_start(output: Output) -> None:
    output.log.say("first")
    output.script(b"no newline")
    output.log.say("second")
    output.script(b"newline\n")
    output.log.say("third")
    assert output.read() == (
        b"kaniko-driver: first\nno newline\nkaniko-driver: second\nnewline\nkaniko-driver: third\n"
    )


def test_a_line_between_lines_tears_none_of_the_scripts(output: Output) -> None:
    output.log.say_between_lines("at once")
    output.script(b"10%\r20%\r")
    output.log.say_between_lines("later")
    output.script(b"30%\r")
    output.script(b"done\nnext\nla")
    output.script(b"st\n")
    assert output.log.passed() == len(b"10%\r20%\r30%\rdone\nnext\nlast\n")
    assert output.read() == (b"kaniko-driver: at once\n10%\r20%\r30%\rdone\nnext\nkaniko-driver: later\nlast\n")


def test_a_line_that_found_no_place_comes_before_the_next_of_ours(output: Output) -> None:
    output.script(b"no newline")
    output.log.say_between_lines("first")
    output.log.say("second")
    output.log.say_waiting()
    assert output.read() == b"no newline\nkaniko-driver: first\nkaniko-driver: second\n"


def test_an_empty_piece_changes_nothing(output: Output) -> None:
    output.script(b"x")
    output.script(b"")
    output.log.say("y")
    assert output.read() == b"x\nkaniko-driver: y\n"


def test_further_lines_are_indented_and_empty_ones_dropped(output: Output) -> None:
    output.log.fail(DriverError("What.", why="Why 1.\n\nWhy 2.", remedy="Do."))
    assert output.read() == b"kaniko-driver: What.\n  Why 1.\n  Why 2.\n  Do.\n"


def test_text_that_is_no_unicode_is_said_all_the_same(output: Output) -> None:
    output.log.say("caf\udce9 ä")
    assert output.read() == "kaniko-driver: caf? ä\n".encode()


def test_a_reader_that_is_slow_gets_every_byte() -> None:
    reading, writing = os.pipe()
    data = random.Random(5).randbytes(1_000_000)
    log = JobLog(writing)

    def write() -> None:
        log.script_output(memoryview(data))
        os.close(writing)

    writer = threading.Thread(target=write)
    writer.start()
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        received = b"".join(iter(lambda: pipe.read(997), b""))
    writer.join()
    assert received == data
    assert log.passed() == len(data)


def test_a_runner_that_is_gone_is_noticed(output: Output) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with pytest.raises(BrokenPipeError):
        JobLog(writing).script_output(memoryview(b"x"))
    os.close(writing)
    assert output.read() == b""


class TestSections:
    def test_the_marker_and_the_header_are_one_write(self, monkeypatch: pytest.MonkeyPatch) -> None:
        writes: list[bytes] = []

        def write(_: int, data: memoryview) -> int:
            writes.append(bytes(data))
            return len(data)

        monkeypatch.setattr(os, "write", write)
        monkeypatch.setattr("time.time", lambda: 1_800_000_000.5)
        log = JobLog(1)
        log.folds = True
        with log.section("one", "the header", collapsed=True):
            log.say("inside")
        log.say("outside")
        assert writes == [
            b"section_start:1800000000:one[collapsed=true]\r\x1b[0Kkaniko-driver: the header\n",
            b"kaniko-driver: inside\n",
            b"section_end:1800000000:one\r\x1b[0K",
            b"kaniko-driver: outside\n",
        ]

    def test_a_marker_starts_at_a_line_start(self, output: Output) -> None:
        output.log.folds = True
        output.script(b"no newline")
        with output.log.section("one", "header"):
            output.script(b"half a line")
        first, second, third, fourth = output.read().split(b"\n")
        assert (first, third) == (b"no newline", b"half a line")
        assert second.startswith(b"section_start:")
        assert fourth.startswith(b"section_end:")

    def test_it_ends_before_an_error_is_said(self, output: Output) -> None:
        output.log.folds = True
        error = DriverError("It failed.")
        with pytest.raises(DriverError), output.log.section("one", "header"):
            raise error
        output.log.fail(error)
        assert output.read().split(b"section_end:")[1].endswith(b"\r\x1b[0Kkaniko-driver: It failed.\n")

    def test_where_none_are_wanted_the_words_stay(self, output: Output) -> None:
        with output.log.section("one", "header"):
            output.log.say("inside")
        assert output.read() == b"kaniko-driver: header\nkaniko-driver: inside\n"


def test_whole_lines_of_others_are_added_between_two_of_the_scripts(output: Output) -> None:
    output.log.insert("one\n")
    output.script(b"half")
    assert not output.log.holds_back()
    output.log.insert("two\n")
    output.log.insert("three\n")
    assert output.log.holds_back()
    output.script(b" a line\n")
    assert not output.log.holds_back()
    assert output.read() == b"one\nhalf a line\ntwo\nthree\n"
