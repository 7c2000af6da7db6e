"""What failed among many is tried once more, alone; and nothing that fails alone ever passes."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from testbed import secondtry
from testbed.errors import BedError

if TYPE_CHECKING:
    from pathlib import Path

STEADY = "def test_steady(): pass\n"
UNSTEADY = """
def test_unsteady_{number}():
    again = pathlib.Path("ran-{number}")
    assert again.exists() or again.touch()
"""
BROKEN = "def test_broken(): assert not 1\n"


class Project:
    """A project whose tests are run by a real pytest."""

    def __init__(self, folder: Path, *parts: str) -> None:
        self.folder = folder
        self.calls: list[list[str]] = []
        (folder / "pytest.ini").write_text("[pytest]\n")
        (folder / "test_all.py").write_text("\n".join(("import pathlib", *parts)))

    def run(self, *options: str) -> list[str]:
        command = [sys.executable, "-m", "pytest", "-q", *options]
        return secondtry.run(command, command, self._call, self.folder)

    def _call(self, command: list[str]) -> int:
        self.calls.append(command)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
        return subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, check=False).returncode


def test_where_all_pass_nothing_is_run_twice(tmp_path: Path) -> None:
    tests = Project(tmp_path, STEADY)
    assert tests.run() == []
    assert len(tests.calls) == 1


def test_what_passes_alone_is_named_and_the_rest_is_not_run_again(tmp_path: Path) -> None:
    tests = Project(tmp_path, STEADY, UNSTEADY.format(number=1))
    assert tests.run() == ["test_all.py::test_unsteady_1"]
    assert tests.calls[1][-1] == "--last-failed"


def test_what_fails_twice_has_failed(tmp_path: Path) -> None:
    tests = Project(tmp_path, STEADY, BROKEN, UNSTEADY.format(number=1))
    with pytest.raises(BedError, match="--last-failed failed with exit code 1"):
        tests.run()


def test_more_than_a_few_are_no_chance(tmp_path: Path) -> None:
    tests = Project(tmp_path, *(UNSTEADY.format(number=number) for number in range(secondtry.MOST + 1)))
    with pytest.raises(BedError, match="--cache-clear failed with exit code 1"):
        tests.run()
    assert len(tests.calls) == 1


def test_tests_that_could_not_be_run_have_failed(tmp_path: Path) -> None:
    tests = Project(tmp_path, "import nothing_of_this_name")
    with pytest.raises(BedError, match="--cache-clear failed with exit code 2"):
        tests.run()


def test_a_failure_of_an_earlier_run_is_forgotten(tmp_path: Path) -> None:
    tests = Project(tmp_path, BROKEN, UNSTEADY.format(number=1))
    with pytest.raises(BedError):
        tests.run("-k", "broken")
    assert tests.run("-k", "unsteady") == ["test_all.py::test_unsteady_1"]
