"""What a person sees while something takes long."""

from __future__ import annotations

import io
import re

import pytest

from testbed import progress
from testbed.progress import Progress
from testbed.wait import wait_for


def test_a_short_step_is_one_line() -> None:
    stream = io.StringIO()
    with Progress(stream).step("assembling an image"):
        pass
    (line,) = stream.getvalue().splitlines()
    assert re.fullmatch(r"\[ +\d+\.\d s\] assembling an image … done in \d+\.\d s", line)


def test_a_long_step_gives_signs_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "FIRST_SIGN", 0.05)
    monkeypatch.setattr(progress, "SIGN_OF_LIFE", 0.05)
    stream = io.StringIO()
    with Progress(stream).step("building kubelet"):
        wait_for("two signs", lambda: "so far" in stream.getvalue(), 5)
    lines = [line.partition("] ")[2] for line in stream.getvalue().splitlines()]
    assert lines[0] == "building kubelet …"
    assert re.fullmatch(r"building kubelet … \d+ s so far", lines[1])
    assert re.fullmatch(r"building kubelet … done in \d+\.\d s", lines[-1])


def test_a_failed_step_says_so_and_lets_the_error_through() -> None:
    stream = io.StringIO()
    with pytest.raises(ValueError, match="broken"), Progress(stream).step("building kubelet"):
        raise ValueError("broken")
    assert re.search(r"building kubelet … failed after \d+\.\d s$", stream.getvalue())
