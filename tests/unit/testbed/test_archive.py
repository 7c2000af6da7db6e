"""Docker archives, read back."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from testbed import archive
from testbed.archive import LayerWriter, write_image

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    """A layer with one entry of each sort."""
    program = tmp_path / "busybox"
    program.write_bytes(b"\x7fELF and so on")
    path = tmp_path / "layer"
    with LayerWriter(path) as writer:
        writer.folders("bin", "etc")
        writer.folders("tmp", mode=0o1777)
        writer.copy("bin/busybox", program)
        writer.link("bin/sh", "/bin/busybox")
        writer.text("etc/passwd", "root:x:0:0\n")
    return path


def read(path: Path) -> dict[str, bytes]:
    """Return the archive's members."""
    with tarfile.open(path) as tar:
        return {entry.name: (tar.extractfile(entry) or io.BytesIO()).read() for entry in tar}


def description(members: dict[str, bytes]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the manifest's one image and its configuration."""
    (image,) = json.loads(members["manifest.json"])
    return image, json.loads(members[image["Config"]])


def test_a_layer_holds_what_was_put_in(layer: Path) -> None:
    with tarfile.open(layer) as tar:
        entries = {entry.name: entry for entry in tar}
        assert entries["tmp"].isdir()
        assert entries["tmp"].mode == 0o1777
        assert entries["bin/busybox"].mode == 0o755
        assert entries["bin/sh"].linkname == "/bin/busybox"
        passwd = tar.extractfile("etc/passwd")
        assert passwd
        assert passwd.read() == b"root:x:0:0\n"
        assert {(entry.uid, entry.gid, entry.mtime) for entry in entries.values()} == {(0, 0, 0)}


def test_an_image_names_its_layers_by_the_digest_of_their_content(layer: Path, tmp_path: Path) -> None:
    target = tmp_path / "image.tar"
    write_image(target, "bed.local/busybox:1", [layer, layer], {"Cmd": ["sh"]})
    members = read(target)
    image, config = description(members)
    assert image["RepoTags"] == ["bed.local/busybox:1"]
    assert config["config"] == {"Cmd": ["sh"]}
    assert config["architecture"] == archive.ARCHITECTURE
    assert len(config["history"]) == 2
    digests = [f"sha256:{sha256(members[name]).hexdigest()}" for name in image["Layers"]]
    assert config["rootfs"]["diff_ids"] == digests
    assert image["Config"] == f"{sha256(members[image['Config']]).hexdigest()}.json"


def test_a_packed_image_keeps_the_digests_of_the_unpacked_layers(layer: Path, tmp_path: Path) -> None:
    target = tmp_path / "image.tar"
    write_image(target, "bed.local/busybox:1", [layer], {}, packed=True)
    members = read(target)
    image, config = description(members)
    (name,) = image["Layers"]
    assert gzip.decompress(members[name]) == layer.read_bytes()
    assert config["rootfs"]["diff_ids"] == [f"sha256:{sha256(layer.read_bytes()).hexdigest()}"]
    assert {path.name for path in tmp_path.iterdir()} == {"busybox", "image.tar", "layer"}


def test_equal_content_gives_equal_archives(layer: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_image(tmp_path / name, "bed.local/busybox:1", [layer], {"Cmd": ["sh"]}, packed=True)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
