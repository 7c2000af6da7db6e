"""What is missing on a machine is found and named; nothing is installed here."""

from __future__ import annotations

import io
import shutil
import struct
import sys
from pathlib import Path

import pytest

from testbed import layout, packages
from testbed.errors import BedError
from testbed.packages import find_go, go_version, is_static, missing
from testbed.progress import Progress


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose only programs are those put into the folder."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setattr(layout, "PROGRAM_PATH", str(folder))
    monkeypatch.setattr(layout, "CACHE", tmp_path / "cache")
    return folder


def script(path: Path, text: str) -> Path:
    """Make a small program."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_a_machine_with_nothing_lacks_every_package_once(programs: Path) -> None:
    assert list(programs.iterdir()) == []
    found = missing()
    assert {"containerd", "runc", "etcd-server", "busybox-static", "iproute2"} <= set(found)
    assert found == sorted(set(found))


def test_a_program_that_is_there_is_not_asked_for(programs: Path) -> None:
    script(programs / "etcd", "exit 0")
    assert "etcd-server" not in missing()


def elf(path: Path, *segments: int) -> Path:
    """Make the head of a 64-bit ELF program with segments of the given kinds (elf(5))."""
    header = struct.pack("<4sBB10x16xQ14xHH6x", b"\x7fELF", 2, 1, 64, 56, len(segments))
    path.write_bytes(header + b"".join(struct.pack("<I52x", kind) for kind in segments))
    path.chmod(0o755)
    return path


LOAD, INTERPRETER = 1, 3


def test_a_program_with_a_loader_is_not_static(tmp_path: Path) -> None:
    assert is_static(elf(tmp_path / "static", LOAD, LOAD))
    assert not is_static(elf(tmp_path / "dynamic", LOAD, INTERPRETER))
    assert not is_static(script(tmp_path / "script", "exit 0"))
    assert not is_static(Path(shutil.which("sh") or "/bin/sh"))


def test_a_dynamic_busybox_is_not_good_enough(programs: Path) -> None:
    elf(programs / "busybox", INTERPRETER)
    assert "busybox-static" in missing()
    elf(programs / "busybox", LOAD)
    assert "busybox-static" not in missing()


def test_a_failing_apt_get_is_reported_with_the_packages_and_its_words(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(programs / "apt-get", 'echo "E: Unable to locate package" >&2; exit 100')
    script(programs / "setpriv", 'shift 3; exec "$@"')
    monkeypatch.setenv("PATH", str(programs))
    with pytest.raises(BedError, match=r"(?s)could not be installed: busybox-static.*etcd-server.*Unable to locate"):
        packages.ensure(Progress(io.StringIO()))


def test_without_apt_get_the_packages_are_named(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(programs))
    with pytest.raises(BedError, match=r"has no apt-get: busybox-static"):
        packages.ensure(Progress(io.StringIO()))


def test_a_machine_with_everything_is_left_alone(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in packages.PROGRAMS:
        script(programs / name, "exit 0")
    elf(programs / "busybox", LOAD)
    monkeypatch.setattr(packages, "FILES", {programs / "etcd": "etcd-server"})
    script(programs / "apt-get", "exit 100")
    monkeypatch.setenv("PATH", str(programs))
    packages.ensure(Progress(io.StringIO()))


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("go version go1.26.5 linux/amd64", (1, 26)),
        ("go version go1.27rc1 linux/arm64", (1, 27)),
        ("go version devel go1.28-5f6b8a1 linux/amd64", (1, 28)),
        ("something else", None),
    ],
)
def test_the_version_of_go_is_read_as_it_says_it(tmp_path: Path, said: str, version: tuple[int, int] | None) -> None:
    assert go_version(script(tmp_path / "go", f"echo {said}")) == version


def test_the_first_go_that_is_new_enough_is_taken(tmp_path: Path) -> None:
    old = script(tmp_path / "old", "echo go version go1.19.8 linux/amd64")
    new = script(tmp_path / "new", "echo go version go1.26.0 linux/amd64")
    assert find_go((tmp_path / "absent", old, new)) == new
    assert find_go((tmp_path / "absent", old)) is None


def test_go_that_cannot_be_installed_is_reported_with_what_to_do(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(programs / "setpriv", 'shift 3; exec "$@"')
    broken = script(programs / "python3", "echo no network >&2; exit 1")
    script(programs / "uv", "echo no network either >&2; exit 1")
    monkeypatch.setenv("PATH", f"{programs}:/bin")
    monkeypatch.setattr(packages, "USUAL_GO", programs / "absent")
    monkeypatch.setattr(sys, "executable", str(broken))
    with pytest.raises(BedError, match=r"(?s)install Go 1\.26 or newer by hand.*no network\n.*no network either"):
        packages.ensure_go(Progress(io.StringIO()))
