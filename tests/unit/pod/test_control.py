"""Control lines are untrusted: only whole, short, well-formed ones count, however the network cuts them."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from executor.pod.control import Beat, CacheStory, Control, ControlLines, Exited, Failed, Missed, Started, Used

EXITED = Exited(code=37, size=123456, peak=1048576, oom_kills=2, full=True)
STORY = CacheStory(
    hits=1,
    misses=2,
    lost=3,
    corrupt=4,
    read=5,
    written=6,
    dropped=7,
    full=8,
    requests=9,
    waited=10,
    saved=11,
    reason=0,
)
GOOD: tuple[tuple[bytes, Control], ...] = (
    (b"kd1 started", Started()),
    (b"kd1 beat", Beat()),
    (b"kd1 exit 37 123456 1048576 2 1", EXITED),
    (b"kd1 exit 0 0 0 0 0", Exited(code=0, size=0, peak=0, oom_kills=0, full=False)),
    (b"kd1 used 1 2 3 4 5 6", Used(cpu=1, programs=2, disk=3, builds=4, hits=5, misses=6)),
    (b"kd1 used - - - - - -", Used(cpu=None, programs=None, disk=None, builds=None, hits=None, misses=None)),
    (b"kd1 cache 1 2 3 4 5 6 7 8 9 10 11 0", STORY),
    (b"kd1 missed " + b"RUN make".hex().encode(), Missed("RUN make")),
    (b"kd1 missed ff", Missed("\N{REPLACEMENT CHARACTER}")),
    *((b"kd1 error " + word, Failed(word.decode())) for word in (b"cut", b"full", b"unknown", b"lost", b"verb")),
)
BAD = (
    b"",
    b"kd1",
    b"kd1 ",
    b"kd2 started",
    b"KD1 started",
    b" kd1 started",
    b"xkd1 started",
    b"kd1 startedx",
    b"kd1 exit 0",
    b"kd1 exit 0 0 0 0",
    b"kd1 exit 0 0 0 0 2",
    b"kd1 exit 0 0 0 0 0 0",
    b"kd1 exit -1 0 0 0 0",
    b"kd1 exit 0 -5 0 0 0",
    b"kd1 exit 1000 0 0 0 0",
    b"kd1 exit 0 9999999999999999 0 0 0",
    b"kd1 exit 0x1 0 0 0 0",
    b"kd1 exit 1.0 0 0 0 0",
    b"kd1 exit 0 1e3 0 0 0",
    "kd1 exit ٣ 0 0 0 0".encode(),
    b"kd1 error lost; rm -rf /",
    b"kd1 error other",
    b"kd1 used 1 2 3 4 5",
    b"kd1 used 1 2 3 4 5 6 7",
    b"kd1 used 1 2 3 4 5 -6",
    b"kd1 used 1 2 3 4 5 9999999999999999",
    b"kd1 used 1 2 3 4 5 --",
    b"kd1 cache 1 2 3 4 5 6 7 8 9 10 11",
    b"kd1 cache 1 2 3 4 5 6 7 8 9 10 11 -",
    b"kd1 cache 1 2 3 4 5 6 7 8 9 10 11 99999999999999",
    b"kd1 missed",
    b"kd1 missed ",
    b"kd1 missed 1",
    b"kd1 missed zz",
    b"kd1 missed 41 42",
    b"kd1 missed " + b"41" * 81,
    b"\xff\xfe\x00",
    b"kd1 exit 0 0 0 0 0\x00",
    b"/bin/sh: can't create /driver/stages/x: No space left on device",
    b"kd1 beat" + b" " * 193,
    b"kd1 exit 0 " + b"0" * 300 + b" 0 0 0",
)


def fed(data: bytes, cuts: list[int]) -> list[Control]:
    lines = ControlLines()
    edges = [0, *sorted(cuts), len(data)]
    return [control for start, end in pairwise(edges) for control in lines.feed(data[start:end])]


@pytest.mark.parametrize(("line", "control"), GOOD)
def test_a_line_is_understood_once_it_is_whole(line: bytes, control: Control) -> None:
    lines = ControlLines()
    assert lines.feed(line) == []
    assert lines.feed(b"\n") == [control]


@pytest.mark.parametrize(("line", "control"), GOOD)
def test_a_line_may_be_cut_at_any_byte(line: bytes, control: Control) -> None:
    for cut in range(len(line) + 1):
        assert fed(line + b"\n", [cut]) == [control]


@pytest.mark.parametrize("line", BAD)
def test_anything_else_is_ignored_and_the_next_line_counts(line: bytes) -> None:
    assert ControlLines().feed(line + b"\nkd1 beat\n") == [Beat()]


def test_an_exit_code_stays_one_that_a_process_can_have() -> None:
    (exited,) = ControlLines().feed(b"kd1 exit 999 0 0 0 0\n")
    assert isinstance(exited, Exited)
    assert 0 <= exited.code <= 255


def test_garbage_without_end_takes_no_memory() -> None:
    lines = ControlLines()
    for _ in range(100):
        assert lines.feed(b"x" * 65536) == []
    assert len(lines._rest) < 1000
    assert lines.feed(b"\nkd1 beat\n") == [Beat()]


def test_how_a_stream_is_cut_never_changes_what_it_says() -> None:
    some = random.Random(3)
    for _ in range(400):
        pieces = [some.choice((*BAD, *(line for line, _ in GOOD), b"y" * some.randrange(400))) for _ in range(12)]
        if some.random() < 0.5:
            # The tail of an overlong line looks like a line of ours.
            pieces.append(b"z" * some.randrange(1, 400) + b"kd1 beat" + b" " * some.randrange(180, 200))
        data = b"\n".join(pieces) + b"\n"
        whole = fed(data, [])
        assert fed(data, [some.randrange(len(data)) for _ in range(some.randrange(1, 30))]) == whole
        assert fed(data, list(range(len(data)))) == whole
