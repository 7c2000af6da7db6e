"""The end of an output is remembered, and no more of it than that."""

from __future__ import annotations

import random

from executor.stages.tail import Tail


def test_everything_is_passed_on_and_the_last_of_it_remembered() -> None:
    passed = bytearray()
    tail = Tail(passed.extend)
    numbers = random.Random(1)
    sent = b"".join(b"%d\n" % number for number in range(20_000))
    position = 0
    while position < len(sent):
        size = numbers.randint(1, 3000)
        tail.pass_on(memoryview(sent[position : position + size]))
        position += size
    assert passed == sent
    assert tail.text() == sent[-16 * 1024 :].decode()
    assert sum(len(part) for part in tail._last) < 16 * 1024 + 3000


def test_a_short_output_is_remembered_whole_whatever_bytes_it_is_made_of() -> None:
    tail = Tail(lambda _: None)
    assert tail.text() == ""
    tail.pass_on(memoryview(b"caf\xe9\n"))
    assert tail.text() == "caf\N{REPLACEMENT CHARACTER}\n"
