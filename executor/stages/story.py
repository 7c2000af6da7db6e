"""What became of the layer cache, in words for the job log: a part of the summary. Pure.

The figures and the instruction come from the pod, where the build's root can forge them: words and statistics only.
"""

from __future__ import annotations

from executor.figures.words import size
from executor.scrub import readable
from executor.values import dataclass, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from executor.pod.control import CacheStory

_REASONS = {
    1: "S3 could not be reached",
    2: "S3 was too slow or did not answer",
    3: "S3 refused the keys (a right or a policy is missing)",
    4: "the bucket takes no more",
    5: "S3 answered with errors",
    6: "no keys for S3 were found",
    7: "there is no such bucket",
}
"""Numbers as in cache-registry/story.go."""
_MOST = 10**15
_LONGEST_INSTRUCTION = 80


@dataclass(frozen=True, kw_only=True)
class CacheWords:
    """A detail of the summary, lines of their own for what went wrong, and figures for the operator log."""

    detail: str = ""
    warnings: tuple[str, ...] = ()
    figures: dict[str, int] = field(default_factory=dict)


def tell(story: CacheStory | None, missed: str) -> CacheWords:
    """Put into words what the cache registry counted.

    Args:
        story: its counts; None where nobody asked it.
        missed: the first instruction that was not found, as Kaniko writes it; may be empty.
    """
    if story is None:
        return CacheWords()
    figures = {
        "cache_read_bytes": story.read,
        "cache_written_bytes": story.written,
        "cache_requests": story.requests,
        "cache_wait_ms": story.waited,
        "cache_saved_ms": story.saved,
        "cache_dropped": story.dropped,
        "cache_lost": story.lost + story.corrupt,
        "cache_reason": story.reason,
    }
    return CacheWords(
        detail=_detail(story, missed) if story.requests or story.hits + story.misses else "",
        warnings=tuple(_warnings(story)),
        figures={name: min(value, _MOST) for name, value in figures.items()},
    )


def _detail(story: CacheStory, missed: str) -> str:
    parts = [
        f"{size(story.read)} read and {size(story.written)} written in {story.requests} requests",
        f"{story.waited / 1000:.1f} s of waiting for S3",
    ]
    if story.saved:
        parts.append(f"about {story.saved / 1000:.0f} s saved")
    if missed:
        parts.append(f"first not found: {readable(_whole_words(missed), _LONGEST_INSTRUCTION)}")
    return "layer cache: " + ", ".join(parts)


def _whole_words(instruction: str) -> str:
    """Return an instruction without the word in which it was cut: the runner cannot mask the half of a secret."""
    if len(instruction.encode()) < _LONGEST_INSTRUCTION:
        return instruction
    return f"{instruction[: _LONGEST_INSTRUCTION - 2].rpartition(' ')[0]} …"


def _warnings(story: CacheStory) -> Iterator[str]:
    if story.reason:
        # Pushes fail alone where S3 can be read and not written.
        effect = "nothing new was stored in the layer cache" if story.hits else "built without the layer cache"
        yield (
            f"{effect}: {_REASONS.get(story.reason, 'its registry knows why')}. The build is right, only slower; if it "
            "stays, tell the operator of this runner."
        )
    if lost := story.lost + story.corrupt:
        yield f"{lost} cached layer(s) were lost or damaged in S3 and were built anew"
    if story.full:
        yield (
            f"{story.full} layer(s) were too large for the layer cache's disk in the pod and were built anew or not "
            "stored; the operator of this runner can raise cache.spool"
        )
