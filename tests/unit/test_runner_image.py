"""What the runner's image promises by its Dockerfile, and what the script that prepares it refuses. No network."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
# Instructions only, continued lines joined.
INSTRUCTIONS = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE)).splitlines()


def prepare(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([ROOT / "scripts/runner-image", *arguments], capture_output=True, text=True, check=False)


def test_base_images_are_arguments_with_pinned_defaults() -> None:
    defaults = dict(line.removeprefix("ARG ").split("=", 1) for line in INSTRUCTIONS if line.startswith("ARG "))
    assert set(defaults) == {"PYTHON_IMAGE", "RUNNER_IMAGE"}
    for image in defaults.values():
        assert re.search(r":[\w.-]*\d+\.\d+\.\d+", image), image
    bases = {line.split()[1] for line in INSTRUCTIONS if line.startswith("FROM ")}
    assert bases == {"${PYTHON_IMAGE}", "${RUNNER_IMAGE}"}


def test_it_runs_as_a_user_that_can_be_told_from_root_by_number() -> None:
    (user,) = (line for line in INSTRUCTIONS if line.startswith("USER "))
    assert re.fullmatch(r"USER [1-9]\d*:0", user)
    assert INSTRUCTIONS.index(user) > max(n for n, line in enumerate(INSTRUCTIONS) if line.startswith("RUN "))


def test_nothing_is_fetched_and_every_wheel_is_checked() -> None:
    install = next(line for line in INSTRUCTIONS if "pip" in line and "install" in line)
    assert "--no-index" in install
    assert "--require-hashes" in install
    assert not re.search(r"\b(curl|wget|apt-get|apk)\b|https?://", "\n".join(INSTRUCTIONS))


def test_no_processor_is_assumed() -> None:
    assert not re.search(r"amd64|x86_64|arm64|aarch64|--platform", "\n".join(INSTRUCTIONS))


def test_it_is_stopped_so_that_jobs_may_finish() -> None:
    assert "STOPSIGNAL SIGQUIT" in INSTRUCTIONS


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--arch", "sparc"), "--arch takes amd64 or arm64"),
        (("--python",), "--python needs a value"),
        (("--frobnicate",), "there is no option --frobnicate"),
    ],
)
def test_wrong_options_are_refused_in_words(arguments: tuple[str, ...], words: str) -> None:
    done = prepare(*arguments)
    assert done.returncode == 2
    assert words in done.stderr


def test_a_folder_that_it_did_not_make_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    done = prepare("--output", str(tmp_path))
    assert done.returncode == 2
    assert "was not made by this script" in done.stderr
    assert (tmp_path / "mine").read_text() == "mine"


def test_the_help_shows_how_to_go_on() -> None:
    done = prepare("--help")
    assert done.returncode == 0
    assert "Example: scripts/runner-image && docker build" in done.stdout
