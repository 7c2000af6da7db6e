"""Beds side by side: each worker has another one, and the first has the usual one."""

from __future__ import annotations

import os

import pytest

from testbed import beds


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KANIKO_BED_NAME", "KANIKO_BED_STATE", beds.WORKER):
        # Set first, so that what the test sets itself is taken back too.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def chosen() -> tuple[str | None, str | None]:
    beds.choose()
    return os.environ.get("KANIKO_BED_NAME"), os.environ.get("KANIKO_BED_STATE")


@pytest.mark.parametrize("worker", [None, "gw0"])
def test_the_first_one_is_the_usual_bed(monkeypatch: pytest.MonkeyPatch, worker: str | None) -> None:
    if worker:
        monkeypatch.setenv(beds.WORKER, worker)
    assert chosen() == (None, None)


def test_the_second_one_has_a_name_of_its_own_from_which_its_folder_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(beds.WORKER, "gw1")
    assert chosen() == ("kaniko-bed-2", None)


def test_a_bed_that_was_named_lends_its_name_and_its_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KANIKO_BED_NAME", "mine")
    monkeypatch.setenv("KANIKO_BED_STATE", "/srv/mine")
    monkeypatch.setenv(beds.WORKER, "gw2")
    assert chosen() == ("mine-3", "/srv/mine-3")
