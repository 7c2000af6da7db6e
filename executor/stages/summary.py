"""What a script used of what its container had: one line, its details, and a warning where a limit was near.

Pure. The figures come from the pod, where the build's root can forge them: they are clamped to what is possible, and
used for words and statistics only. Where a figure is not known it is left out.
"""

from __future__ import annotations

from executor.figures.words import size
from executor.values import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from executor.job import Limits
    from executor.pod.control import Exited, Used
    from executor.stages.story import CacheWords

_NEAR = 0.9
"""From this part of a limit on it is near."""
_MOST_LAYERS = 100_000
_MINUTE = 60


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Words for the job log, and the same figures for the operator log."""

    line: str
    details: tuple[str, ...]
    warnings: tuple[str, ...]
    figures: dict[str, int]
    """Bytes, milliseconds, counts; by stable names, as the operator's commands read them."""


def summarize(
    used: Used | None, ended: Exited | None, limits: Limits, *, seconds: float, cache: CacheWords | None = None
) -> Summary | None:
    """Put together what is known; None when that is nothing.

    Args:
        used: what the supervisor measured.
        ended: how the script ended; None when its container died under it.
        limits: of the build container.
        seconds: how long the script took, as seen from here.
        cache: what the cache registry says.
    """
    figures = _figures(used, ended, limits, seconds)
    parts, details = [], []
    for part, detail in (
        _memory(figures, limits),
        _processor(figures, limits, seconds),
        _disk(figures, limits),
        _builds(figures, limits),
        _layers(figures),
        ("", cache.detail if cache else ""),
    ):
        parts += [part] if part else []
        details += [detail] if detail else []
    if not parts:
        return None
    return Summary(
        line="used " + ", ".join(parts),
        details=tuple(details),
        warnings=(*_warnings(figures, limits), *(cache.warnings if cache else ())),
        figures=figures | (cache.figures if cache else {}),
    )


def _figures(used: Used | None, ended: Exited | None, limits: Limits, seconds: float) -> dict[str, int]:
    peak = ended.peak if ended is not None else 0
    # A second more: both clocks are read a little before and after.
    most_time = int((seconds + 1) * limits.cpu)
    known = {
        "memory_bytes": _clamped(peak or None, limits.memory),
        "programs_bytes": _clamped(used.programs, limits.memory) if used else None,
        "cpu_ms": _clamped(_milliseconds(used.cpu), most_time) if used else None,
        "disk_bytes": _clamped(used.disk, limits.disk) if used else None,
        "builds_bytes": _clamped(used.builds, limits.builds) if used else None,
        "cache_hits": _clamped(used.hits, _MOST_LAYERS) if used else None,
        "cache_misses": _clamped(used.misses, _MOST_LAYERS) if used else None,
    }
    return {name: value for name, value in known.items() if value is not None}


def _milliseconds(microseconds: int | None) -> int | None:
    return None if microseconds is None else microseconds // 1000


def _clamped(value: int | None, most: int) -> int | None:
    return value if value is None or not most else min(value, most)


def _memory(figures: dict[str, int], limits: Limits) -> tuple[str, str]:
    if "memory_bytes" not in figures:
        return "", ""
    used = _of(figures["memory_bytes"], limits.memory)
    programs = figures.get("programs_bytes")
    detail = f"memory: {used} at its peak, the cache of files included"
    return f"memory {used}", detail + (f"; programs themselves about {size(programs)}" if programs else "")


def _processor(figures: dict[str, int], limits: Limits, seconds: float) -> tuple[str, str]:
    if "cpu_ms" not in figures:
        return "", ""
    time = figures["cpu_ms"] / 1000
    cores = f"; {time / max(seconds, 0.1):.1f} of {limits.cpu / 1000:g} cores on average" if limits.cpu else ""
    return f"CPU time {_duration(time)}", f"CPU: {_duration(time)} in {_duration(seconds)}{cores}"


def _disk(figures: dict[str, int], limits: Limits) -> tuple[str, str]:
    if "disk_bytes" not in figures:
        return "", ""
    used = _of(figures["disk_bytes"], limits.disk)
    return f"disk {used}", f"disk: {used} ephemeral storage, on top of the image"


def _builds(figures: dict[str, int], limits: Limits) -> tuple[str, str]:
    if "builds_bytes" not in figures:
        return "", ""
    return "", f"/builds: {_of(figures['builds_bytes'], limits.builds)}"


def _layers(figures: dict[str, int]) -> tuple[str, str]:
    hits, misses = figures.get("cache_hits", 0), figures.get("cache_misses", 0)
    if not hits + misses:
        return "", ""
    words = f"layer cache {_count(hits, 'hit')} and {_count(misses, 'miss', 'misses')}"
    return words, f"layer cache: {_count(hits, 'hit')} and {_count(misses, 'miss', 'misses')} by Kaniko's own lines"


def _warnings(figures: dict[str, int], limits: Limits) -> list[str]:
    remedy = "Let the job use less, or ask the operator of this runner to raise"
    found = []
    # The cache of files is given back when programs want memory: a full one is no danger, and usual for large builds.
    if _near(figures.get("programs_bytes"), limits.memory):
        found.append(
            f"memory was near its limit: programs used {_of(figures['programs_bytes'], limits.memory)}, and above it "
            f"the kernel kills them. {remedy} resources.build.memory_limit."
        )
    if _near(figures.get("disk_bytes"), limits.disk):
        found.append(
            f"disk was near its limit: {_of(figures['disk_bytes'], limits.disk)}, and above it the pod is evicted. "
            f"{remedy} resources.build.ephemeral_storage_limit."
        )
    if _near(figures.get("builds_bytes"), limits.builds):
        found.append(
            f"/builds was near its limit: {_of(figures['builds_bytes'], limits.builds)}, and above it the pod is "
            f"evicted. {remedy} volumes.builds."
        )
    return found


def _near(value: int | None, limit: int) -> bool:
    return value is not None and limit > 0 and value >= _NEAR * limit


def _of(value: int, limit: int) -> str:
    return f"{size(value)} of {size(limit)}" if limit else size(value)


def _duration(seconds: float) -> str:
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), _MINUTE)
    return f"{minutes} min {rest} s"


def _count(number: int, one: str, several: str = "") -> str:
    return f"{number} {one if number == 1 else several or one + 's'}"
