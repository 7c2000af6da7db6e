"""Entries whose blobs are gone are found, and nothing that lies there can make the search fail."""

from __future__ import annotations

import json
from base64 import b64encode
from hashlib import sha256
from typing import Any

import pytest

from executor.cache.verify import Blobs, Broken, judge, verify

FOLDER = "layer-cache/tenant-a/7/"


def digest(text: str) -> str:
    return f"sha256:{sha256(text.encode()).hexdigest()}"


def entry(*layers: str, inside: tuple[str, ...] = ("config",)) -> bytes:
    manifest = {"config": {"digest": digest("config")}, "layers": [{"digest": digest(one)} for one in layers]}
    blobs = {digest(one): "" for one in inside}
    return json.dumps({"manifest": b64encode(json.dumps(manifest).encode()).decode(), "blobs": blobs}).encode()


def blobs(*names: str) -> Blobs:
    return Blobs({"Key": f"{FOLDER}blobs/{one[7:]}"} for one in sorted(map(digest, names)))


class FakeBucket:
    """Objects in memory."""

    def __init__(self, objects: dict[str, bytes]) -> None:
        self._objects = objects

    def objects(self, prefix: str) -> Any:
        return ({"Key": key} for key in sorted(self._objects) if key.startswith(prefix))

    def read(self, key: str) -> bytes | None:
        return self._objects.get(key)


def test_entries_whose_layers_are_lost_are_named() -> None:
    found = {f"{FOLDER}blobs/{digest(f'layer {number}')[7:]}": b"" for number in range(300)}
    found |= {f"{FOLDER}entries/{number:03}": entry(f"layer {number}") for number in range(301)}
    results = list(verify(FakeBucket(found), FOLDER))  # type: ignore[arg-type]
    assert len(results) == 301
    assert [one for one in results if one] == [Broken(key=f"{FOLDER}entries/300", missing=(digest("layer 300"),))]


def test_small_layers_lie_in_the_entry_itself() -> None:
    assert judge("k", entry("a", inside=("config", "a")), blobs()) is None
    assert judge("k", entry("a", inside=()), blobs("a")) == Broken(key="k", missing=(digest("config"),))


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b'{"manifest": "e30=", "blobs": {}}', b'{"manifest": "?", "blobs": {}}', b"\xff"],
)
def test_a_damaged_entry_is_broken_and_no_crash(content: bytes) -> None:
    assert judge("k", content, blobs()) == Broken(key="k", why="damaged")


def test_a_listing_in_another_order_is_refused() -> None:
    backwards = [{"Key": f"blobs/{'f' * 64}"}, {"Key": f"blobs/{'0' * 64}"}]
    with pytest.raises(ValueError, match="order"):
        Blobs(backwards)
