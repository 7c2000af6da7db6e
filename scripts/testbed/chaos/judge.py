"""What a job's log and result say after a fault: right outcome, nothing lost or doubled, explained. Pure."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass

_LINE = re.compile(r"^(line|after) (\d+)$", re.MULTILINE)
SUCCESS, SYSTEM, SCRIPT, LOST = "success", "system", "script", "lost"
"""How a job may end: `lost` is a job whose runner was killed, so that GitLab never hears of its end."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One fault and what became of the job that met it."""

    fault: str
    stage: str
    injected: bool
    """The fault met the job in that stage."""
    outcome_right: bool
    log_exact: bool
    """Every line that the job printed is there, once and in order; all of them, where the job succeeded."""
    explained: bool
    """A failure is told with its cause, in the job log and by category in the operator log."""
    leftovers: int
    """Pods of the job, and Secrets of such pods, that are there a minute after its end."""

    def as_json(self) -> dict[str, object]:
        """Return it as the list in the file has it."""
        return asdict(self)

    @property
    def good(self) -> bool:
        """Return whether all is as it should be."""
        return self.injected and self.outcome_right and self.log_exact and self.explained and not self.leftovers


def outcome(state: str | None, reason: str) -> str:
    """Return how a job ended, by what the runner reported."""
    if state is None:
        return LOST
    if state == "success":
        return SUCCESS
    return SCRIPT if reason == "script_failure" else SYSTEM


def exact(text: str, *, lines: int, after: int, all_lines: bool, all_after: bool) -> bool:
    """Tell whether the numbered lines of script and after_script are there as they were printed.

    Args:
        text: the job log without markers and colours.
        lines: how many the script prints.
        after: how many after_script prints.
        all_lines: the job succeeded, so that none may be missing.
        all_after: the same of after_script, whose failure fails no job.
    """
    for word, most, wanted in (("line", lines, all_lines), ("after", after, all_after)):
        numbers = [int(number) for kind, number in _LINE.findall(text) if kind == word]
        if numbers != list(range(len(numbers))) or len(numbers) > most:
            return False
        if wanted and len(numbers) != most:
            return False
    return True


def explained(text: str, how: str, categories: set[str], *, by_runner: bool) -> bool:
    """Tell whether a failure has its cause in the job log, and its category in the operator log.

    Args:
        text: the job log without markers and colours.
        how: the outcome.
        categories: those of the operator log's lines about the job.
        by_runner: nobody but the runner can tell, since the driver's process was killed or its host is at fault.
    """
    if how in {SUCCESS, LOST}:
        return True
    if by_runner:
        return "ERROR: Job failed" in text or "kaniko-driver: " in text
    told = [line for line in text.splitlines() if line.startswith("kaniko-driver: ")]
    return bool(categories) and (how == SCRIPT or any(" is ready on node " not in line for line in told[1:] or told))
