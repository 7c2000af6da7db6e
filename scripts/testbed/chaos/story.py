"""What a story is: one fault in one stage of a job, and how that job may end. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from testbed import ci
from testbed.chaos.judge import LOST
from testbed.jobs import Artifacts, Cache

if TYPE_CHECKING:
    from testbed.chaos.faults import Fault

CONFIG, PREPARE, SOURCES, BUILD, AFTER, CLEANUP = (
    "config",
    "prepare",
    "get_sources",
    "build_script",
    "after_script",
    "cleanup",
)
STAGES = (CONFIG, PREPARE, SOURCES, BUILD, AFTER, CLEANUP)
"""Those in which everything is tried."""
BEFORE, LATE = (
    ("prepare_script", "restore_cache"),
    ("archive_cache", "upload_artifacts_on_success", "cleanup_file_variables"),
)
"""Further sub-stages, which last a moment each."""
LINES, FEW_LINES, AFTER_LINES = 80, 20, 20
PATIENCE, PATIENCE_WHEN_LOST = 420.0, 40.0
"""Seconds that a job under a fault may take; a job whose runner was killed is never reported."""


def counting(lines: int, word: str = "line") -> str:
    """A script that prints so many lines, ten a second."""
    # The words that the log shows before each command must not look like their output.
    return f'i=0; while [ $i -lt {lines} ]; do echo "{word} $i"; i=$((i+1)); sleep 0.1; done'


HOG = "x=$(head -c 700000000 /dev/zero | tr '\\0' a); echo ${#x}"
FILLING = "dd if=/dev/zero of=/builds/filler bs=1M count=200; sleep 120"
FILLING_CONTAINER = "dd if=/dev/zero of=/filler bs=1M count=900; sleep 120"


@dataclass(frozen=True, kw_only=True)
class Story:
    """One fault in one stage."""

    fault: str
    stage: str
    act: Fault
    ends: frozenset[str]
    """Outcomes that are right."""
    lines: int = FEW_LINES
    then: str = ""
    """What the script does after it has counted."""
    mark: str = ""
    """Text of the job log at which the fault happens; otherwise at once when the stage has begun."""
    hooks: tuple[str, ...] = ()
    """What get_sources runs before it clones."""
    by_runner: bool = False
    """Only the runner can tell why such a job failed."""
    jobs: int = 1
    timeout: int = 600
    """Seconds that the job may run."""
    loses_after: bool = False
    """after_script may be lost although the job succeeds: GitLab does not count its failure."""
    swept: bool = False
    """Nobody is left to delete the pod: it may stay until its deadline and the next sweep."""
    short: bool = False
    """Part of the short form."""
    stores: bool = False
    """The job has a cache and artifacts, so that it has sub-stages for them."""

    @property
    def script(self) -> tuple[str, ...]:
        """The job's script."""
        kept = ("head -c 4000000 /dev/urandom > kept",) if self.stores else ()
        return (counting(self.lines), *kept, *([self.then] if self.then else ()))

    @property
    def patience(self) -> float:
        """Seconds to wait for the job's end."""
        return PATIENCE_WHEN_LOST if LOST in self.ends else PATIENCE

    @property
    def overrides(self) -> dict[str, Any]:
        """What is laid over the job as GitLab would hand it out."""
        hooks = [{"name": "pre_get_sources_script", "script": list(self.hooks)}] if self.hooks else []
        return {"hooks": hooks}

    @property
    def stored(self) -> dict[str, Any]:
        """The job's cache and artifacts."""
        if not self.stores:
            return {}
        return {"artifacts": (Artifacts(("kept",)),), "cache": (Cache("chaos", ("kept",)),)}


def story(fault: str, stage: str, act: Fault, *ends: str, **more: Any) -> Story:
    """Make one; a stage that is over before anybody could disturb it is made longer."""
    if stage == SOURCES:
        more = {"hooks": ("sleep 4",)} | more
    if stage == BUILD:
        more = {"lines": LINES, "mark": "line 5"} | more
    if stage == AFTER:
        more = {"mark": "after 3"} | more
    return Story(fault=fault, stage=stage, act=act, ends=frozenset(ends), **more)


def building(dockerfile: str = "Dockerfile", flags: str = "") -> dict[str, Any]:
    """A job whose script builds with Kaniko, and meets its fault while RUN is at work."""
    # An argument of its own for each job, so that the layer cache does not have the instruction.
    command = ci.KANIKO.replace("/Dockerfile", f"/{dockerfile}")
    then = f'{command} --build-arg "JOB=$CI_JOB_ID" {flags}'.rstrip()
    return {"then": then, "lines": FEW_LINES, "mark": AT_WORK}


AT_WORK = "at work: 42"
DOCKERFILES = {
    "Dockerfile": 'RUN echo "$JOB at work: $((6 * 7))"; sleep 6; echo made > /made',
    "Hungry": 'RUN echo "at work: $((6 * 7))"; x=$(head -c 600000000 /dev/zero | tr "\\\\0" a); echo ${#x}',
    "Large": 'RUN echo "at work: $((6 * 7))"; head -c 160000000 /dev/urandom > /large',
}
"""Instructions of the project's Dockerfiles, by their names."""
