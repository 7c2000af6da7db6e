"""A job pod made of real programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.pods import Pod, make_image, make_tools

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.container import Container


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The /bin of every container."""
    return make_image(tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory, image: Path) -> Path:
    """The tools volume."""
    return make_tools(tmp_path_factory.mktemp("tools"), image)


@pytest.fixture
def pod(tmp_path: Path, image: Path, tools: Path) -> Iterator[Pod]:
    """An empty pod."""
    made = Pod(tmp_path, image, tools)
    yield made
    made.close()


@pytest.fixture
def build(pod: Pod) -> Container:
    """The pod's build container, idle."""
    return pod.start()
