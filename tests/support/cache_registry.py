"""The real cache registry against the bed's real S3 server, spoken to as Kaniko does. Inside the bed's network."""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.request
from contextlib import contextmanager
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from executor.cache import registry
from executor.cache.use import Use
from executor.pod.control import CacheStory, ControlLines
from executor.settings.load import load
from testbed import cache, layout, packages, programs, s3
from testbed.progress import Progress
from testbed.tenants import CACHE_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from testbed.layout import Tenant

IMAGE = b'{"created":"2026-11-25T00:00:00Z"}'


class CacheRegistry:
    """One that runs, as in a pod of its own."""

    def __init__(self, address: str) -> None:
        self._base = f"http://{address}"

    def push(self, key: str, layer: bytes) -> None:
        """Store an image of one layer under a key."""
        for blob in (layer, IMAGE):
            if self._ask("HEAD", f"/v2/layers/blobs/{digest(blob)}")[0] == 200:
                continue
            place = self._ask("POST", "/v2/layers/blobs/uploads/")[2]["Location"]
            assert self._ask("PATCH", place, blob)[0] == 202
            assert self._ask("PUT", f"{place}?digest={digest(blob)}")[0] == 201
        manifest = {"config": _named(IMAGE), "layers": [_named(layer)]}
        assert self._ask("PUT", f"/v2/layers/manifests/{key}", json.dumps(manifest).encode())[0] == 201

    def layer(self, key: str) -> bytes | None:
        """Return the layer of a key; None where it is a miss. A hit without a layer is a failure."""
        status, manifest, _ = self._ask("GET", f"/v2/layers/manifests/{key}")
        if status != 200:
            return None
        (named,) = json.loads(manifest)["layers"]
        status, layer, _ = self._ask("GET", f"/v2/layers/blobs/{named['digest']}")
        assert status == 200
        return layer

    def story(self) -> CacheStory:
        """Return the counts since the last time."""
        (story,) = ControlLines().feed(b"kd1 cache " + self._ask("GET", "/driver/story")[1])
        assert isinstance(story, CacheStory)
        return story

    def _ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes, Any]:
        request = urllib.request.Request(self._base + path, body, method=method)  # noqa: S310 - our own program
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - the same
                return answer.status, answer.read(), answer.headers
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read(), error.headers


def digest(blob: bytes) -> str:
    """Return a blob's digest in the form of manifests."""
    return f"sha256:{sha256(blob).hexdigest()}"


def _named(blob: bytes) -> dict[str, object]:
    return {"digest": digest(blob), "size": len(blob)}


@contextmanager
def cache_registry(folder: Path, tenant: Tenant, **changed: Any) -> Iterator[CacheRegistry]:
    """Run one for the block, with a tenant's own keys.

    Args:
        folder: for its spool.
        tenant: whose bucket it is.
        changed: keys of its configuration; see cache-registry/settings.go.
    """
    settings = load(str(layout.DRIVER), tenant.name).tenant
    use = Use(mode="read-write", prefix=f"{CACHE_PREFIX}/{tenant.name}")
    text = registry.configuration(settings.cache, use, tenant=tenant.name, ca="", pulse="", idle=900)
    configuration = json.loads(text) | {"listen": "127.0.0.1:0", "spool": str(folder)} | changed
    keys = s3.credentials(tenant.name)
    environment = {
        "LAYER_CACHE": json.dumps(configuration),
        "AWS_ACCESS_KEY_ID": keys.access_key,
        "AWS_SECRET_ACCESS_KEY": keys.secret_key,
    }
    with serving(programs.CACHE_REGISTRY.path, environment) as running:
        yield running


@contextmanager
def serving(program: Path, environment: dict[str, str]) -> Iterator[CacheRegistry]:
    """Run a built one for the block."""
    with subprocess.Popen([program], env=environment, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield CacheRegistry(json.loads(process.stdout.readline())["address"])
        finally:
            process.terminate()


def program() -> Path:
    """Return the program of this checkout, built; skips the test where it is not and Go is not installed."""
    built = programs.CACHE_REGISTRY
    if not built.artifact.ready:
        with cache.lock(layout.CACHE / "lock", Progress(), "filling the cache"):
            programs.build(built, present_go(), Progress())
    return built.path


def present_go() -> Path:
    """Return Go; skips the test where it is not installed."""
    go = packages.present_go()
    if go is None:
        pytest.skip("Go is not installed; `scripts/test` does it")
    return go
