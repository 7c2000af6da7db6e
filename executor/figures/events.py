"""Every line of the operator log: its event, its level, who writes it and when, and what its fields mean.

The one place that describes the log. The reference page is made from it, and a test holds it against what the stages
write: names and fields here are a promise to whoever collects these logs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["info", "warning", "error"]


@dataclass(frozen=True, kw_only=True)
class Event:
    """One kind of line."""

    name: str
    level: Level
    stages: tuple[str, ...]
    what: str
    fields: tuple[str, ...] = ()
    """Beside those that every line has; names of FIELDS."""


COMMON = {
    "timestamp": "When, in UTC: `2026-11-25T15:26:52.123Z`.",
    "level": "`info`: worth knowing; `warning`: needs the operator's eye when it repeats; `error`: a stage failed.",
    "event": "What happened: one of the events below.",
    "stage": "`config`, `prepare`, `run` or `cleanup`.",
    "process": "Process id of the stage, for finding it in the host's other logs.",
    "tenant": "Name of the tenant; missing only where a stage failed before it was known.",
    "job": "Number of the job, as in its address in GitLab.",
    "pod": "Name of the job pod; unlike the job's number it belongs to one attempt alone.",
    "sub_stage": "Of the `run` stage: which of the runner's scripts, such as `build_script`.",
}
"""Fields that any line may carry."""

FIELDS = {
    "because": "Why that container was chosen.",
    "builds_bytes": "Bytes on the volume of the clone, `/builds`.",
    "builds_limit_bytes": "Its limit (`volumes.builds`).",
    "bytes": "What the script printed.",
    "cache_dropped": "Layers that were not stored, because S3 took no more.",
    "cache_hits": "Layers that Kaniko found in the layer cache, by its own lines.",
    "cache_lost": "Layers that were lost or damaged in S3 and were built anew.",
    "cache_misses": "Layers that it looked for and did not find.",
    "cache_read_bytes": "What the cache registry read from S3.",
    "cache_reason": "Number of why the cache was not used, or not wholly (cache-registry/story.go); 0: all was well.",
    "cache_requests": "Requests of the cache registry to S3.",
    "cache_saved_ms": "About how much time the hits saved: building these layers when they were stored, less fetching.",
    "cache_wait_ms": "How long the pod waited for S3 beyond what is usual.",
    "cache_written_bytes": "What the cache registry wrote to S3.",
    "category": "What kind of failure it is, by a name that never changes; empty where it is none. All names: "
    "[when things break](../explanation/when-things-break.md).",
    "code": "Exit code of the script.",
    "container": "Container that ran the script: `build` or `helper`.",
    "cpu_limit_millicores": "What the build container may use, in thousandths of a core.",
    "cpu_request_millicores": "What the node kept free for the pod while it waited, in thousandths of a core.",
    "cpu_ms": "Processor time of the build container while the script ran, in milliseconds.",
    "disk_bytes": "Bytes that the build container's own file system grew by.",
    "disk_limit_bytes": "Its limit (`resources.build.ephemeral_storage_limit`).",
    "exception": "Traceback, with those of its causes; logins and tokens are taken out.",
    "image": "Image of the build container.",
    "instead_of": "Name of the pod that the job would have started, or had, and which its earlier lines have.",
    "kept": "Name of a failed job's pod that had been kept.",
    "kind": "Class of the failure, such as `PodNotStarted`.",
    "leftover": "Name of the pod that was left over.",
    "memory_bytes": "Most memory that the build container used at once, the cache of files included.",
    "memory_limit_bytes": "Its limit (`resources.build.memory_limit`).",
    "memory_request_bytes": "Memory that the node kept free for the pod while it waited.",
    "name": "Name of the job, as its author chose it.",
    "namespace": "Namespace of the pod.",
    "node": "Node that the pod runs on.",
    "oom_kills": "Processes that the kernel killed because the container reached its memory limit.",
    "peak_memory": "As `memory_bytes`; 0 where it is not known.",
    "programs_bytes": "Memory of the programs alone, without the cache of files, at the most of some looks.",
    "project": "Path of the project in GitLab.",
    "quota": "What the tenant's quota lacks.",
    "reason": "Why, in the words of whoever refused or failed.",
    "seconds": "How long it took: `pod ready` from the start of `prepare`, scripts from being sent to their end, "
    "others from the start of their stage.",
    "traceparent": "Of the job's variable `TRACEPARENT`, where it is well-formed: the trace of whoever started it.",
    "until": "Unix time at which the pod may be deleted.",
    "waited_seconds": "For how long its node had had the pod.",
    "warm": "Whether the pod had been waiting for a job (`capacity.warm_pods`).",
    "wished": "Whether this job's limits are others than its tenant's, by its own wish or a patch.",
}
"""Fields of single events."""

_USED = (
    *("memory_bytes", "programs_bytes", "cpu_ms", "disk_bytes", "builds_bytes", "cache_hits", "cache_misses"),
    *("cache_read_bytes", "cache_written_bytes", "cache_requests", "cache_wait_ms", "cache_saved_ms"),
    *("cache_dropped", "cache_lost", "cache_reason"),
)
_LIMITS = ("memory_limit_bytes", "disk_limit_bytes", "builds_limit_bytes", "cpu_limit_millicores")
_ALL = ("config", "prepare", "run", "cleanup")

EVENTS = (
    Event(
        name="configured",
        level="info",
        stages=("config",),
        what="A job was taken: the first line of every attempt.",
        fields=("project", "name", "namespace", "image", "wished", "traceparent", "seconds", *_LIMITS),
    ),
    Event(
        name="waiting for room",
        level="info",
        stages=("prepare",),
        what="The tenant's quota has no room now; the job waits.",
        fields=("quota",),
    ),
    Event(
        name="kept pod deleted to make room",
        level="info",
        stages=("prepare",),
        what="The pod of a failed job, kept for people, made room for a new job.",
        fields=("kept",),
    ),
    Event(
        name="no warm pod",
        level="info",
        stages=("prepare",),
        what="The tenant has warm pods, but none served this job; it starts one of its own.",
        fields=("reason",),
    ),
    Event(
        name="warm pod claimed",
        level="info",
        stages=("prepare",),
        what="A pod that waited serves this job from now on; what it took while it waited. Further lines of the job "
        "name this pod.",
        fields=("instead_of", "waited_seconds", "cpu_request_millicores", "memory_request_bytes"),
    ),
    Event(
        name="warm pod did not grow",
        level="info",
        stages=("prepare",),
        what="The node of a pod that waited small (`capacity.warm_small`) had no room for a job; the pod was deleted, "
        "and the job starts one of its own.",
        fields=("leftover", "reason"),
    ),
    Event(
        name="warm pod with a restart deleted",
        level="warning",
        stages=("prepare",),
        what="A container of a waiting pod had been started again; the pod would have failed its job.",
        fields=("leftover",),
    ),
    Event(name="pod created", level="info", stages=("prepare",), what="The API server took the pod."),
    Event(
        name="pod scheduled",
        level="info",
        stages=("prepare",),
        what="The pod has a node; images are pulled and containers started from then on.",
        fields=("node",),
    ),
    Event(
        name="the services' ports could not be tried",
        level="warning",
        stages=("prepare",),
        what="Scripts begin without knowing whether the job's services listen.",
        fields=("reason",),
    ),
    Event(
        name="pod ready",
        level="info",
        stages=("prepare",),
        what="The pod accepts scripts.",
        fields=("seconds", "node", "warm"),
    ),
    Event(
        name="the pod could not be deleted",
        level="warning",
        stages=("prepare",),
        what="After a failure; its deadline, the next cleanup of the tenant or `gc` takes it.",
        fields=("reason",),
    ),
    Event(
        name="unknown sub-stage",
        level="warning",
        stages=("run",),
        what="The runner is newer than the driver and sent a script of a name that the driver does not know.",
        fields=("container", "because"),
    ),
    Event(
        name="exec stream lost",
        level="warning",
        stages=("run",),
        what="A connection to the pod broke; the log goes on from the byte after the last one.",
        fields=("reason",),
    ),
    Event(
        name="script ended",
        level="info",
        stages=("run",),
        what="One script of the job ended by itself.",
        fields=("code", "category", "seconds", "bytes", "peak_memory", "oom_kills"),
    ),
    Event(
        name="resources used",
        level="info",
        stages=("run",),
        what="What the author's script used, as the pod itself says. The build's root can forge these figures, so they "
        "are cut to what is possible; what is not known is left out.",
        fields=("seconds", *_USED),
    ),
    Event(
        name="image pulled with the next policy",
        level="warning",
        stages=("prepare",),
        what="The image of a job with a list of pull policies could not be pulled; the pod was deleted, and another "
        "one has the next policy. From here on the attempt's lines carry that pod's name.",
        fields=("instead_of", "container", "reason"),
    ),
    Event(
        name="service left out",
        level="warning",
        stages=("prepare",),
        what="A service of the job ended again and again right after its start and kept the pod from starting; that "
        "pod was deleted, and another one has the other services. From here on the attempt's lines carry its name.",
        fields=("instead_of", "container", "reason"),
    ),
    Event(
        name="the events of the pod cannot be read",
        level="warning",
        stages=("prepare",),
        what="They would tell whether the node could read the login for an image that a registry refused, or the job "
        "asked for them (`FF_PRINT_POD_EVENTS`).",
        fields=("reason",),
    ),
    Event(
        name="logs of services cannot be read",
        level="error",
        stages=("prepare", "run"),
        what="For a job with `CI_DEBUG_SERVICES`; its log says why, and the job goes on. Written once for a job.",
        fields=("exception",),
    ),
    Event(
        name="the script was not stopped",
        level="warning",
        stages=("run",),
        what="After a cancel; the script ends with its pod.",
        fields=("reason",),
    ),
    Event(
        name="stopping the script failed, trying again",
        level="warning",
        stages=("run",),
        what="After a cancel.",
        fields=("reason",),
    ),
    Event(
        name="the rest of the output could not be read",
        level="warning",
        stages=("run",),
        what="The job log lacks the end of a script whose exit code is known.",
        fields=("reason",),
    ),
    Event(
        name="the rest of the output has no end",
        level="warning",
        stages=("run",),
        what="More and more arrived after the script's end; the job log was closed.",
        fields=("reason",),
    ),
    Event(
        name="the runner is gone; its job's pod was deleted",
        level="warning",
        stages=("run",),
        what="GitLab Runner died while a script ran.",
        fields=("category",),
    ),
    Event(
        name="cancelled",
        level="info",
        stages=_ALL,
        what="The runner ended the stage: somebody cancelled the job, or it took longer than its time-out.",
        fields=("category",),
    ),
    Event(
        name="the runner is gone",
        level="warning",
        stages=_ALL,
        what="GitLab Runner died during this stage.",
        fields=("category",),
    ),
    Event(
        name="API request tried again",
        level="warning",
        stages=("prepare", "cleanup"),
        what="The API server did not answer, or had too much to do.",
        fields=("reason",),
    ),
    Event(
        name="stage failed",
        level="error",
        stages=_ALL,
        what="The job failed for a known cause; the job log has it in words.",
        fields=("category", "kind", "exception"),
    ),
    Event(
        name="stage failed unexpectedly",
        level="error",
        stages=_ALL,
        what="A defect of kaniko-driver: please report it with this line.",
        fields=("category", "exception"),
    ),
    Event(
        name="pod kept",
        level="info",
        stages=("cleanup",),
        what="The pod of a failed job stays for people to look into.",
        fields=("until",),
    ),
    Event(
        name="kept pod deleted for a newer one",
        level="info",
        stages=("cleanup",),
        what="The tenant keeps no more than `debug.keep_failed_most`.",
        fields=("kept",),
    ),
    Event(
        name="the pod of the failed job is not kept",
        level="warning",
        stages=("cleanup",),
        what="It could not be kept in order, and was deleted.",
        fields=("reason",),
    ),
    Event(
        name="pod deleted",
        level="info",
        stages=("cleanup",),
        what="The job is over and its pod is on its way out.",
        fields=("seconds",),
    ),
    Event(
        name="pod of a lost node deleted",
        level="info",
        stages=("cleanup",),
        what="The job is over, and no kubelet will ever end its pod.",
        fields=("seconds",),
    ),
    Event(
        name="no pod to delete",
        level="info",
        stages=("cleanup",),
        what="The job is over and its pod was gone, or was never made.",
        fields=("seconds",),
    ),
    Event(
        name="leftover deleted",
        level="info",
        stages=("cleanup",),
        what="A pod of the same tenant that nobody else had deleted: `attempt` (a further one of this attempt), "
        "`deadline` (its own is over) or `stuck` (deleted long ago, but its node is gone).",
        fields=("leftover", "reason"),
    ),
    Event(
        name="cleanup left something behind",
        level="error",
        stages=("cleanup",),
        what="The API server could not be asked; deadlines and `gc` take what is left.",
        fields=("exception",),
    ),
)
