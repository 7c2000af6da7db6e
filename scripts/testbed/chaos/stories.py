"""Which fault meets which stage, with which job, and how that job may end."""

from __future__ import annotations

from testbed.chaos import faults, host_faults, pod_faults
from testbed.chaos.ground import FAKETIME
from testbed.chaos.judge import LOST, SCRIPT, SUCCESS, SYSTEM
from testbed.chaos.story import (
    AFTER,
    BEFORE,
    BUILD,
    CLEANUP,
    CONFIG,
    FEW_LINES,
    FILLING,
    FILLING_CONTAINER,
    HOG,
    LATE,
    PREPARE,
    SOURCES,
    STAGES,
    Story,
    building,
    story,
)

_ANY = (SUCCESS, SYSTEM, SCRIPT)


def stories() -> list[Story]:
    """Every story that can be told on this machine."""
    told = [*_of_the_cluster(), *_of_nodes(), *_of_twenty(), *_of_the_pod(), *_of_limits(), *_of_services()]
    told += [*_of_the_runner(), *_of_the_host(), *_of_credentials()]
    if FAKETIME:
        told += [
            story("clock jumps an hour forward", stage, host_faults.clock_forward, SUCCESS)
            for stage in (PREPARE, BUILD)
        ]
        told += [story("clock jumps an hour back", stage, host_faults.clock_back, SUCCESS) for stage in (BUILD, AFTER)]
    return told


def _of_the_cluster() -> list[Story]:
    found = []
    for stage in STAGES:
        found.append(story("API server restarted", stage, faults.api_restart, SUCCESS, short=stage == BUILD))
        found.append(story("API server cut for 30 s", stage, faults.api_cut, SUCCESS))
        found.append(story("etcd stopped for 8 s", stage, faults.etcd_stop, SUCCESS))
        found.append(story("429 storm of 8 s", stage, faults.throttled, SUCCESS))
        found.append(story("500 storm of 8 s", stage, faults.broken, SUCCESS, short=stage == SOURCES))
    often = faults.api_cut_often
    return found + [story("API server cut four times", stage, often, SUCCESS) for stage in (PREPARE, SOURCES, BUILD)]


def _of_nodes() -> list[Story]:
    found = []
    for stage in (PREPARE, SOURCES, BUILD, AFTER):
        found.append(story("kubelet killed and restarted", stage, faults.kubelet_restart, SUCCESS))
        found.append(story("containerd killed and restarted", stage, faults.containerd_restart, SUCCESS))
    return [
        *found,
        story("kubelet killed in a Kaniko build", BUILD, faults.kubelet_restart, SUCCESS, **building()),
        story("containerd killed in a Kaniko build", BUILD, faults.containerd_restart, SUCCESS, **building()),
        story("node vanishes", SOURCES, faults.node_vanishes, SYSTEM),
        story("node vanishes", BUILD, faults.node_vanishes, SYSTEM),
        # The failure of after_script is none of the job's, but nothing can run after it either.
        story("node vanishes", AFTER, faults.node_vanishes, SYSTEM, SUCCESS, loses_after=True),
        story("node falls silent", BUILD, faults.node_silent, SYSTEM),
        # The runner tries prepare again, and by then the node is back.
        story("node vanishes for 75 s", PREPARE, faults.node_away, SYSTEM, SUCCESS),
        story("node falls silent for 75 s", PREPARE, faults.node_silent_for_a_while, SYSTEM, SUCCESS),
    ]


def _of_twenty() -> list[Story]:
    twenty = {"jobs": 20}
    return [
        story("twenty jobs, API server restarted", BUILD, faults.api_restart, SUCCESS, **twenty),
        story("twenty jobs, API server cut for 30 s", BUILD, faults.api_cut, SUCCESS, **twenty),
        story("twenty jobs, 429 storm of 8 s", PREPARE, faults.throttled, SUCCESS, **twenty),
        story("twenty jobs, kubelet killed", BUILD, faults.kubelet_restart, SUCCESS, **twenty),
        story("twenty jobs, all that they have to live through", BUILD, faults.all_of_it, SUCCESS, lines=300, **twenty),
        story("twenty jobs, node vanishes", BUILD, faults.node_vanishes, SYSTEM, SUCCESS, loses_after=True, **twenty),
        # One of twenty is between two of its stages then, and nobody is there who could delete its pod.
        story("twenty jobs, runner killed", BUILD, host_faults.runner_killed, LOST, SUCCESS, swept=True, **twenty),
    ]


def _of_the_pod() -> list[Story]:
    found = []
    for stage in (PREPARE, SOURCES, BUILD, AFTER, *BEFORE, *LATE):
        # The runner tries prepare again; a failure of after_script is none of the job's, and late ones may be over.
        ends = (SYSTEM, SUCCESS) if stage in {PREPARE, AFTER, *LATE} else (SYSTEM,)
        more = {"loses_after": stage == AFTER, "stores": stage in {*BEFORE, *LATE}}
        found += [
            story("pod deleted", stage, pod_faults.deleted, *ends, short=stage == SOURCES, **more),
            story("pod deleted at once", stage, pod_faults.deleted_at_once, *ends, short=stage == BUILD, **more),
            story("pod evicted by a drain", stage, pod_faults.evicted, *ends, **more),
            story("pod evicted at once", stage, pod_faults.evicted_at_once, *ends, **more),
        ]
    return found


def _of_limits() -> list[Story]:
    mine = host_faults.nothing_more
    return [
        story("script out of memory", BUILD, mine, SCRIPT, SYSTEM, then=HOG, short=True),
        story("RUN of Kaniko out of memory", BUILD, mine, SCRIPT, SYSTEM, **building("Hungry")),
        story("Kaniko out of memory", BUILD, mine, SCRIPT, SYSTEM, **building("Large", "--compressed-caching=true")),
        story("helper out of memory", SOURCES, mine, SCRIPT, SYSTEM, hooks=("sleep 2", HOG)),
        story("layer cache out of memory", BUILD, pod_faults.cache_registry_out_of_memory, SUCCESS, **building()),
        story("layer cache's process killed", BUILD, pod_faults.cache_registry_killed, SUCCESS, **building()),
        story("disk limit of a volume", BUILD, mine, SYSTEM, then=FILLING, lines=FEW_LINES),
        story("disk limit of the container", BUILD, mine, SYSTEM, then=FILLING_CONTAINER, lines=FEW_LINES),
    ]


def _of_services() -> list[Story]:
    return [
        story("S3 down and back", BUILD, faults.s3_down, SUCCESS, **building()),
        story("S3 down and back", "restore_cache", faults.s3_down, SUCCESS, stores=True),
        story("S3 down and back", "archive_cache", faults.s3_down, SUCCESS, stores=True),
        story("S3 falls silent", BUILD, faults.s3_silent, SUCCESS, **building()),
        story("registry down and back", BUILD, faults.registry_back, SUCCESS, **building()),
        story("registry down", BUILD, faults.registry_down, SCRIPT, **building()),
        story("git down and back", SOURCES, faults.git_down, SUCCESS),
        story("git down", SOURCES, faults.git_gone, SCRIPT, SYSTEM),
    ]


def _of_the_runner() -> list[Story]:
    found = []
    for stage in STAGES:
        # At the very end the job may be reported before the runner notices.
        last = (SUCCESS,) if stage == CLEANUP else ()
        killed, told = host_faults.runner_killed, host_faults.runner_terminated
        found.append(story("runner killed", stage, killed, LOST, *last, short=stage == BUILD))
        found.append(story("runner terminated", stage, told, SYSTEM, LOST, *last, by_runner=True))
        found.append(story("runner drained", stage, host_faults.runner_drained, SUCCESS))
    return found


def _of_the_host() -> list[Story]:
    found = []
    for stage in STAGES:
        swept = stage == CLEANUP
        found.append(
            story(
                "driver's process killed",
                stage,
                host_faults.driver_killed,
                *((SYSTEM,) if stage in {SOURCES, BUILD} else (SYSTEM, SUCCESS)),
                by_runner=True,
                loses_after=stage == AFTER,
                swept=swept,
                timeout=60 if swept else 600,
                short=stage in {PREPARE, AFTER},
            )
        )
        # The runner cannot even write after_script down while it lasts.
        full = {"by_runner": True, "loses_after": True}
        found.append(story("disk of the runner's host full", stage, host_faults.disk_full, *_ANY, **full))
    return found


def _of_credentials() -> list[Story]:
    found = []
    for stage in (PREPARE, SOURCES, BUILD, AFTER, CLEANUP):
        # A stream that stands goes on; what comes after it finds the token refused, cleanup too.
        ends = {PREPARE: (SYSTEM,), SOURCES: (SYSTEM,), CLEANUP: (SUCCESS,)}.get(stage, (SYSTEM, SUCCESS))
        lost = {"loses_after": True, "swept": True, "timeout": 60}
        found.append(story("token expired", stage, host_faults.token_expired, *ends, **lost))
    expired, renewed = host_faults.token_expired, host_faults.token_renewed
    return [
        *found,
        story("token expired before the job", CONFIG, expired, SYSTEM, swept=True, timeout=60),
        # The runner tries prepare again.
        story("token expired for 8 s", PREPARE, renewed, SUCCESS, SYSTEM),
        story("token expired for 8 s", SOURCES, renewed, SUCCESS),
    ]
