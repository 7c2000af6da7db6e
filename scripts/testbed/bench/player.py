"""Plays the runner for one attempt of a job: the driver's stages one by one, where a whole job would hide them.

Source of what a stage is given: executors/custom/command/command.go and executors/custom/custom.go of GitLab Runner.
"""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from testbed import ci
from testbed.errors import BedError
from testbed.jobs import Circumstances, JobSpec, payload
from testbed.process import tail

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType
    from typing import IO, Self

FAILURES = {"BUILD_FAILURE_EXIT_CODE": "1", "SYSTEM_FAILURE_EXIT_CODE": "2"}
PATIENCE = 300.0  # seconds for one stage


class Attempt:
    """A job's attempt, as a context manager: its pod is ready in the block and deleted after it."""

    def __init__(self, folder: Path, spec: JobSpec, *, settings: Path, driver: Path = ci.DRIVER_COMMAND) -> None:
        self._folder = folder
        self._settings = settings
        self._driver = driver
        self._tenant = spec.tenant
        self._environment = environment(folder, spec.ident or 1)
        folder.mkdir(parents=True, mode=0o700)
        response = payload(spec, Circumstances("http://gitlab.invalid", spec.ident or 1, "no-token", "0" * 40))
        (folder / "response.json").write_text(json.dumps(response))

    def __enter__(self) -> Self:
        try:
            self.config()
            self.stage("prepare")
        except BaseException:
            self._clean_up()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._clean_up()

    def config(self) -> dict[str, Any]:
        """Run the first stage; what it tells about the job reaches the later ones. Returns the job file."""
        answer = json.loads(self.stage("config", "--settings", str(self._settings), "--tenant", self._tenant))
        self._environment |= answer["job_env"]
        job: dict[str, Any] = json.loads((self._folder / "kaniko-driver.json").read_text())
        return job

    def stage(self, *words: str) -> bytes:
        """Run a stage to its end and return what it printed.

        Raises:
            BedError: its exit code is not 0.
        """
        with self.start(*words) as process:
            out, _ = process.communicate(timeout=PATIENCE)
        self.check(process, out)
        return out

    def run(self, script: str, sub_stage: str = "build_script") -> bytes:
        """Run a script as a sub-stage and return what it printed."""
        return self.stage(*self.run_words(script, sub_stage))

    def run_words(self, script: str, sub_stage: str = "build_script") -> tuple[str, str, str]:
        """Write a script and return the words that run it."""
        path = self._folder / f"{sub_stage}.sh"
        path.write_text(f"set -e\n{script}\n")
        return ("run", str(path), sub_stage)

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """Start a stage; its stdout is a pipe."""
        with self._errors.open("ab") as errors:
            return subprocess.Popen(
                (self._driver, *words),
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                process_group=0,
            )

    def check(self, process: subprocess.Popen[bytes], out: bytes = b"") -> None:
        """See how a stage ended.

        Raises:
            BedError: its exit code is not 0.
        """
        if process.returncode:
            words = b"\n".join(out.splitlines()[-10:]).decode(errors="replace")
            raise BedError(f"a stage ended with exit code {process.returncode}: {words}\n{tail(self._errors)}")

    @property
    def _errors(self) -> Path:
        return self._folder / "stderr.log"

    def _clean_up(self) -> None:
        with suppress(BedError):  # what is left is found by whoever looks whether the namespace is quiet
            self.stage("cleanup")


def environment(folder: Path, job: int, own: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What the runner gives to every stage of an attempt whose temporary folder is `folder`."""
    return {
        "PATH": own.get("PATH", ""),
        "HOME": own.get("HOME", ""),
        "TMPDIR": str(folder),
        "JOB_RESPONSE_FILE": str(folder / "response.json"),
        "BUILD_EXIT_CODE_FILE": str(folder / "build_exit_code"),
        "CUSTOM_ENV_CI_JOB_ID": str(job),
        **FAILURES,
    }


def output(process: subprocess.Popen[bytes]) -> IO[bytes]:
    """The pipe of a stage's output."""
    if process.stdout is None:
        raise BedError("the stage has no pipe for its output")
    return process.stdout
