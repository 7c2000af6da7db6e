"""Operator logs as the driver writes them, with jobs of one's own choice."""

from __future__ import annotations

import json
import random
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

MIB, GIB = 2**20, 2**30
BEGIN = 1_764_000_000.0
"""2025-11-24 16:00 UTC."""
LIMITS: dict[str, Any] = {
    "memory_limit_bytes": 4 * GIB,
    "disk_limit_bytes": 20 * GIB,
    "builds_limit_bytes": 10 * GIB,
    "cpu_limit_millicores": 2000,
}


def stamp(unix: float) -> str:
    """Write a time as the journal does."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(unix)) + f".{int(unix % 1 * 1000):03d}Z"


def line(unix: float, stage: str, event: str, level: str = "info", **fields: Any) -> dict[str, Any]:
    """Make one line."""
    return {"timestamp": stamp(unix), "level": level, "event": event, "stage": stage, "process": 1, **fields}


def job(  # noqa: PLR0913 - each argument is a fact about the job
    number: int,
    *,
    tenant: str = "team-blue",
    at: float = BEGIN,
    node: str = "node-1",
    start: float = 2.0,
    build: float = 60.0,
    code: int = 0,
    failure: dict[str, Any] | None = None,
    wished: bool = False,
    limits: dict[str, Any] | None = None,
    waited: int | None = None,
    **used: Any,
) -> list[dict[str, Any]]:
    """Make the lines of a whole job; `failure` are the fields of a `prepare` that failed.

    `waited`: the job has claimed a pod of 1.5 CPU and 2 GiB that had waited for so many seconds.
    """
    who: dict[str, Any] = {"tenant": tenant, "job": number, "pod": f"kaniko-job-{number}-aaaaaa"}
    made = [
        line(at, "config", "configured", **who, project="group/app", wished=wished, image="k", **(limits or LIMITS)),
    ]
    if waited is None:
        made.append(line(at + 0.2, "prepare", "pod created", **who))
        made.append(line(at + 0.3, "prepare", "pod scheduled", **who, node=node))
    else:
        chosen, who = who["pod"], who | {"pod": f"kaniko-warm-{number}"}
        took: dict[str, Any] = {"cpu_request_millicores": 1500, "memory_request_bytes": 2 * GIB}
        claimed = line(at + 0.2, "prepare", "warm pod claimed", **who, instead_of=chosen, waited_seconds=waited, **took)
        made.append(claimed)
    if failure is not None:
        made.append(line(at + start, "prepare", "stage failed", "error", **who, **failure))
    else:
        run = who | {"sub_stage": "build_script"}
        end = at + start + build
        made += [
            line(at + start, "prepare", "pod ready", **who, seconds=start, node=node),
            line(at + start + 1, "run", "script ended", **who, sub_stage="get_sources", code=0, seconds=1.0),
            line(end, "run", "script ended", **run, code=code, seconds=build, oom_kills=used.pop("oom_kills", 0)),
            line(end, "run", "resources used", **run, seconds=build, **used),
        ]
    made.append(line(at + start + build, "cleanup", "pod deleted", **who))
    return made


def written(path: Path, *jobs: list[dict[str, Any]]) -> Path:
    """Write lines to a log."""
    path.write_text("".join(json.dumps(one) + "\n" for lines in jobs for one in lines), encoding="utf-8")
    return path


def a_month(path: Path, *, seed: int = 1) -> Path:
    """Write a log of 30 days with two tenants, as it could be; the same for the same seed."""
    dice = random.Random(seed)
    jobs = []
    for number in range(600):
        failed = dice.random()
        tenant = dice.choice(["team-blue", "team-blue", "team-red"])
        jobs.append(
            job(
                number + 1,
                tenant=tenant,
                at=BEGIN + number * 4300 + dice.random() * 2000,
                node=f"node-{dice.randint(1, 3)}",
                start=dice.lognormvariate(1.0, 0.6),
                build=dice.lognormvariate(4.5, 0.8),
                code=1 if failed < 0.08 else 0,
                failure={"kind": "PodNotStarted"} if 0.08 <= failed < 0.11 else None,
                memory_bytes=int(dice.uniform(1, 4) * GIB),
                programs_bytes=int(dice.lognormvariate(-0.5, 0.4) * GIB),
                disk_bytes=int(dice.lognormvariate(1.2, 0.5) * GIB),
                builds_bytes=int(dice.uniform(0.1, 2) * GIB),
                cpu_ms=int(dice.uniform(20, 120) * 1000),
                cache_hits=dice.randint(0, 12),
                cache_misses=dice.randint(0, 4),
            )
        )
    return written(path, *jobs)
