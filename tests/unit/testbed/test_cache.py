"""The cache: keys, whole or absent, one at work at a time."""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from testbed import cache, layout
from testbed.cache import Artifact, digest
from testbed.progress import Progress
from testbed.wait import wait_for

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own."""
    monkeypatch.setattr(layout, "CACHE", tmp_path)
    return tmp_path


def test_a_digest_sees_content_order_and_borders(tmp_path: Path) -> None:
    file = tmp_path / "go.mod"
    file.write_text("module x")
    assert digest(("a", file)) == digest(("a", b"module x"))
    assert len({digest(("ab", "c")), digest(("a", "bc")), digest(("c", "ab")), digest(("abc",))}) == 4


def test_an_artifact_is_made_once() -> None:
    made = []

    def maker(target: Path) -> None:
        made.append(target)
        target.write_text("content")

    artifact = Artifact("images", "pause", "0123", ".tar")
    assert not artifact.ready
    assert artifact.make(maker).read_text() == "content"
    artifact.make(maker)
    assert len(made) == 1
    assert artifact.path.name == "pause-0123.tar"


def test_an_interrupted_maker_leaves_nothing_under_the_final_name() -> None:
    artifact = Artifact("programs", "kubelet", "0123")

    def interrupted(target: Path) -> None:
        target.mkdir()
        (target / "half").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        artifact.make(interrupted)
    assert not artifact.ready
    cache.sweep()
    assert list((layout.CACHE / "programs").iterdir()) == []


def test_only_what_can_be_made_again_is_cleared(folder: Path) -> None:
    for name in ("images", "uv"):
        (folder / name).mkdir()
        (folder / name / "file").touch()
    cache.clear()
    assert [path.name for path in folder.iterdir()] == ["uv"]


def test_a_second_one_waits_for_the_lock_and_says_why(folder: Path) -> None:
    stream = io.StringIO()
    order = []

    def second() -> None:
        with cache.lock(folder / "lock", Progress(stream), "filling the cache"):
            order.append("second")

    with cache.lock(folder / "lock", Progress(io.StringIO()), "filling the cache"):
        other = threading.Thread(target=second)
        other.start()
        other.join(0.2)
        order.append("first")
    other.join()
    assert order == ["first", "second"]
    assert "waiting for another process that is filling the cache" in stream.getvalue()


def _hold(path: Path, held: Path) -> None:
    with cache.lock(path, Progress(io.StringIO()), "testing"):
        held.touch()
        signal.pause()


def test_the_lock_is_free_when_its_holder_was_killed(folder: Path) -> None:
    holder = multiprocessing.get_context("spawn").Process(target=_hold, args=(folder / "lock", folder / "held"))
    holder.start()
    wait_for("the holder", (folder / "held").exists, 20)
    os.kill(holder.pid or 0, signal.SIGKILL)
    holder.join()
    with cache.lock(folder / "lock", Progress(io.StringIO()), "testing"):
        pass


def test_a_lock_deleted_by_its_holder_is_not_taken_for_held(folder: Path) -> None:
    path = folder / "state" / "lock"
    inside = []

    def second() -> None:
        with cache.lock(path, Progress(io.StringIO()), "testing"):
            inside.append(path.exists())

    with cache.lock(path, Progress(io.StringIO()), "testing"):
        other = threading.Thread(target=second)
        other.start()
        other.join(0.2)
        cache.remove(path.parent)
    other.join()
    assert inside == [True]
