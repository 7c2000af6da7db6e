"""What a person sees while something takes long."""

from __future__ import annotations

import io

import pytest

from testbed import progress
from testbed.progress import Progress
from testbed.wait import wait_for


def test_a_short_step_is_one_line() -> None:
    stream = io.StringIO()
    with Progress(stream).step("assembling an image"):
        pass
    (line,) = stream.getvalue().splitlines()
    assert line.startswith("[   0.0 s] assembling an image … done in 0.")


def test_a_long_step_gives_signs_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "FIRST_SIGN", 0.05)
    monkeypatch.setattr(progress, "SIGN_OF_LIFE", 0.05)
    stream = io.StringIO()
    with Progress(stream).step("building kubelet"):
        wait_for("two signs", lambda: "so far" in stream.getvalue(), 5)
    lines = [line.partition("] ")[2] for line in stream.getvalue().splitlines()]
    assert lines[0] == "building kubelet …"
    assert lines[1] == "building kubelet … 0 s so far"
    assert lines[-1].startswith("building kubelet … done in 0.")


def test_a_failed_step_says_so_and_lets_the_error_through() -> None:
    stream = io.StringIO()
    with pytest.raises(ValueError, match="broken"), Progress(stream).step("building kubelet"):
        raise ValueError("broken")
    assert "building kubelet … failed after 0.0 s" in stream.getvalue()
