"""Files on the command lines of scripts/ are those of whoever calls, wherever the script itself goes."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.testing import CliRunner

import testbed
from testbed.paths import FilePath

if TYPE_CHECKING:
    import pytest

SCRIPTS = Path(testbed.__file__).parent.parent


@click.command()
@click.argument("file", type=FilePath(dir_okay=False))
def told(file: Path) -> None:
    """Print what it is given."""
    click.echo(file)


def test_a_relative_path_is_the_callers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLED_FROM", str(tmp_path))
    assert CliRunner().invoke(told, ["figures.json"]).output == f"{tmp_path}/figures.json\n"


def test_a_file_that_could_never_be_written_is_refused_at_once(tmp_path: Path) -> None:
    done = CliRunner().invoke(told, [str(tmp_path / "absent" / "figures.json")])
    assert (done.exit_code, f"there is no folder {tmp_path}/absent" in done.output) == (2, True)


def test_a_script_goes_to_the_project_and_remembers_from_where(tmp_path: Path) -> None:
    script = '. "$1"; echo "$CALLED_FROM $PWD"'
    done = subprocess.run(
        ["sh", "-c", script, str(SCRIPTS / "bed"), str(SCRIPTS / "bootstrap.sh")],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "WITHOUT_VENV": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{tmp_path} {SCRIPTS.parent}\n"
