"""Lines of the operator log -> one record for each attempt of a job.

The pod's name tells attempts apart: it is never the same twice, whatever host the lines came from. A job that claims a
warm pod has lines of two names, and one of them says so. Lines of one attempt may come in any order of files; sums and
peaks do not depend on it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from executor.runner import substages

if TYPE_CHECKING:
    from collections.abc import Iterable

SUCCESS, UNFINISHED = "success", "unfinished"
CANCELLED, SCRIPT, RUNNER_GONE, DEFECT = "cancelled", "script_failed", "runner_gone", "internal"
CLAIMED = "warm pod claimed"
OUT_OF_MEMORY = "out_of_memory"
_HARMLESS = frozenset(
    {
        "after_script",
        "restore_cache",
        "archive_cache",
        "archive_cache_on_failure",
        "upload_artifacts_on_failure",
        "cleanup_file_variables",
    }
)
"""Sub-stages whose failure fails no job (common/build.go of GitLab Runner 19.4)."""
FATAL_SUB_STAGES = substages.HELPER_SUB_STAGES - _HARMLESS
"""Those of the runner's own whose name stands for the cause where nothing better is known."""
_LONGEST = 1e9
"""Seconds; thirty years."""
Record = TypeVar("Record")
_BEFORE_A_POD = frozenset({"stage failed", "stage failed unexpectedly", "cancelled", "the runner is gone"})
_OVER = frozenset(
    {"pod deleted", "no pod to delete", "pod of a lost node deleted", "pod kept", "cleanup left something behind"}
)
_PEAKS = ("memory_bytes", "programs_bytes", "disk_bytes", "builds_bytes")
_SUMS = ("cpu_ms", "cache_hits", "cache_misses", "cache_read_bytes", "cache_written_bytes", "cache_saved_ms")
_WAITED = ("waited_seconds", "cpu_request_millicores", "memory_request_bytes")
_LIMITS = ("memory_limit_bytes", "disk_limit_bytes", "builds_limit_bytes", "cpu_limit_millicores")


@dataclass(kw_only=True)
class Attempt:
    """One attempt of a job."""

    tenant: str
    job: int
    pod: str
    project: str = ""
    node: str = ""
    began: float = 0
    """Unix times; 0 where the line that tells is missing."""
    pod_began: float = 0
    ended: float = 0
    last_seen: float = 0
    start_seconds: float | None = None
    """Until the pod accepted scripts."""
    build_seconds: float = 0
    """Of the author's scripts, without after_script."""
    wished: bool = False
    """Has limits of its own."""
    oom_kills: int = 0
    retries: int = 0
    """API requests that were tried again, and exec streams that were made again."""
    figures: dict[str, int] = field(default_factory=dict)
    """Peaks, sums and limits by their names in the log; what is unknown is missing."""
    codes: dict[str, int] = field(default_factory=dict)
    """Sub-stage -> exit code of its last call."""
    causes: dict[str, str] = field(default_factory=dict)
    """Sub-stage -> category that its last failure was told with, if it was."""
    failure: str = ""
    """Category of a failure that a stage told, if one did."""

    @property
    def result(self) -> str:
        """`success`, `unfinished`, or the category of the failure."""
        if self.failure:
            return self.failure
        for sub_stage, code in self.codes.items():
            if code and sub_stage not in _HARMLESS:
                if sub_stage in self.causes:
                    return self.causes[sub_stage]
                if self.oom_kills:
                    return OUT_OF_MEMORY
                return SCRIPT if substages.is_authors(sub_stage) else sub_stage
        return SUCCESS if self.ended else UNFINISHED

    @property
    def seen(self) -> float:
        """When it began; where the log lacks that, its last line."""
        return self.began or self.last_seen

    def take(self, line: dict[str, Any]) -> None:
        """Add one line of this attempt."""
        self.last_seen = max(self.last_seen, line["time"])
        handler = _HANDLERS.get(line["event"])
        if handler is not None:
            handler(self, line)
        if line["event"] in _OVER:
            self.ended = max(self.ended, line["time"])

    def go_on_from(self, earlier: Attempt) -> None:
        """Take over what was told while the job had another pod, or only a name for one."""
        self.began, self.project, self.wished = earlier.began, earlier.project, earlier.wished
        self.last_seen = max(self.last_seen, earlier.last_seen)
        self.retries += earlier.retries
        self.figures = earlier.figures | self.figures


def attempts(lines: Iterable[dict[str, Any]]) -> list[Attempt]:
    """Put lines together, in the order in which the attempts are first seen."""
    found: dict[str, Attempt] = {}
    former: dict[str, str] = {}
    for line in lines:
        pod = line.get("pod")
        if not isinstance(pod, str):
            pod = _without_pod(line)
        if pod is None:
            continue
        if pod not in found:
            found[pod] = begun(line, pod)
        found[pod].take(line)
        if name := former_name(line):
            former[name] = pod
    for name, pod in former.items():
        if name in found and name != pod:
            found[pod].go_on_from(found.pop(name))
    return list(found.values())


def former_name(line: dict[str, Any]) -> str:
    """Return the name that the attempt's earlier lines have, where it goes on with a pod of another; else nothing."""
    return str(line.get("instead_of") or "")


def key_of(line: dict[str, Any], running: dict[str, Record]) -> str:
    """Return under which key the attempt of a line is among those that are not over; empty: it is none of them.

    A line that begins an attempt has a key that is not among them yet; one that takes another pod moves its attempt to
    that pod's name.
    """
    pod = line.get("pod")
    if not isinstance(pod, str):
        return _without_pod(line) or ""
    if (former := former_name(line)) in running:
        running[pod] = running.pop(former)
    # Else the rest of one that was over already, or that began before the log did.
    return pod if pod in running or line["event"] == "configured" else ""


def begun(line: dict[str, Any], pod: str) -> Attempt:
    """Make the record of an attempt at its first line."""
    job = line.get("job")
    return Attempt(tenant=str(line.get("tenant") or "unknown"), job=job if isinstance(job, int) else 0, pod=pod)


def _without_pod(line: dict[str, Any]) -> str | None:
    """Name an attempt that failed before it had a pod; None for lines of no attempt."""
    if line.get("stage") != "config" or line["event"] not in _BEFORE_A_POD:
        return None
    return f"{line['timestamp']}/{line.get('process')}"


def _configured(one: Attempt, line: dict[str, Any]) -> None:
    one.began = line["time"]
    one.project = str(line.get("project") or "")
    one.wished = line.get("wished") is True
    one.figures |= {name: line[name] for name in _LIMITS if _whole(line.get(name))}


def _created(one: Attempt, line: dict[str, Any]) -> None:
    one.pod_began = line["time"]


def _scheduled(one: Attempt, line: dict[str, Any]) -> None:
    one.node = one.node or str(line.get("node") or "")


def _claimed(one: Attempt, line: dict[str, Any]) -> None:
    one.pod = str(line.get("pod") or one.pod)
    # From here on it is a job's pod like any other; what it took before is told apart.
    one.pod_began = line["time"]
    one.figures |= {name: line[name] for name in _WAITED if _whole(line.get(name))}


def _ready(one: Attempt, line: dict[str, Any]) -> None:
    one.node = str(line.get("node") or "")
    one.start_seconds = seconds_of(line)


def _script_ended(one: Attempt, line: dict[str, Any]) -> None:
    sub_stage = str(line.get("sub_stage") or "")
    if _whole(line.get("code")):
        one.codes[sub_stage] = line["code"]
        one.causes.pop(sub_stage, None)
        if line.get("category"):
            one.causes[sub_stage] = str(line["category"])
    if _whole(line.get("oom_kills")):
        one.oom_kills += line["oom_kills"]


def _used(one: Attempt, line: dict[str, Any]) -> None:
    one.build_seconds += seconds_of(line) or 0
    for name in _PEAKS:
        if _whole(line.get(name)):
            one.figures[name] = max(one.figures.get(name, 0), line[name])
    for name in _SUMS:
        if _whole(line.get(name)):
            one.figures[name] = one.figures.get(name, 0) + line[name]


def _cancelled(one: Attempt, line: dict[str, Any]) -> None:
    # The host that goes down during a cleanup does not make a finished job a cancelled one.
    if line.get("stage") != "cleanup":
        one.failure = one.failure or CANCELLED


def _failed(one: Attempt, line: dict[str, Any]) -> None:
    if line.get("stage") == "cleanup":
        return
    one.failure = str(line.get("category") or _in_words(str(line.get("kind") or DEFECT)))
    if line.get("stage") == "config":
        # Without a job file there is nothing to clean up, and no line that says so.
        one.ended = max(one.ended, line["time"])
        one.began = one.began or line["time"]


def _in_words(kind: str) -> str:
    """Make `pod_not_started` of `PodNotStarted`: older lines have no category."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind).lower()


def _runner_gone(one: Attempt, line: dict[str, Any]) -> None:
    one.failure = one.failure or RUNNER_GONE
    one.ended = max(one.ended, line["time"])


def _again(one: Attempt, _: dict[str, Any]) -> None:
    one.retries += 1


_HANDLERS = {
    "configured": _configured,
    "pod created": _created,
    CLAIMED: _claimed,
    "pod scheduled": _scheduled,
    "pod ready": _ready,
    "script ended": _script_ended,
    "resources used": _used,
    "cancelled": _cancelled,
    "stage failed": _failed,
    "stage failed unexpectedly": _failed,
    "the runner is gone": _runner_gone,
    "the runner is gone; its job's pod was deleted": _runner_gone,
    "API request tried again": _again,
    "exec stream lost": _again,
}


def _whole(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**63


def seconds_of(line: dict[str, Any]) -> float | None:
    """Return how long what a line tells took; None where it does not say."""
    value = line.get("seconds")
    # Not true, not text, not NaN: JSON readers take more than the driver writes.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _LONGEST:
        return None
    return float(value)
