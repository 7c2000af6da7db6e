"""Which fault meets which stage, with which job, and how that job may end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from testbed import ci
from testbed.chaos import faults
from testbed.chaos.ground import FAKETIME
from testbed.chaos.judge import LOST, SCRIPT, SUCCESS, SYSTEM

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
LINES, AFTER_LINES = 80, 20
# The words that the log shows before each command must not look like their output.
COUNTING = f'i=0; while [ $i -lt {LINES} ]; do echo "line $i"; i=$((i+1)); sleep 0.1; done'
COUNTING_AFTER = f'i=0; while [ $i -lt {AFTER_LINES} ]; do echo "after $i"; i=$((i+1)); sleep 0.1; done'
HOG = "x=$(head -c 700000000 /dev/zero | tr '\\0' a); echo ${#x}"
BUILDING = ci.KANIKO
BUILDING_HUNGRY = ci.KANIKO.replace("/Dockerfile", "/Hungry")
FILLING = "dd if=/dev/zero of=/builds/filler bs=1M count=200; sleep 120"


@dataclass(frozen=True, kw_only=True)
class Story:
    """One fault in one stage."""

    fault: str
    stage: str
    act: Fault
    ends: frozenset[str]
    """Outcomes that are right."""
    script: tuple[str, ...] = (COUNTING,)
    lines: int = LINES
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
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def overrides(self) -> dict[str, Any]:
        """What is laid over the job as GitLab would hand it out."""
        hooks = [{"name": "pre_get_sources_script", "script": list(self.hooks)}] if self.hooks else []
        return {"hooks": hooks} | self.more


def _story(fault: str, stage: str, act: Fault, *ends: str, **more: Any) -> Story:
    if stage == SOURCES and "hooks" not in more:
        # A clone of a small project is over before anybody could disturb it.
        more["hooks"] = ("sleep 4",)
    return Story(fault=fault, stage=stage, act=act, ends=frozenset(ends), **more)


def stories() -> list[Story]:
    """Every story that can be told on this machine."""
    told = [*_of_the_cluster(), *_of_the_pod(), *_of_limits(), *_of_services(), *_of_the_host()]
    if FAKETIME:
        told += [
            _story("clock jumps an hour forward", stage, faults.clock_forward, SUCCESS) for stage in (PREPARE, BUILD)
        ]
        told.append(_story("clock jumps an hour back", BUILD, faults.clock_back, SUCCESS))
    return told


def _of_the_cluster() -> list[Story]:
    found = []
    for stage in STAGES:
        quick = stage in {PREPARE, BUILD}
        found.append(_story("API server restarted", stage, faults.api_restart, SUCCESS, short=stage == BUILD))
        found.append(_story("API server cut for 30 s", stage, faults.api_cut, SUCCESS))
        if quick or stage == CLEANUP:
            found.append(_story("etcd stopped for 8 s", stage, faults.etcd_stop, SUCCESS))
        found.append(_story("429 storm of 8 s", stage, faults.throttled, SUCCESS))
        found.append(_story("500 storm of 8 s", stage, faults.broken, SUCCESS, short=stage == SOURCES))
    for stage in (PREPARE, SOURCES, BUILD, AFTER):
        found.append(_story("kubelet killed and restarted", stage, faults.kubelet_restart, SUCCESS))
        found.append(_story("containerd killed and restarted", stage, faults.containerd_restart, SUCCESS))
    found.append(
        _story("containerd killed in a Kaniko build", BUILD, faults.containerd_restart, SUCCESS, **_building(BUILDING))
    )
    found += [
        _story("node vanishes", BUILD, faults.node_vanishes, SYSTEM),
        _story("node falls silent", BUILD, faults.node_silent, SYSTEM),
        # The runner tries prepare again, and by then the node is back.
        _story("node vanishes for 75 s", PREPARE, faults.node_away, SYSTEM, SUCCESS),
        _story("node falls silent for 75 s", PREPARE, faults.node_silent_for_a_while, SYSTEM, SUCCESS),
    ]
    many = {"jobs": 20, "script": (COUNTING,)}
    found.append(_story("twenty jobs, API server restarted", BUILD, faults.api_restart, SUCCESS, **many))
    found.append(_story("twenty jobs, kubelet killed", BUILD, faults.kubelet_restart, SUCCESS, **many))
    return found


def _building(script: str) -> dict[str, Any]:
    return {"script": (COUNTING, script), "lines": LINES}


def _of_the_pod() -> list[Story]:
    found = []
    for stage in (PREPARE, SOURCES, BUILD, AFTER):
        # The runner tries prepare again; a failure of after_script is none of the job's.
        ends = (SYSTEM, SUCCESS) if stage in {PREPARE, AFTER} else (SYSTEM,)
        lost = {"loses_after": stage == AFTER}
        found += [
            _story("pod deleted", stage, faults.pod_deleted, *ends, short=stage == SOURCES, **lost),
            _story("pod deleted at once", stage, faults.pod_deleted_at_once, *ends, short=stage == BUILD, **lost),
            _story("pod evicted by a drain", stage, faults.pod_evicted, *ends, **lost),
        ]
    return found


def _of_limits() -> list[Story]:
    return [
        _story("script out of memory", BUILD, faults.nothing_more, SCRIPT, SYSTEM, script=(COUNTING, HOG), short=True),
        _story(
            "RUN of Kaniko out of memory",
            BUILD,
            faults.nothing_more,
            *(SCRIPT, SYSTEM),
            **_building(BUILDING_HUNGRY),
        ),
        _story("helper out of memory", SOURCES, faults.nothing_more, SCRIPT, SYSTEM, hooks=("sleep 2", HOG)),
        _story("layer cache's process killed", BUILD, faults.cache_registry_killed, SUCCESS, **_building(BUILDING)),
        _story("disk limit", BUILD, faults.nothing_more, SYSTEM, script=(COUNTING, FILLING)),
    ]


def _of_services() -> list[Story]:
    return [
        _story("S3 down and back", BUILD, faults.s3_down, SUCCESS, **_building(BUILDING)),
        _story("registry down and back", BUILD, faults.registry_back, SUCCESS, **_building(BUILDING)),
        _story("registry down", BUILD, faults.registry_down, SCRIPT, **_building(BUILDING)),
        _story("git down and back", SOURCES, faults.git_down, SUCCESS),
        # The script's stream stands; what comes after it finds the token refused, cleanup too.
        _story("token expired", BUILD, faults.token_expired, SYSTEM, SUCCESS, loses_after=True, swept=True, timeout=60),
        _story("token expired", PREPARE, faults.token_expired, SYSTEM, swept=True, timeout=60),
    ]


def _of_the_host() -> list[Story]:
    found = []
    for stage in STAGES:
        ends = (SYSTEM,) if stage in {SOURCES, BUILD} else (SYSTEM, SUCCESS)
        swept = stage == CLEANUP
        found.append(
            _story(
                "driver's process killed",
                stage,
                faults.driver_killed,
                *ends,
                by_runner=True,
                loses_after=stage == AFTER,
                swept=swept,
                timeout=60 if swept else 600,
                short=stage in {PREPARE, AFTER},
            )
        )
    for stage in (PREPARE, BUILD, AFTER):
        found.append(_story("runner killed", stage, faults.runner_killed, LOST, short=stage == BUILD))
        found.append(_story("runner terminated", stage, faults.runner_terminated, SYSTEM, LOST, by_runner=True))
        found.append(_story("runner drained", stage, faults.runner_drained, SUCCESS))
    found += [
        # The runner cannot even write after_script down while it lasts.
        _story("disk of the runner's host full", stage, faults.host_disk_full, *_ANY, by_runner=True, loses_after=True)
        for stage in (PREPARE, SOURCES, BUILD)
    ]
    return found


_ANY = (SUCCESS, SYSTEM, SCRIPT)
