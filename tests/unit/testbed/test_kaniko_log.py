"""Cache hits are counted from Kaniko's own words."""

from __future__ import annotations

from pathlib import Path

import testbed
from testbed.kaniko_log import cacheable, hits, misses

LOG = """\
INFO[0000] Checking for cached layer 127.0.0.1:5407/layers:21de...
INFO[0000] Using caching version of cmd: COPY Makefile ./
INFO[0000] Using caching version of cmd: RUN make
INFO[0001] No cached layer found for cmd COPY . .
"""


def test_hits_and_misses_are_counted() -> None:
    assert (hits(LOG), misses(LOG)) == (2, 1)


def test_only_instructions_with_a_layer_of_their_own_are_cacheable() -> None:
    dockerfile = (
        "# RUN no\nFROM a AS b\nWORKDIR /x\nCOPY . .\nARG V\nrun make \\\n  RUN=1\nUSER 1\nCOPY --from=b /x /x\n"
    )
    assert cacheable(dockerfile) == 1


def test_the_sample_has_enough_to_cache() -> None:
    dockerfile = Path(testbed.__file__).parent / "sample" / "Dockerfile"
    assert cacheable(dockerfile.read_text()) == 4
