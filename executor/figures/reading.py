"""Lines of operator logs, from several hosts' files, rotated and packed ones included.

A log is written by many processes and moved about by others, so a line may be cut or no JSON at all. Such lines are
counted and told, and never end the reading.
"""

from __future__ import annotations

import gzip
import json
import os
import zlib
from dataclasses import dataclass, field
from datetime import datetime
from glob import escape, glob
from typing import IO, TYPE_CHECKING, Any

from executor.errors import SettingsInvalid, in_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_GZIP = b"\x1f\x8b"
_LONGEST = 1_000_000
"""Bytes of a line; tracebacks are the longest that the driver writes, and far below."""


@dataclass(kw_only=True)
class Reading:
    """What was read so far."""

    files: list[str] = field(default_factory=list)
    lines: int = 0
    broken: int = 0
    """Lines that are none of the driver's, or not whole."""
    unreadable: list[str] = field(default_factory=list)
    """Files that could not be read, or not to their end, each with the reason."""


def with_rotated(path: str) -> list[str]:
    """Return a log with what logrotate made of it before: `x.1`, `x.2.gz`, `x-20261101`; oldest first."""
    found = {path, *glob(f"{escape(path)}.*"), *glob(f"{escape(path)}-*")}
    return sorted((one for one in found if os.path.isfile(one)), key=lambda one: (os.stat(one).st_mtime, one))


def lines(paths: Iterable[str], reading: Reading, *, since: float = 0) -> Iterator[dict[str, Any]]:
    """Yield the lines of all files with their time as `time` (Unix), those before `since` left out.

    Files are told apart by device and inode, so that one which is named twice is read once.

    Raises:
        SettingsInvalid: none of the files can be read.
    """
    seen: set[tuple[int, int]] = set()
    for path in paths:
        try:
            with open(path, "rb") as raw:
                status = os.fstat(raw.fileno())
                if (status.st_dev, status.st_ino) in seen:
                    continue
                seen.add((status.st_dev, status.st_ino))
                packed = raw.read(len(_GZIP)) == _GZIP
                raw.seek(0)
                reading.files.append(path)
                yield from _of_file(gzip.GzipFile(fileobj=raw) if packed else raw, reading, since)
        except (OSError, EOFError, zlib.error) as error:
            reading.unreadable.append(f"{path}: {in_words(error, str(error))}")
    if not reading.files:
        raise SettingsInvalid(
            "There is no operator log that could be read.",
            why="; ".join(reading.unreadable) or "There is no such file, or none is named.",
            remedy="Name the files by --log, or run this as a user who may read them.",
        )


def _of_file(file: IO[bytes] | gzip.GzipFile, reading: Reading, since: float) -> Iterator[dict[str, Any]]:
    while line := file.readline(_LONGEST):
        if not line.strip(b" \t\r\n\0"):
            continue
        reading.lines += 1
        parsed = parse(line)
        if parsed is None:
            reading.broken += 1
        elif parsed["time"] >= since:
            yield parsed


def parse(line: bytes) -> dict[str, Any] | None:
    """Read one line; None for what no stage wrote."""
    try:
        document = json.loads(line)
        # By hand three times as fast as strptime, and as strict.
        when = datetime.fromisoformat(document["timestamp"])
        if when.tzinfo is None or not isinstance(document["event"], str):
            return None
        document["time"] = when.timestamp()
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    return dict(document)
