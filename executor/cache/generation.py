"""The time slice in the cache prefix.

A manifest may name a layer much older than itself, so objects of a live prefix must never expire by age. The prefix
rotates instead, and whole generations are expired by the bucket's lifecycle rule.
"""

from __future__ import annotations

import hashlib


def generation(tenant: str, now: float, length: int) -> int:
    """Return the number of the generation at a time.

    Args:
        tenant: its name staggers the tenants, so that they do not all build cold on the same day.
        now: Unix time in seconds.
        length: of a generation, in seconds.
    """
    stagger = int.from_bytes(hashlib.sha256(tenant.encode()).digest()[:8], "big") % length
    return int(now + stagger) // length


def prefix(base: str, tenant: str, number: int) -> str:
    """Return the path in the bucket below which this generation of the tenant lies, without slashes at its ends.

    The tenant's name is a whole path segment: `a` must not be a prefix of `ab`.
    """
    return "/".join(part for part in (base.strip("/"), tenant, str(number)) if part)
