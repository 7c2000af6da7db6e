"""The time slice in the cache prefix, as the cache registry computes it, too (cache-registry/settings.go).

A manifest may name a layer much older than itself, so objects of a live prefix must never expire by age. The prefix
rotates instead, and whole generations are expired by the bucket's lifecycle rule.
"""

from __future__ import annotations

import hashlib

PROTECTED = "protected"
"""Folder in the tenant's own for what protected branches and tags write; no generation is called so."""


def stagger(tenant: str, length: int) -> int:
    """Return by how many seconds a tenant is ahead, so that not all build cold on the same day."""
    return int.from_bytes(hashlib.sha256(tenant.encode()).digest()[:8], "big") % length


def generation(tenant: str, now: float, length: int) -> int:
    """Return the number of the generation at a time.

    Args:
        tenant: its name.
        now: Unix time in seconds.
        length: of a generation, in seconds.
    """
    return int(now + stagger(tenant, length)) // length


def folder(base: str, tenant: str) -> str:
    """Return the path in the bucket below which all of the tenant's layer cache lies, without slashes at its ends.

    The tenant's name is a whole path segment: `a` must not be a prefix of `ab`.
    """
    return "/".join(part for part in (base.strip("/"), tenant) if part)
