"""The bed's image registry: the server, pushing base images into it, and asking it for digests."""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING

from testbed import layout, programs
from testbed.errors import BedError
from testbed.marks import Mark
from testbed.network import inside
from testbed.process import Service, run

if TYPE_CHECKING:
    from testbed.images import Image

DATA = layout.STATE / "registry"
SETTINGS = f"""\
version: 0.1
log: {{level: info, accesslog: {{disabled: false}}}}
storage: {{filesystem: {{rootdirectory: {DATA}}}, delete: {{enabled: true}}}}
http: {{addr: "{layout.REGISTRY}"}}
"""
MANIFESTS = (
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json"
)


def service() -> Service:
    """Return the server; writes its settings first."""
    path = layout.STATE / "registry.yml"
    path.write_text(SETTINGS)
    command = (str(programs.REGISTRY.path), "serve", str(path))
    return Service("registry", command, {"OTEL_TRACES_EXPORTER": "none"}, repr((command, SETTINGS)))


def ready() -> bool:
    """Whether it answers; OSError while it does not listen yet."""
    return _request("GET", "/v2/").status == http.client.OK


def digest(reference: str) -> str | None:
    """Return the digest (sha256:…) of an image in the registry, or None when it is not there.

    Args:
        reference: repository and tag, with or without the registry's address: `library/busybox:1`.
    """
    repository, _, tag = reference.removeprefix(f"{layout.REGISTRY}/").partition(":")
    answer = _request("HEAD", f"/v2/{repository}/manifests/{tag or 'latest'}")
    if answer.status == http.client.NOT_FOUND:
        return None
    if answer.status != http.client.OK:
        raise BedError(f"registry: {answer.status} for {reference}")
    return answer.getheader("Docker-Content-Digest")


def crane(*arguments: str) -> str:
    """Run crane against the registry (plain HTTP) and return what it printed."""
    return run((*layout.ENTER, str(programs.CRANE.path), *arguments, "--insecure"))


def has(image: Image) -> bool:
    """Whether exactly this image was pushed."""
    return _mark(image).there


def push(image: Image) -> None:
    """Push an image of the cache under its own reference."""
    crane("push", str(image.artifact.path), image.reference)
    _mark(image).set()


def _mark(image: Image) -> Mark:
    return Mark(f"registry-{image.name}", image.artifact.key)


def _request(method: str, path: str) -> http.client.HTTPResponse:
    with inside():
        connection = http.client.HTTPConnection(layout.HOST_ADDRESS, layout.REGISTRY_PORT, timeout=10)
        try:
            connection.request(method, path, headers={"Accept": MANIFESTS})
            answer = connection.getresponse()
            answer.read()
            return answer
        finally:
            connection.close()
