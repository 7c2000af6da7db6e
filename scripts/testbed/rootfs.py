"""Debian root file systems, made by debootstrap into the cache, each as one uncompressed layer (a tar file)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from testbed import layout
from testbed.cache import Artifact, digest, remove
from testbed.process import run, run_logged

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.progress import Progress

RELEASE = "bookworm"
MIRROR = os.environ.get("KANIKO_BED_DEBIAN_MIRROR", "")  # empty: debootstrap's own
# Nothing in here is needed to run what is installed, and it is a third of the size.
LEFT_OUT = (
    *("./debootstrap", "./dev/*", "./proc/*", "./sys/*", "./var/cache/apt/*", "./var/lib/apt/lists/*"),
    *("./var/log/*", "./usr/share/doc/*", "./usr/share/info/*", "./usr/share/locale/*", "./usr/share/man/*"),
)
# Names as image layers have them: no "./" in front (symbolic links' targets untouched).
PACK = (
    *("tar", "--create", "--sort=name", "--numeric-owner", r"--transform=s,^\./,,S"),
    *(f"--exclude={pattern}" for pattern in LEFT_OUT),
)


@dataclass(frozen=True)
class RootFileSystem:
    """Debian's smallest variant with some packages on top."""

    name: str
    packages: tuple[str, ...] = ()

    @property
    def artifact(self) -> Artifact:
        """The layer in the cache."""
        return Artifact("rootfs", self.name, digest((RELEASE, *LEFT_OUT, *self.packages)), ".tar")


PLAIN = RootFileSystem("debian")
HELPER = RootFileSystem("helper", ("ca-certificates", "git", "git-lfs"))
TOOLCHAIN = RootFileSystem("toolchain", ("gcc", "libc6-dev", "make"))
ALL = (PLAIN, HELPER, TOOLCHAIN)


def missing() -> list[RootFileSystem]:
    """Return those that are still to be made."""
    return [root for root in ALL if not root.artifact.ready]


def build(root: RootFileSystem, progress: Progress) -> None:
    """Make one root file system. Call it under the cache's lock."""
    log = layout.CACHE / "rootfs" / f"{root.name}.log"
    packages_kept = layout.CACHE / "rootfs" / "packages"
    packages_kept.mkdir(parents=True, exist_ok=True)

    def bootstrap(layer: Path) -> None:
        folder = layer.with_suffix(".root")
        remove(folder)
        options = [f"--cache-dir={packages_kept}", "--variant=minbase"]
        if root.packages:
            options.append(f"--include={','.join(root.packages)}")
        # In namespaces of its own: what it mounts and starts is gone when it ends, however it ends.
        alone = ("unshare", "--mount", "--pid", "--fork", "--kill-child")
        run_logged((*alone, "debootstrap", *options, RELEASE, str(folder), *filter(None, [MIRROR])), log)
        run((*PACK, f"--file={layer}", "--directory", folder, "."))
        remove(folder)

    with progress.step(f"making the Debian root file system {root.name}"):
        root.artifact.make(bootstrap)
