"""What an image in the bed's registry holds: its files after all layers, and its configuration without its history.

Times are left out, since two builds never have the same, and so is how the content is cut into layers.
"""

from __future__ import annotations

import hashlib
import http.client
import io
import json
import tarfile
from pathlib import PurePosixPath
from typing import Any

from testbed import layout
from testbed.registry import MANIFESTS

_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"
_XATTR = "SCHILY.xattr."
Files = dict[str, tuple[Any, ...]]
"""Path -> type, mode, owner, group, content or target, extended attributes."""


def content(reference: str) -> tuple[Files, dict[str, Any]]:
    """Return files and configuration of an image, `REGISTRY/NAME:TAG`."""
    name, _, tag = reference.removeprefix(f"{layout.REGISTRY}/").rpartition(":")
    manifest = json.loads(_get(f"/v2/{name}/manifests/{tag}"))
    files: Files = {}
    for layer in manifest["layers"]:
        _lay_over(files, _get(f"/v2/{name}/blobs/{layer['digest']}"))
    config = json.loads(_get(f"/v2/{name}/blobs/{manifest['config']['digest']}"))
    return files, config["config"] | {"architecture": config["architecture"], "os": config["os"]}


def _get(path: str) -> bytes:
    connection = http.client.HTTPConnection(layout.HOST_ADDRESS, layout.REGISTRY_PORT, timeout=30)
    try:
        connection.request("GET", path, headers={"Accept": MANIFESTS})
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    assert answer.status == http.client.OK, (path, answer.status, body[:200])
    return body


def _lay_over(files: Files, layer: bytes) -> None:
    """Source: image-spec/layer.md, "Applying Changesets"."""
    with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
        members = archive.getmembers()
        fresh = {_path(one.name): _described(archive, one) for one in members}
    for path in fresh:
        at = PurePosixPath(path)
        if at.name == _OPAQUE:
            _remove_below(files, str(at.parent))
        elif at.name.startswith(_WHITEOUT):
            gone = str(at.parent / at.name.removeprefix(_WHITEOUT))
            files.pop(gone, None)
            _remove_below(files, gone)
    for path, described in fresh.items():
        if PurePosixPath(path).name.startswith(_WHITEOUT):
            continue
        if described[0] != "dir":
            _remove_below(files, path)
        # A hard link is the same file as its target, whichever of them a layer names first.
        files[path] = files[described[4]] if described[0] == "hard link" else described


def _remove_below(files: Files, folder: str) -> None:
    start = folder.rstrip("/") + "/"
    for path in [path for path in files if path.startswith(start)]:
        del files[path]


def _path(name: str) -> str:
    return "/" + name.removeprefix("./").strip("/")


def _described(archive: tarfile.TarFile, one: tarfile.TarInfo) -> tuple[Any, ...]:
    xattrs = tuple(sorted((key, value) for key, value in one.pax_headers.items() if key.startswith(_XATTR)))
    if one.islnk():
        return "hard link", 0, 0, 0, _path(one.linkname), ()
    if one.isreg():
        file = archive.extractfile(one)
        assert file is not None
        return "file", one.mode, one.uid, one.gid, hashlib.sha256(file.read()).hexdigest(), xattrs
    if one.issym():
        return "symlink", 0, one.uid, one.gid, one.linkname, xattrs
    kind = "dir" if one.isdir() else str(one.type)
    return kind, one.mode, one.uid, one.gid, "", xattrs
