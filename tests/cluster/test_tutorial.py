"""A new user's way through the tutorial: every command of its first part, in its order, as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from testbed import api, layout

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/en/tutorial/first-tenant.md"
BED = re.compile(r"^scripts/bed (up|down)$", re.MULTILINE)
"""The bed is up already, and other tests go on with it."""
OUTSIDE = ("unshare", "--net")
"""A new user does not sit in the bed's network, as these tests do: what forgets BED_ENTER must fail."""


def commands() -> str:
    """Return the shell blocks of the first part as one script that ends at the first failure."""
    part = PAGE.read_text(encoding="utf-8").partition("## Part 1")[2].partition("## Part 2")[0]
    blocks = [BED.sub("true", block) for block in re.findall(r"^```sh\n(.*?)^```", part, re.MULTILINE | re.DOTALL)]
    assert len(blocks) >= 8
    # The one command that is said to complain: no kubeconfig yet.
    assert sum("kaniko-driver validate" in block for block in blocks) == 1
    marked = [f"echo '### block {number}'\n{block}" for number, block in enumerate(blocks, 1)]
    text = "\n".join(marked).replace(
        'kaniko-driver validate --settings "$SETTINGS"',
        'kaniko-driver validate --settings "$SETTINGS" || echo validated',
    )
    return f"set -eu\n{text}\necho '### done'\n"


@pytest.fixture
def _clean() -> object:
    yield
    for kind, name in (("Namespace", "team-blue"), ("ValidatingAdmissionPolicy", "kaniko-driver-team-blue")):
        if api.get(kind, name):
            api.request("DELETE", api.path_of(kind, name))


@pytest.mark.usefixtures("_bed", "_clean")
def test_every_command_of_the_tutorial_does_what_the_page_says(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path), "KANIKO_BED_NAME": layout.NAME}
    done = subprocess.run(
        (*OUTSIDE, "bash", "-c", commands()),
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "### done" in done.stdout
    blocks = dict(re.findall(r"^### block (\d+)\n(.*?)(?=^### )", done.stdout, re.MULTILINE | re.DOTALL))
    assert "there is no kubeconfig" in said or "kubeconfig cannot be read" in said
    assert "validated" in blocks["4"]
    assert re.search(r"\d+ created", blocks["5"])
    assert "team-blue: ready for jobs" in blocks["6"]
    assert "kind: Pod" in blocks["7"]
    assert "Pushed" in blocks["8"]
    assert "1 jobs" in blocks["9"] or re.search(r"jobs\s+│\s+1 ", blocks["9"])
    assert api.get("Namespace", "team-blue") is None or api.get("Namespace", "team-blue")["metadata"].get(  # type: ignore[index]
        "deletionTimestamp"
    )
