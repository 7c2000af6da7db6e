"""Headless Chromium: a page as a person sees it, as a picture and as what the browser made of it.

Debian's package; it is installed where it is missing and this may be done. The pictures are for people to look at;
tests look at the page that the browser built, and at whether a picture shows anything.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import zlib
from typing import TYPE_CHECKING

from testbed import layout
from testbed.errors import BedError

if TYPE_CHECKING:
    from pathlib import Path

_PROGRAM = "chromium"
_PACKAGES = ("chromium", "fonts-dejavu-core")
_OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage")
_SECONDS = 120
_NONE, _LEFT, _UP, _AVERAGE = range(4)
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def install() -> None:
    """Make sure that there is a browser; to be called outside of the bed's network, from which nothing can be fetched.

    Raises:
        BedError: there is none, and it cannot be installed.
    """
    if shutil.which(_PROGRAM):
        return
    if layout.NAMESPACE_PATH.exists() and layout.NAMESPACE_PATH.samefile("/proc/self/ns/net"):
        raise BedError("chromium is missing; `scripts/test cluster` installs it, or: apt-get install chromium")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for words in (("update",), ("install", "-y", "--no-install-recommends", *_PACKAGES)):
        done = subprocess.run(
            ("apt-get", *words), env=environment, capture_output=True, text=True, check=False, timeout=600
        )
        if done.returncode:
            raise BedError(f"chromium cannot be installed: {done.stderr.strip()[-500:]}")


def picture(page: Path, target: Path, *, width: int = 900, height: int = 600) -> set[bytes]:
    """Take a picture of a page; returns the colours in it."""
    _run(page, f"--window-size={width},{height}", f"--screenshot={target}")
    return _colours(target.read_bytes())


def built(page: Path) -> str:
    """Return the page as the browser has it after everything has run."""
    return _run(page, "--virtual-time-budget=5000", "--dump-dom")


def _run(page: Path, *options: str) -> str:
    profile = page.parent / ".chromium"
    command = [_PROGRAM, *_OPTIONS, f"--user-data-dir={profile}", *options, page.as_uri()]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_SECONDS)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise BedError(f"chromium cannot show {page}: {error}") from error
    finally:
        shutil.rmtree(profile, ignore_errors=True)
    return done.stdout


def _colours(png: bytes) -> set[bytes]:
    """Return the colours of a picture of 8 bits a channel, filters undone (PNG specification, section 9)."""
    if not png.startswith(_SIGNATURE):
        raise BedError("this is no PNG")
    at, data, width, channels = len(_SIGNATURE), b"", 0, 0
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at : at + 8])
        content = png[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            width, _, _, colour = struct.unpack(">IIBB", content[:10])
            channels = {2: 3, 6: 4}[colour]
        elif kind == b"IDAT":
            data += content
        at += length + 12
    raw, stride = zlib.decompress(data), width * channels
    before, found = bytearray(stride), set[bytes]()
    for start in range(0, len(raw), stride + 1):
        line = bytearray(raw[start + 1 : start + 1 + stride])
        _undo(raw[start], line, before, channels)
        found.update(bytes(line[index : index + 3]) for index in range(0, stride, channels))
        before = line
    return found


def _undo(kind: int, line: bytearray, before: bytearray, step: int) -> None:
    """Undo the filter of one line; the simple ones apart, since a picture has millions of bytes."""
    if kind == _UP:
        line[:] = bytes((one + above) & 0xFF for one, above in zip(line, before, strict=True))
        return
    if kind == _NONE:
        return
    for index in range(len(line)):
        left = line[index - step] if index >= step else 0
        if kind == _LEFT:
            guess = left
        elif kind == _AVERAGE:
            guess = (left + before[index]) // 2
        else:
            guess = _nearest(left, before[index], before[index - step] if index >= step else 0)
        line[index] = (line[index] + guess) & 0xFF


def _nearest(left: int, above: int, corner: int) -> int:
    guess = left + above - corner
    return min((left, above, corner), key=lambda one: abs(guess - one))
