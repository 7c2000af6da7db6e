"""A job's output cannot drive the terminal of who reads it, however it is cut."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from executor.operate.escapes import Harmless

HARMLESS = (
    b"plain text\n",
    b"\x1b[32;1mgreen\x1b[0m\n",
    b"10%\r20%\r\x1b[K100%\n",
    "tabs\tand ä漢 £ é\n".encode(),
    b"not UTF-8 \xff\xfe\n",
)
HARMFUL = (
    (b"\x1b]0;title\x07x", b"x"),
    (b"\x1b]52;c;cm0gLXJmIC8K\x1b\\x", b"x"),
    (b"\x1b[2J\x1b[Hx", b"x"),
    (b"\x1b[?1049hx", b"x"),
    (b"\x1b[6nx", b"x"),
    (b"\x1bcx", b"x"),
    (b"\x1bP$q\x1b\\x", b"x"),
    (b"\x1b\x1b[32mx", b"\x1b[32mx"),
    (b"\xc2\x9b2Jx", b"2Jx"),
    (b"\xc2\x07\x9b2Jx", b"\x9b2Jx"),
    (b"a\x08\x07\x00b", b"ab"),
    (b"\x1b\x07[2Jx", b"[2Jx"),
)


@pytest.mark.parametrize("text", HARMLESS)
def test_what_logs_need_stays(text: bytes) -> None:
    assert Harmless().feed(text) == text


@pytest.mark.parametrize(("text", "shown"), HARMFUL)
def test_what_drives_a_terminal_goes(text: bytes, shown: bytes) -> None:
    assert Harmless().feed(text) == shown


def test_how_it_is_cut_changes_nothing() -> None:
    some = random.Random(7)
    for _ in range(300):
        pieces = [some.choice((*HARMLESS, *(text for text, _ in HARMFUL))) for _ in range(8)]
        text = b"".join(pieces) + b"end\n"
        cuts = sorted(some.randrange(len(text)) for _ in range(10))
        edges = [0, *cuts, len(text)]
        stream = Harmless()
        assert b"".join(stream.feed(text[a:b]) for a, b in pairwise(edges)) == Harmless().feed(text)


def test_a_sequence_without_end_holds_nothing_back_for_ever() -> None:
    stream = Harmless()
    shown = b"".join(stream.feed(part) for part in (b"\x1b]0;", b"a" * 5000, b"b" * 5000))
    assert shown.endswith(b"b" * 5000)
    assert b"\x1b" not in shown
