"""What lies in a tenant's part of the bucket, from the names of objects alone. Pure.

The layout is the cache registry's (cache-registry/cache.go): PREFIX/TENANT[/protected]/GENERATION/{entries,blobs}/NAME.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from executor.cache import generation
from executor.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable

ENTRIES, BLOBS = "entries", "blobs"


@dataclass(frozen=True, kw_only=True)
class Place:
    """One generation of one of the tenant's caches; in the order in which they are shown."""

    protected: bool
    generation: int

    def folder(self, base: str) -> str:
        """Return its path below the tenant's own, with a slash at the end."""
        middle = f"/{generation.PROTECTED}" if self.protected else ""
        return f"{base}{middle}/{self.generation}/"


class Totals:
    """How much there is of something. Changed while a listing passes through."""

    __slots__ = ("entries", "newest", "objects", "oldest", "size")

    def __init__(self) -> None:
        self.objects = self.size = self.entries = 0
        self.oldest: Any = None
        self.newest: Any = None

    def add(self, size: int, modified: Any, *, entry: bool) -> None:
        """Count one object."""
        self.objects += 1
        self.size += size
        self.entries += entry
        if modified is not None:
            self.oldest = modified if self.oldest is None or modified < self.oldest else self.oldest
            self.newest = modified if self.newest is None or modified > self.newest else self.newest


def count(objects: Iterable[dict[str, Any]], base: str) -> tuple[dict[Place, Totals], Totals]:
    """Add a listing up by generation; the second is of what does not belong there.

    Args:
        objects: as `Bucket.objects` yields them.
        base: the tenant's folder, without a slash at its end.
    """
    found: dict[str, tuple[Place, Totals] | None] = {}
    others = Totals()
    start = len(base) + 1
    for one in objects:
        # One cut and one look-up for an object: there may be millions.
        head, _, name = one["Key"][start:].rpartition("/")
        if head not in found:
            place = place_of(head)
            found[head] = (place, Totals()) if place and name else None
        known = found[head]
        totals = known[1] if known else others
        totals.add(one["Size"], one.get("LastModified"), entry=head.endswith(ENTRIES))
    merged: dict[Place, Totals] = {}
    for place, totals in filter(None, found.values()):
        _merge(merged.setdefault(place, Totals()), totals)
    return merged, others


def _merge(into: Totals, more: Totals) -> None:
    into.objects += more.objects
    into.size += more.size
    into.entries += more.entries
    for moment in (more.oldest, more.newest):
        if moment is not None:
            into.oldest = moment if into.oldest is None or moment < into.oldest else into.oldest
            into.newest = moment if into.newest is None or moment > into.newest else into.newest


def place_of(head: str) -> Place | None:
    """Return the generation of a path such as `protected/1489/blobs`; None where it is none of ours."""
    words = head.split("/")
    protected = words[0] == generation.PROTECTED
    if protected:
        words = words[1:]
    if len(words) != 2 or words[1] not in {ENTRIES, BLOBS} or not words[0].isdecimal():  # noqa: PLR2004 - see above
        return None
    return Place(protected=protected, generation=int(words[0]))
