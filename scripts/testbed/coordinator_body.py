"""Read the bodies of the coordinator's requests as streams: chunked or of known length, plain or multipart.

The standard library's server hands over the raw connection and its multipart reader wants everything in memory, while
a runner uploads artifacts of any size in chunks. Knows HTTP framing only; nothing about jobs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.message import Message
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import BinaryIO

PIECE = 64 * 1024
LONGEST_LINE = 8 * 1024


class BodyError(ValueError):
    """The client sent less than it promised, or something that is not what the headers say."""


class Source(Protocol):
    """Anything that gives at most `size` bytes a call, and nothing only at its end."""

    def read(self, size: int) -> bytes:
        """The next bytes."""


class Body:
    """The body of one request; reads never go beyond it."""

    def __init__(self, connection: BinaryIO, headers: Mapping[str, str]) -> None:
        self._connection = connection
        self._chunked = headers.get("Transfer-Encoding", "").lower() == "chunked"
        self._left = 0 if self._chunked else int(headers.get("Content-Length") or 0)
        self._over = not self._chunked and self._left == 0

    def read(self, size: int) -> bytes:
        """At most `size` bytes; empty at the end of the body."""
        if self._chunked and self._left == 0 and not self._over:
            self._next_chunk()
        if self._over:
            return b""
        data = self._connection.read(min(size, self._left))
        if not data:
            raise BodyError("the connection ended in the middle of the body")
        self._left -= len(data)
        if self._left == 0:
            self._end_of_piece()
        return data

    def read_all(self, limit: int) -> bytes:
        """The rest of the body, which must not be longer than `limit` bytes."""
        data = bytearray()
        while piece := self.read(PIECE):
            data += piece
            if len(data) > limit:
                raise BodyError(f"the body is longer than {limit} bytes")
        return bytes(data)

    def drain(self) -> None:
        """Read to the end, so that the connection can carry another request."""
        while self.read(PIECE):
            pass

    def _next_chunk(self) -> None:
        size = self._connection.readline(LONGEST_LINE).split(b";")[0].strip()
        if not re.fullmatch(rb"[0-9a-fA-F]{1,15}", size):
            raise BodyError(f"not the size of a chunk: {size[:20]!r}")
        self._left = int(size, 16)
        if self._left == 0:
            while self._connection.readline(LONGEST_LINE).strip():
                pass  # trailers, of which none matters here
            self._over = True

    def _end_of_piece(self) -> None:
        if self._chunked:
            self._connection.readline(LONGEST_LINE)
        else:
            self._over = True


@dataclass(frozen=True)
class SavedFile:
    """A file of a multipart upload, as the client named it."""

    name: str
    path: Path


def save_files(source: Source, content_type: str, folder: Path) -> list[SavedFile]:
    """Write every file of a `multipart/form-data` body into `folder`, under its own last name.

    Raises:
        BodyError: the body is not complete or not multipart; what was begun is removed.
    """
    boundary = _parameters(content_type).get("boundary")
    if not boundary:
        raise BodyError(f"no multipart boundary in {content_type!r}")
    scanner = _Scanner(source, before=b"\r\n")
    delimiter = b"\r\n--" + boundary.encode()
    saved: list[SavedFile] = []
    scanner.pass_to(delimiter, _nowhere)
    while scanner.take(2) == b"\r\n":
        name = _file_name(scanner.line_block())
        if name is None:
            scanner.pass_to(delimiter, _nowhere)
        else:
            saved.append(_save(scanner, delimiter, name, folder))
    return saved


def _save(scanner: _Scanner, delimiter: bytes, name: str, folder: Path) -> SavedFile:
    folder.mkdir(parents=True, exist_ok=True)
    path, part = folder / name, folder / f".{name}.part"
    try:
        with part.open("wb") as file:
            scanner.pass_to(delimiter, file.write)
    except BodyError:
        part.unlink()
        raise
    part.replace(path)
    return SavedFile(name, path)


class _Scanner:
    """A window over a stream that can be moved on to the next place where some bytes stand."""

    def __init__(self, source: Source, before: bytes) -> None:
        self._source = source
        self._window = before

    def pass_to(self, marker: bytes, sink: Callable[[bytes], object]) -> None:
        while (at := self._window.find(marker)) < 0:
            safe = max(0, len(self._window) - len(marker) + 1)
            sink(self._window[:safe])
            self._window = self._window[safe:] + self._more()
        sink(self._window[:at])
        self._window = self._window[at + len(marker) :]

    def take(self, size: int) -> bytes:
        while len(self._window) < size:
            self._window += self._more()
        taken, self._window = self._window[:size], self._window[size:]
        return taken

    def line_block(self) -> str:
        lines = bytearray()
        self.pass_to(b"\r\n\r\n", lines.extend)
        return lines.decode("utf-8", "replace")

    def _more(self) -> bytes:
        piece = self._source.read(PIECE)
        if not piece:
            raise BodyError("the multipart body ends before its last boundary")
        return piece


def _file_name(part_headers: str) -> str | None:
    for line in part_headers.split("\r\n"):
        key, _, value = line.partition(":")
        if key.strip().lower() == "content-disposition" and (name := _parameters(value).get("filename")):
            return PurePosixPath(name).name or None
    return None


def _parameters(header: str) -> dict[str, str]:
    """The `key="value"` parts of a header, unquoted."""
    message = Message()
    message["content-type"] = header.strip()
    return {key.lower(): value for key, value in message.get_params(failobj=[]) if value}


def _nowhere(_: bytes) -> None:
    """Drop it."""
