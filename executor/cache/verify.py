"""Find entries of the layer cache that name blobs which are not there."""

from __future__ import annotations

import json
from array import array
from base64 import b64decode
from bisect import bisect_left
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Any

from executor.cache.contents import BLOBS, ENTRIES
from executor.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from executor.cache.bucket import Bucket

_AT_ONCE = 16
_PIECE = 256
"""Entries that are under way together."""


@dataclass(frozen=True, kw_only=True)
class Broken:
    """An entry that a build cannot use. It is a miss for builds, and the next one writes it again."""

    key: str
    missing: tuple[str, ...] = ()
    """Digests of blobs."""
    why: str = ""
    """What else is wrong with it."""


class Blobs:
    """Which blobs there are: eight bytes for each, so that ten million take 80 MB.

    S3 lists names in their order, and names are digests; the first eight bytes of two of ten million are the same with
    a chance of one in three hundred thousand.
    """

    def __init__(self, objects: Iterable[dict[str, Any]]) -> None:
        self._known = array("Q")
        last = 0
        for one in objects:
            name = one["Key"].rpartition("/")[2]
            try:
                number = int(name[:16], 16)
            except ValueError:
                continue
            if number < last:
                raise ValueError("the listing is not in the order of names")
            last = number
            self._known.append(number)

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, digest: str) -> bool:
        number = int(digest.removeprefix("sha256:")[:16], 16)
        at = bisect_left(self._known, number)
        return at < len(self._known) and self._known[at] == number


def verify(bucket: Bucket, folder: str) -> Iterator[Broken | None]:
    """Look at each entry of one generation; yields None for a good one.

    Args:
        bucket: where it lies.
        folder: the generation's path, with a slash at its end.
    """
    blobs = Blobs(bucket.objects(f"{folder}{BLOBS}/"))
    keys = (one["Key"] for one in bucket.objects(f"{folder}{ENTRIES}/"))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        while piece := list(islice(keys, _PIECE)):
            for key, content in zip(piece, pool.map(bucket.read, piece), strict=True):
                # None: it was deleted or replaced in between.
                yield None if content is None else judge(key, content, blobs)


def judge(key: str, content: bytes, blobs: Blobs) -> Broken | None:
    """Say what is wrong with an entry; None where nothing is."""
    try:
        entry = json.loads(content)
        manifest = json.loads(b64decode(entry["manifest"], validate=True))
        named = [manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])]
        missing = tuple(digest for digest in named if digest not in entry["blobs"] and digest not in blobs)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Broken(key=key, why="damaged")
    return Broken(key=key, missing=missing) if missing else None
