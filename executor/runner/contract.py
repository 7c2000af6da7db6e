"""The environment of a stage, and the exit codes it may end with.

Source: executors/custom/command/command.go and executors/custom/custom.go of GitLab Runner 19.4.
"""

from __future__ import annotations

import os

from executor.errors import ContractBroken, DriverError
from executor.values import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import NoReturn

JOB_FILE_VARIABLE = "KANIKO_DRIVER_JOB_FILE"
"""Set through `job_env`, so without the prefix that everything a job can set carries."""

_JOB_VARIABLE = "CUSTOM_ENV_"
"""What the runner puts before the name of every variable of a job."""
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
"""As strconv.ParseBool of Go."""


@dataclass(frozen=True, kw_only=True)
class Contract:
    """What the runner promises every stage."""

    build_failure: int
    system_failure: int
    exit_code_file: str | None
    """Where the script's own exit code goes when a stage ends with `build_failure`; runners before 17 have none."""

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Contract:
        """Read the contract.

        Raises:
            ContractBroken: a variable is missing or not a number.
        """
        return cls(
            build_failure=_number(environment, "BUILD_FAILURE_EXIT_CODE"),
            system_failure=_number(environment, "SYSTEM_FAILURE_EXIT_CODE"),
            exit_code_file=environment.get("BUILD_EXIT_CODE_FILE") or None,
        )

    def forget_exit_code(self) -> None:
        """Remove the code of an earlier sub-stage: the file is one for all, and a stale value would be believed.

        Raises:
            OSError: it cannot be removed.
        """
        if self.exit_code_file is not None and os.path.exists(self.exit_code_file):
            os.unlink(self.exit_code_file)

    def script_failed(self, code: int, complain: Callable[[str], None] = lambda _: None) -> int:
        """Leave the script's exit code for the runner and return the stage's own.

        Args:
            code: 1 to 255.
            complain: told in words when the code cannot be left; the runner then takes it for 1.
        """
        if self.exit_code_file is None:
            return self.build_failure
        # Whole or not at all: a full disk would leave an empty file, and that is an unknown failure to the runner.
        draft = f"{self.exit_code_file}.new"
        try:
            # Integer only, first line: the runner turns anything else into an unknown failure.
            with open(draft, "w", encoding="ascii") as file:
                file.write(f"{code}\n")
            os.replace(draft, self.exit_code_file)
        except OSError as error:
            complain(
                f"the script's exit code {code} could not be handed to the runner, which takes it for 1: "
                f"{self.exit_code_file}: {error.strerror}"
            )
        return self.build_failure

    def failed(self, error: DriverError) -> int:
        """Return the exit code for an error of the driver."""
        return self.build_failure if error.author_can_mend else self.system_failure


def job_file_path(environment: Mapping[str, str]) -> str | None:
    """Return where `config` left the job file, or None when it never came so far."""
    return environment.get(JOB_FILE_VARIABLE) or None


def job_variables(environment: Mapping[str, str], prefix: str) -> dict[str, str]:
    """Return the job's variables whose names begin with `prefix`: wishes of its author, and never to be trusted."""
    start = _JOB_VARIABLE + prefix
    return {name.removeprefix(_JOB_VARIABLE): value for name, value in environment.items() if name.startswith(start)}


def is_asked_for(variables: Mapping[str, str], name: str) -> bool:
    """Tell whether the job's author switched something on, by any word that the runner takes for true."""
    return variables.get(name, "") in _TRUE


def required(environment: Mapping[str, str], name: str) -> str:
    """Return a variable of the contract.

    Raises:
        ContractBroken: it is missing.
    """
    try:
        return environment[name]
    except KeyError:
        _missing(name)


def _number(environment: Mapping[str, str], name: str) -> int:
    text = required(environment, name)
    if not text.isdecimal():
        raise ContractBroken(
            f"The variable {name} is {text!r}, which is not an exit code.",
            remedy="GitLab Runner sets it for every stage; check what starts this command.",
        )
    return int(text)


def _missing(name: str) -> NoReturn:
    raise ContractBroken(
        f"The variable {name} is missing.",
        why="GitLab Runner's custom executor sets it for every stage, since version 17.9 all of those used here.",
        remedy="Let gitlab-runner run this command (runner-config.toml.example shows how), or upgrade the runner.",
    )
