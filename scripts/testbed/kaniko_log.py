"""What Kaniko says about its layer cache, counted. Pure.

Kaniko looks a stage's instructions up one after another and stops at the first that is not there, so a cold build
reports few misses: hits are what tells a cached build from an uncached one.
"""

from __future__ import annotations

import re

HIT = "Using caching version of cmd"
MISS = "No cached layer found for cmd"
CACHEABLE = ("RUN",)
"""What Kaniko 1.24 keeps layers of without `cache.copy_layers` (`ShouldCacheOutput` in its pkg/commands)."""


def hits(log: str) -> int:
    """How many instructions came from the cache."""
    return log.count(HIT)


def misses(log: str) -> int:
    """How many look-ups found nothing; at most one in each stage."""
    return log.count(MISS)


def cacheable(dockerfile: str) -> int:
    """How many instructions of a Dockerfile can come from the cache."""
    joined = re.sub(r"\\\n", " ", dockerfile)
    words = (line.split(maxsplit=1)[0] for line in joined.splitlines() if line.strip())
    return sum(word.upper() in CACHEABLE for word in words)
