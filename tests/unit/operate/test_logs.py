"""What `logs` takes of a pod whose build has root in it, and of one that says nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from executor.errors import ClusterUnreachable
from executor.operate import logs
from executor.operate.jobpod import JobPod

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from executor.job import Connection

LINE = b"build_script-bcdfghjk build 2026-11-01T10:00:00\n"


@pytest.fixture
def pod(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> JobPod:
    """A pod whose places are only named."""
    monkeypatch.setattr(logs, "_place", lambda _pod, container: container)
    monkeypatch.setattr("time.sleep", lambda _: None)
    return JobPod(connection=connection, name="p", project="", notes=())


def printing(monkeypatch: pytest.MonkeyPatch, pieces: Callable[[], Iterator[bytes]]) -> None:
    monkeypatch.setattr(logs, "_printed", lambda _place, _command: pieces())


def test_a_list_of_scripts_without_end_is_not_read_to_it(pod: JobPod, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = 0

    def pieces() -> Iterator[bytes]:
        nonlocal taken
        yield LINE
        while True:
            taken += 1
            assert taken < 100
            yield b"x" * 32_768

    printing(monkeypatch, pieces)
    assert [stage.sub_stage for stage in logs._listed(pod, seen=None)] == ["build_script"]


def test_a_pod_that_says_nothing_is_told_in_words(pod: JobPod, monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[Any] = []

    def pieces() -> Iterator[bytes]:
        tries.append(None)
        yield LINE
        raise TimeoutError

    printing(monkeypatch, pieces)
    with pytest.raises(ClusterUnreachable, match="does not answer"):
        logs._listed(pod, seen=None)
    assert len(tries) == 5
