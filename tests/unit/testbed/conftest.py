"""A coordinator on loopback with one small repository, for every test of this folder that asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from testbed.coordinator import Coordinator
from testbed.gitserver import commit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def repositories(tmp_path: Path) -> Path:
    """`group/sample.git` with one file."""
    content = tmp_path / "content"
    content.mkdir()
    (content / "hello.txt").write_text("hello from git\n")
    commit(tmp_path / "repositories" / "group" / "sample.git", content)
    return tmp_path / "repositories"


@pytest.fixture
def coordinator(tmp_path: Path, repositories: Path) -> Iterator[Coordinator]:
    """A coordinator for two tenants."""
    with Coordinator(
        "127.0.0.1", folder=tmp_path / "jobs", repositories=repositories, tenants=("tenant-a", "tenant-b")
    ) as running:
        yield running
