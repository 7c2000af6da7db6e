"""Every image of the bed, assembled from the built programs, a static busybox and the Debian root file systems.

Two sorts. Images for pods play the official ones (Kaniko's debug image, GitLab's helper, busybox) with
the same layout and are loaded into the nodes. Base images for Dockerfiles are pushed to the bed's registry.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed import archive, layout, programs, rootfs
from testbed.archive import LayerWriter
from testbed.cache import Artifact, digest
from testbed.errors import BedError
from testbed.process import run

if TYPE_CHECKING:
    from collections.abc import Callable

    from testbed.programs import Program
    from testbed.progress import Progress
    from testbed.rootfs import RootFileSystem

SYSTEM_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
USERS = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"
GROUPS = "root:x:0:\nnogroup:x:65534:\n"
ROOT_FOLDERS = (
    *("bin", "etc", "home", "lib", "opt", "root", "sbin", "usr", "usr/bin", "usr/sbin", "usr/local", "usr/local/bin"),
    *("var", "var/cache", "var/lib"),
)
# What the runner's Kubernetes executor starts in the helper container, as in the official helper image.
HELPER_SHELL = "#!/bin/bash\numask 0000\nexec /bin/bash\n"
# Waits, and ends at once when told to. The program must be called busybox to find its applets.
PAUSE_COMMAND = 'trap "exit 0" TERM INT; while :; do /busybox sleep 86400 & wait $!; done'


def busybox() -> Path:
    """Return this machine's static busybox."""
    found = shutil.which("busybox", path=layout.PROGRAM_PATH)
    if not found:
        raise BedError("busybox is missing (Debian: busybox-static)")
    return Path(found)


def _busybox_in(layer: LayerWriter, folder: str) -> None:
    layer.copy(f"{folder}/busybox", busybox())
    for applet in run((busybox(), "--list")).split():
        if applet != "busybox":
            layer.link(f"{folder}/{applet}", f"/{folder}/busybox")


def _small_root(layer: LayerWriter) -> None:
    layer.folders(*ROOT_FOLDERS)
    layer.folders("tmp", "var/tmp", mode=0o1777)
    _busybox_in(layer, "bin")
    layer.text("etc/passwd", USERS)
    layer.text("etc/group", GROUPS)


def _pause(layer: LayerWriter) -> None:
    layer.copy("busybox", busybox())


def _kaniko(layer: LayerWriter) -> None:
    # As upstream's debug image: no /etc/passwd, no /tmp, the shell only under /busybox.
    layer.folders("busybox", "bin", "etc", "workspace")
    layer.folders("kaniko", "kaniko/.docker", "kaniko/ssl", "kaniko/ssl/certs", mode=0o777)
    layer.copy("kaniko/executor", programs.KANIKO.path)
    layer.copy("kaniko/ssl/certs/ca-certificates.crt", CERTIFICATES, 0o644)
    layer.text("etc/nsswitch.conf", "hosts: files dns\n")
    _busybox_in(layer, "busybox")
    layer.link("bin/sh", "/busybox/sh")


def _helper(layer: LayerWriter) -> None:
    layer.folders("usr", "usr/bin")
    layer.copy("usr/bin/gitlab-runner-helper", programs.RUNNER_HELPER.path)
    layer.text("usr/bin/gitlab-runner-build", HELPER_SHELL, 0o755)


def _cache_registry(layer: LayerWriter) -> None:
    # As cache-registry/Dockerfile: the program, the usual authorities, and a busybox for the job's containers.
    layer.folders("bin", "etc", "etc/ssl", "etc/ssl/certs")
    layer.copy("bin/busybox", busybox())
    layer.copy("cache-registry", programs.CACHE_REGISTRY.path)
    layer.copy("etc/ssl/certs/ca-certificates.crt", CERTIFICATES, 0o644)


def _base_busybox(layer: LayerWriter) -> None:
    _small_root(layer)
    # Must differ from the tools image: kubelet goes by content, and once it has pulled this one from the registry it
    # would no longer take the equal one that was loaded without asking a registry for it (KEP-2535).
    layer.text("etc/busybox-release", "1\n")


def _alpine(layer: LayerWriter) -> None:
    _small_root(layer)
    layer.text("etc/alpine-release", "3.20.0-stand-in\n")


@dataclass(frozen=True)
class Image:
    """One image: at most a root file system with at most one layer of our own on it."""

    name: str
    reference: str
    config: dict[str, Any]
    root: RootFileSystem | None = None
    fill: Callable[[LayerWriter], None] | None = None
    uses: tuple[Program, ...] = ()
    packed: bool = field(default=False, kw_only=True)

    @property
    def artifact(self) -> Artifact:
        """The docker archive in the cache."""
        # Our own sources count whole: which function made which byte is not worth tracking.
        parts: list[str | bytes | Path] = [Path(__file__), Path(archive.__file__), busybox()]
        parts += [self.reference, CERTIFICATES, *(program.artifact.key for program in self.uses)]
        if self.root:
            parts.append(self.root.artifact.key)
        return Artifact("images", self.name, digest(parts), ".tar")

    def write(self, target: Path) -> None:
        """Write the docker archive."""
        layers = [self.root.artifact.path] if self.root else []
        own = target.with_suffix(".own")
        if self.fill:
            with LayerWriter(own) as layer:
                self.fill(layer)
            layers.append(own)
        archive.write_image(target, self.reference, layers, self.config, packed=self.packed)
        own.unlink(missing_ok=True)


def _base(name: str, tag: str, shell: str, **content: Any) -> Image:
    reference = f"{layout.REGISTRY}/library/{name}:{tag}"
    return Image(f"base-{name}", reference, {"Cmd": [shell], "Env": [SYSTEM_PATH]}, packed=True, **content)


FOR_NODES = (
    Image(
        "pause",
        layout.PAUSE_IMAGE,
        {"Entrypoint": ["/busybox", "sh", "-c", PAUSE_COMMAND], "User": "65535:65535"},
        fill=_pause,
    ),
    Image("busybox", layout.TOOLS_IMAGE, {"Cmd": ["sh"], "Env": [SYSTEM_PATH]}, fill=_small_root),
    Image(
        "cache-registry",
        layout.CACHE_REGISTRY_IMAGE,
        {"Entrypoint": ["/cache-registry"], "User": "65534:65534"},
        fill=_cache_registry,
        uses=(programs.CACHE_REGISTRY,),
    ),
    Image(
        "kaniko",
        layout.KANIKO_IMAGE,
        {
            "Entrypoint": ["/kaniko/executor"],
            "WorkingDir": "/workspace",
            "Volumes": {"/busybox": {}},
            "User": "0",
            "Env": [
                "PATH=/usr/local/bin:/kaniko:/busybox",
                "HOME=/root",
                "USER=root",
                "SSL_CERT_DIR=/kaniko/ssl/certs",
                "DOCKER_CONFIG=/kaniko/.docker/",
                "DOCKER_CREDENTIAL_GCR_CONFIG=/kaniko/.config/gcloud/docker_credential_gcr_config.json",
            ],
        },
        fill=_kaniko,
        uses=(programs.KANIKO,),
    ),
    Image(
        "helper",
        layout.HELPER_IMAGE,
        {"Cmd": ["bash"], "Env": [SYSTEM_PATH]},
        root=rootfs.HELPER,
        fill=_helper,
        uses=(programs.RUNNER_HELPER,),
    ),
)
FOR_REGISTRY = (
    _base("busybox", "1", "sh", fill=_base_busybox),
    _base("alpine", "3", "/bin/sh", fill=_alpine),
    _base("debian", "bookworm", "bash", root=rootfs.PLAIN),
    _base("gcc", "12", "bash", root=rootfs.TOOLCHAIN),
)


def missing() -> list[Image]:
    """Return the images that are still to be assembled."""
    return [image for image in (*FOR_NODES, *FOR_REGISTRY) if not image.artifact.ready]


def build(image: Image, progress: Progress) -> None:
    """Assemble one image. Call it under the cache's lock."""
    with progress.step(f"assembling {image.reference}"):
        image.artifact.make(image.write)
