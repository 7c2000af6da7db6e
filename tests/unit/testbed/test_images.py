"""The images that play the official ones have their layout, and are made again when something in them changes."""

from __future__ import annotations

import io
import json
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from testbed import images, layout, programs
from testbed.rootfs import HELPER

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.images import Image


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with a busybox, certificates, and everything built, each thing only a few bytes."""
    busybox = tmp_path / "busybox"
    busybox.write_text("#!/bin/sh\nprintf '%s\\n' busybox cat sh\n")
    busybox.chmod(0o755)
    (tmp_path / "certificates").write_text("certificates")
    monkeypatch.setattr(layout, "PROGRAM_PATH", str(tmp_path))
    monkeypatch.setattr(layout, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(images, "CERTIFICATES", tmp_path / "certificates")
    for program in (programs.KANIKO, programs.CACHE_REGISTRY, programs.RUNNER_HELPER):
        program.path.parent.mkdir(parents=True)
        program.path.write_text(program.name)
    HELPER.artifact.path.parent.mkdir(parents=True)
    with tarfile.open(HELPER.artifact.path, "w"):
        pass
    return tmp_path


def named(name: str) -> Image:
    """Return an image by its name."""
    return next(image for image in (*images.FOR_NODES, *images.FOR_REGISTRY) if image.name == name)


def unpacked(image: Image, folder: Path) -> tuple[dict[str, Any], dict[str, tarfile.TarInfo]]:
    """Write the image; return its configuration and the entries of its top layer."""
    target = folder / "image.tar"
    image.write(target)
    with tarfile.open(target) as tar:
        (manifest,) = json.load(tar.extractfile("manifest.json") or io.BytesIO())
        config = json.load(tar.extractfile(manifest["Config"]) or io.BytesIO())["config"]
        with tarfile.open(fileobj=tar.extractfile(manifest["Layers"][-1])) as layer:
            return config, {entry.name: entry for entry in layer}


def test_kaniko_is_laid_out_as_the_debug_image(tmp_path: Path) -> None:
    config, entries = unpacked(named("kaniko"), tmp_path)
    assert config["Entrypoint"] == ["/kaniko/executor"]
    assert config["WorkingDir"] == "/workspace"
    assert config["Volumes"] == {"/busybox": {}}
    assert "PATH=/usr/local/bin:/kaniko:/busybox" in config["Env"]
    assert entries["bin/sh"].linkname == "/busybox/sh"
    assert entries["busybox/sh"].linkname == "/busybox/busybox"
    assert entries["kaniko/executor"].mode == 0o755
    assert not {"etc/passwd", "tmp", "usr"} & set(entries)


def test_the_helper_has_no_gitlab_runner_as_the_official_one(tmp_path: Path) -> None:
    _, entries = unpacked(named("helper"), tmp_path)
    assert set(entries) == {"usr", "usr/bin", "usr/bin/gitlab-runner-helper", "usr/bin/gitlab-runner-build"}


def test_the_cache_registry_has_a_busybox_for_the_jobs_containers_and_is_nobody(tmp_path: Path) -> None:
    config, entries = unpacked(named("cache-registry"), tmp_path)
    assert (config["Entrypoint"], config["User"]) == (["/cache-registry"], "65534:65534")
    authorities = {"etc", "etc/ssl", "etc/ssl/certs", "etc/ssl/certs/ca-certificates.crt"}
    assert set(entries) == {"cache-registry", "bin", "bin/busybox", *authorities}


def test_base_images_are_named_for_the_registry_of_the_bed() -> None:
    references = {image.reference.removeprefix(layout.REGISTRY) for image in images.FOR_REGISTRY}
    assert references == {"/library/busybox:1", "/library/alpine:3", "/library/debian:bookworm", "/library/gcc:12"}


def test_an_image_is_made_again_when_something_in_it_changes(machine: Path) -> None:
    keys = {name: named(name).artifact.key for name in ("kaniko", "helper")}
    assert {name: named(name).artifact.key for name in keys} == keys
    (machine / "certificates").write_text("other certificates")
    assert all(named(name).artifact.key != key for name, key in keys.items())


def test_no_two_images_are_equal(tmp_path: Path) -> None:
    small = [image for image in (*images.FOR_NODES, *images.FOR_REGISTRY) if image.root in {None, HELPER}]
    contents = set()
    for image in small:
        image.write(tmp_path / "image.tar")
        with tarfile.open(tmp_path / "image.tar") as tar:
            contents.add(json.load(tar.extractfile("manifest.json") or io.BytesIO())[0]["Config"])
    assert len(contents) == len({image.artifact.path for image in small}) == len(small)
