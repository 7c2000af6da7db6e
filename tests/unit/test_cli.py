"""The command as a shell starts it: which side of it gets to work, and how it ends where no command can say why."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.tenants import MINIMAL, write_settings

START = "from executor.cli import main; main()"


def started(*arguments: str, code: str = START, to: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command; `to` is the file that it prints to."""
    with Path(to or "/dev/null").open("w", encoding="utf-8") as stdout:
        return subprocess.run(
            [sys.executable, "-c", code, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=stdout if to else subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.mark.parametrize("option", ["-h", "--help"])
@pytest.mark.parametrize("stage", ["config", "prepare", "run", "cleanup"])
def test_the_help_of_a_stage_is_no_stage(stage: str, option: str) -> None:
    done = started(stage, option)

    assert (done.returncode, done.stderr) == (0, "")
    assert f"kaniko-driver {stage}" in done.stdout.replace("-c", "kaniko-driver")


def test_a_full_disk_ends_in_words() -> None:
    done = started("version", to="/dev/full")

    assert done.returncode == 1
    assert done.stderr == "Error: the output cannot be written: No space left on device\n"


def test_ctrl_c_before_the_command_is_even_imported_ends_in_words() -> None:
    interrupt = (
        "import sys\n"
        "class Interrupted:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'executor.operate.commands': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupted())\n"
    )

    done = started("version", code=interrupt + START)

    assert done.returncode == 1
    assert done.stderr.strip() == "Aborted!"


@pytest.mark.parametrize("output", ["text", "json"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_who_is_ended_by_a_signal_has_shown_what_he_saw_and_leaves_no_credentials(
    tmp_path: Path, number: signal.Signals, output: str
) -> None:
    settings = write_settings(
        tmp_path / "settings", tenant=MINIMAL.replace("[cluster]", f"[cluster]\nkubeconfig = '{tmp_path}/kubeconfig'")
    )
    # Port 1 of loopback: nobody listens there.
    user, cluster = {"token": "s3cret"}, {"server": "https://127.0.0.1:1"}
    document = {
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": user}],
    }
    (tmp_path / "kubeconfig").write_text(json.dumps(document))
    (tmp_path / "temporary").mkdir()
    command = [sys.executable, "-c", START, "jobs", "--watch", "--output", output, "--settings", settings]
    environment = os.environ | {"TMPDIR": str(tmp_path / "temporary")}
    with subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline(), "the first look"
        assert list(tmp_path.glob("temporary/*/*/token"))

        process.send_signal(number)

        assert process.wait(60) == 128 + number
    assert not list(tmp_path.glob("temporary/*"))
