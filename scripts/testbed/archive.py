"""Container images as docker archives, written without any container tool: layers, configuration, manifest.

Deterministic: owner root, no times, so that equal content gives equal digests.
"""

from __future__ import annotations

import gzip
import io
import json
import platform
import shutil
import tarfile
from hashlib import file_digest, sha256
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

CREATED = "2026-01-01T00:00:00Z"
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


class LayerWriter:
    """Writes one layer: a tar file with paths relative to the root, without a leading slash."""

    def __init__(self, path: Path) -> None:
        self._tar = tarfile.open(path, "w", format=tarfile.PAX_FORMAT)  # noqa: SIM115 - closed by __exit__

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tar.close()

    def folders(self, *names: str, mode: int = 0o755) -> None:
        """Add folders; name parents before what is in them."""
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            self._tar.addfile(entry)

    def text(self, name: str, content: str, mode: int = 0o644) -> None:
        """Add a file with the given text."""
        data = content.encode()
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = len(data), mode
        self._tar.addfile(entry, io.BytesIO(data))

    def copy(self, name: str, source: Path, mode: int = 0o755) -> None:
        """Add a file of this machine."""
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = source.stat().st_size, mode
        with source.open("rb") as file:
            self._tar.addfile(entry, file)

    def link(self, name: str, target: str) -> None:
        """Add a symbolic link."""
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, target, 0o777
        self._tar.addfile(entry)


def write_image(
    archive: Path, reference: str, layers: list[Path], config: dict[str, Any], *, packed: bool = False
) -> None:
    """Write a docker archive (`docker save` format) with one image.

    Args:
        archive: the file to write.
        reference: what the image is called when it is loaded.
        layers: tar files, lowest first.
        config: the `config` object of the image: Entrypoint, Cmd, Env and so on.
        packed: whether to compress the layers. A registry wants them so, and a push then only copies; loading into
            containerd is faster without.
    """
    description = json.dumps(
        {
            "architecture": ARCHITECTURE,
            "os": "linux",
            "created": CREATED,
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{_digest(layer)}" for layer in layers]},
            "history": [{"created": CREATED, "created_by": "kaniko-bed"} for _ in layers],
        }
    ).encode()
    name = f"{sha256(description).hexdigest()}.json"
    members = [f"layer{number}.tar{'.gz' if packed else ''}" for number in range(len(layers))]
    manifest = json.dumps([{"Config": name, "RepoTags": [reference], "Layers": members}]).encode()
    with tarfile.open(archive, "w") as tar:
        _add(tar, name, description)
        for member, layer in zip(members, layers, strict=True):
            _add_layer(tar, member, _pack(layer, archive.with_name(f"{archive.name}.layer")) if packed else layer)
        _add(tar, "manifest.json", manifest)
    archive.with_name(f"{archive.name}.layer").unlink(missing_ok=True)


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data))


def _add_layer(tar: tarfile.TarFile, name: str, layer: Path) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = layer.stat().st_size
    with layer.open("rb") as file:
        tar.addfile(entry, file)


def _pack(layer: Path, target: Path) -> Path:
    with layer.open("rb") as plain, target.open("wb") as raw, gzip.GzipFile("", "wb", 1, raw, mtime=0) as packer:
        shutil.copyfileobj(plain, packer, 1 << 20)
    return target


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
