"""Waiting for a condition: what is returned, what the error says."""

from __future__ import annotations

import time

import pytest

from testbed.errors import BedError
from testbed.wait import wait_for


def test_the_first_truthy_result_is_returned() -> None:
    results = iter(("", 0, "ready"))
    assert wait_for("the server", lambda: next(results), 5) == "ready"


def test_a_refused_connection_counts_as_not_yet() -> None:
    tries = []

    def connect() -> bool:
        tries.append(1)
        if len(tries) < 3:
            raise ConnectionRefusedError
        return True

    assert wait_for("the server", connect, 5)
    assert len(tries) == 3


def test_the_error_names_the_thing_the_time_and_the_last_trouble() -> None:
    def missing() -> bool:
        raise FileNotFoundError(2, "No such file", "/run/x.sock")

    with pytest.raises(BedError, match=r"^containerd of node1: not within 0\.1 s \(last: .*'/run/x\.sock'\)$"):
        wait_for("containerd of node1", missing, 0.1)


def test_waiting_ends_at_once_when_it_has_become_pointless() -> None:
    def died() -> None:
        raise BedError("etcd ended")

    begun = time.monotonic()
    with pytest.raises(BedError, match="etcd ended"):
        wait_for("etcd", lambda: False, 60, died)
    assert time.monotonic() - begun < 30
