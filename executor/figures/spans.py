"""The lines of one attempt of a job -> the spans of its trace: the job, its stages, and what a stage waited for. Pure.

Names and attributes follow OpenTelemetry's semantic conventions where they have one (CI/CD, VCS, Kubernetes,
container); the rest begins with `kaniko_driver.`. Nothing gets in but what is named here: no traceback, no free text
but the reasons that the operator log gives for trouble on the way.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from executor.figures import attempts
from executor.figures.attempts import SUCCESS
from executor.scrub import readable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from executor.figures.attempts import Attempt

Line = dict[str, Any]
Attribute = str | int | float | bool

_LONGEST = 1024
"""Characters of a text in a span."""
_AUTHORS = frozenset({"script_failed", "job_refused", "service_failed"})
"""Failures of the job itself; so are those of Kaniko."""
_SAID = (
    *("code", "category", "bytes", "oom_kills", "memory_bytes", "programs_bytes", "cpu_ms", "disk_bytes"),
    *("builds_bytes", "cache_hits", "cache_misses", "cache_read_bytes", "cache_written_bytes", "cache_requests"),
    *(
        "cache_wait_ms",
        "cache_saved_ms",
        "cache_dropped",
        "cache_lost",
        "cache_reason",
        "warm",
        "waited_seconds",
        "container",
        "kind",
    ),
)
"""Fields of lines that become attributes of the stage's span, under their own names."""
_TOLD = frozenset(
    {
        *("waiting for room", "no warm pod", "kept pod deleted to make room", "exec stream lost", "unknown sub-stage"),
        *("API request tried again", "the rest of the output could not be read", "leftover deleted", "pod kept"),
    }
)
"""Events that become moments of their span."""


@dataclass(frozen=True, kw_only=True)
class Span:
    """A piece of a job, with its own pieces."""

    name: str
    begin: float
    """Unix times."""
    end: float
    failure: str = ""
    """Category of its failure; empty: none."""
    attributes: dict[str, Attribute] = field(default_factory=dict)
    moments: tuple[tuple[float, str, str], ...] = ()
    """When, what, and why where the log says."""
    children: tuple[Span, ...] = ()


def of_job(lines: Sequence[Line]) -> Span:
    """Make the spans of an attempt of its lines, in the order in which they were written.

    Args:
        lines: as `reading.parse` returns them, one at the least.
    """
    one = attempts.begun(lines[0], next((line["pod"] for line in lines if isinstance(line.get("pod"), str)), ""))
    for line in lines:
        one.take(line)
    stages = tuple(_stages(lines))
    failure = "" if one.result == SUCCESS else one.result
    return Span(
        name=readable(_first(lines, "name") or "job", _LONGEST),
        begin=min(stage.begin for stage in stages),
        end=max(stage.end for stage in stages),
        failure=failure,
        attributes=_of_job(one, lines),
        children=stages,
    )


def result_of(failure: str) -> str:
    """Return a failure in the words of `cicd.pipeline.task.run.result`."""
    if not failure:
        return "success"
    if failure == "cancelled":
        return "cancellation"
    if failure == "deadline":
        return "timeout"
    return "failure" if failure in _AUTHORS or failure.startswith("kaniko_") else "error"


def link_of(lines: Sequence[Line]) -> str:
    """Return the traceparent that the job's author gave; empty where there is none."""
    return _first(lines, "traceparent")


def _of_job(one: Attempt, lines: Sequence[Line]) -> dict[str, Attribute]:
    owner, _, repository = one.project.rpartition("/")
    found: dict[str, Attribute] = {
        "cicd.pipeline.task.name": readable(_first(lines, "name"), _LONGEST),
        "cicd.pipeline.task.run.id": str(one.job) if one.job else "",
        "cicd.pipeline.task.run.result": result_of("" if one.result == SUCCESS else one.result),
        "cicd.pipeline.task.type": "build",
        "vcs.provider.name": "gitlab" if repository else "",
        "vcs.owner.name": readable(owner, _LONGEST),
        "vcs.repository.name": readable(repository, _LONGEST),
        "k8s.namespace.name": _first(lines, "namespace"),
        "k8s.pod.name": one.pod,
        "k8s.node.name": one.node,
        "container.image.name": readable(_first(lines, "image"), _LONGEST),
        "kaniko_driver.tenant": one.tenant,
    }
    limits = {f"kaniko_driver.{name}": value for name, value in one.figures.items() if "_limit_" in name}
    return {name: value for name, value in (found | limits).items() if value != ""}


def _stages(lines: Sequence[Line]) -> Iterator[Span]:
    """Yield a span for each call of the driver: lines of one process belong together."""
    calls: dict[tuple[object, ...], list[Line]] = {}
    for line in lines:
        calls.setdefault((line.get("stage"), line.get("process"), line.get("sub_stage")), []).append(line)
    before: float | None = None
    for of_one in calls.values():
        span = _stage(of_one, before)
        before = span.end
        yield span


def _stage(lines: Sequence[Line], before: float | None) -> Span:
    """Make the span of one stage; one whose line about its length is missing began when the one before ended."""
    end = max(line["time"] for line in lines)
    stage, sub_stage = str(lines[0].get("stage") or "stage"), str(lines[0].get("sub_stage") or "")
    begin = min(_begin(lines, before), *(line["time"] for line in lines))
    said = {f"kaniko_driver.{name}": line[name] for line in lines for name in _SAID if _plain(line.get(name))}
    failure = _failure(lines)
    attributes: dict[str, Attribute] = {"kaniko_driver.stage": stage} | said
    if sub_stage:
        attributes["kaniko_driver.sub_stage"] = sub_stage
    return Span(
        name=sub_stage or stage,
        begin=begin,
        end=end,
        failure=failure,
        attributes=attributes,
        moments=tuple(
            (line["time"], line["event"], readable(str(line.get("reason") or line.get("quota") or ""), _LONGEST))
            for line in lines
            if line["event"] in _TOLD
        ),
        children=tuple(_waits(lines, begin, end, failure)) if stage == "prepare" else (),
    )


def _begin(lines: Sequence[Line], before: float | None) -> float:
    known = [line["time"] - seconds for line in lines if (seconds := attempts.seconds_of(line)) is not None]
    if known:
        return float(min(known))
    return float(lines[0]["time"]) if before is None else before


def _waits(lines: Sequence[Line], begin: float, end: float, failure: str) -> Iterator[Span]:
    """Yield what `prepare` waited for, as far as its lines tell; a wait that nothing ended ends and fails with it."""
    at = {line["event"]: line["time"] for line in reversed(lines)}
    steps = (
        ("waiting for room", at.get("waiting for room"), at.get("pod created")),
        ("scheduling", at.get("pod created"), at.get("pod scheduled")),
        ("starting", at.get("pod scheduled"), at.get("pod ready")),
    )
    for name, since, until in steps:
        if since is not None and (until is not None or "pod ready" not in at):
            failed = failure if until is None else ""
            yield Span(name=name, begin=max(since, begin), end=end if until is None else until, failure=failed)


def _failure(lines: Sequence[Line]) -> str:
    for line in lines:
        category = line.get("category")
        if isinstance(category, str) and category:
            return category
        if line["event"] in {"cleanup left something behind", "stage failed unexpectedly"}:
            return "internal" if line["stage"] != "cleanup" else "cleanup_failed"
    return ""


def _first(lines: Sequence[Line], name: str) -> str:
    return next((line[name] for line in lines if isinstance(line.get(name), str)), "")


def _plain(value: object) -> bool:
    return (isinstance(value, int) and abs(value) < 2**63) or (isinstance(value, str) and 0 < len(value) <= _LONGEST)
