"""A job log is shown and measured by the runner's own stamps."""

from __future__ import annotations

from testbed.joblog import Unstamped, plain, section

TRACE = (
    b"2026-11-23T15:32:27.000000Z 00O section_start:1795447947:step_script\r\x1b[0K\n"
    b'2026-11-23T15:32:27.100000Z 00O+\x1b[0K\x1b[36;1mExecuting "step_script"\x1b[0;m\n'
    b"2026-11-23T15:32:27.500000Z 01O \x1b[32;1m$ make\x1b[0;m\n"
    b"2026-11-23T15:32:29.000000Z 01E cc -O2\n"
    b"2026-11-23T15:32:30.000000Z 00O section_end:1795447950:step_script\r\x1b[0K\n"
    b"2026-11-23T15:32:30.100000Z 00O+\x1b[0KJob succeeded\n"
)
SHOWN = 'Executing "step_script"\n$ make\ncc -O2\nJob succeeded'


def test_stamps_markers_and_colours_do_not_reach_the_reader() -> None:
    assert plain(TRACE) == SHOWN


def test_a_log_in_pieces_reads_like_a_log_in_one() -> None:
    view = Unstamped()
    pieces = [TRACE[at : at + 7] for at in range(0, len(TRACE), 7)]
    assert "".join(view.feed(piece) for piece in pieces) == Unstamped().feed(TRACE)


def test_a_line_without_stamp_is_kept() -> None:
    assert plain(b"no stamp\n2026-11-23T15:32:27.000000Z 00O stamp\n") == "no stamp\nstamp"


def test_a_section_knows_its_times_and_its_first_output() -> None:
    found = section(TRACE, "step_script")
    assert found is not None
    assert found.ended is not None
    assert (found.ended - found.started).total_seconds() == 3
    assert found.first_output is not None
    assert (found.first_output - found.started).total_seconds() == 0.5


def test_a_section_that_never_ended_has_no_end() -> None:
    found = section(TRACE[:200], "step_script")
    assert found is not None
    assert found.ended is None


def test_a_section_that_never_began_is_none() -> None:
    assert section(TRACE, "get_sources") is None
