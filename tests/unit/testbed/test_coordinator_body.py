"""Bodies are read as the client sent them, and a broken one is never taken for a whole."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from testbed.coordinator_body import Body, BodyError, save_files

if TYPE_CHECKING:
    from pathlib import Path

FORM = "multipart/form-data; boundary=XyZ"


def multipart(data: bytes, name: str = "artifacts.zip") -> bytes:
    head = f'--XyZ\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    return head.encode() + data + b"\r\n--XyZ--\r\n"


class Trickle:
    """Gives a few bytes at a time, so that every border falls inside some read."""

    def __init__(self, data: bytes, step: int) -> None:
        self._data = io.BytesIO(data)
        self._step = step

    def read(self, size: int) -> bytes:
        return self._data.read(min(size, self._step))


def test_a_body_of_known_length_ends_there() -> None:
    body = Body(io.BytesIO(b"hello, next request"), {"Content-Length": "5"})
    assert body.read_all(100) == b"hello"


def test_a_chunked_body_ends_at_the_last_chunk_and_leaves_the_next_request() -> None:
    connection = io.BytesIO(b"5;ext=1\r\nhello\r\n1\r\n!\r\n0\r\nTrailer: x\r\n\r\nGET /")
    assert Body(connection, {"Transfer-Encoding": "chunked"}).read_all(100) == b"hello!"
    assert connection.read() == b"GET /"


@pytest.mark.parametrize(
    ("sent", "headers"),
    [
        (b"hel", {"Content-Length": "5"}),
        (b"5\r\nhel", {"Transfer-Encoding": "chunked"}),
        (b"zz\r\n", {"Transfer-Encoding": "chunked"}),
        (b"-5\r\nhello", {"Transfer-Encoding": "chunked"}),
    ],
)
def test_a_body_that_is_cut_or_malformed_is_an_error(sent: bytes, headers: dict[str, str]) -> None:
    with pytest.raises(BodyError):
        Body(io.BytesIO(sent), headers).read_all(100)


def test_a_body_longer_than_allowed_is_an_error() -> None:
    with pytest.raises(BodyError, match="longer than 3 bytes"):
        Body(io.BytesIO(b"hello"), {"Content-Length": "5"}).read_all(3)


@pytest.mark.parametrize("step", [1, 2, 7, 1000])
@pytest.mark.parametrize("data", [b"", b"\r\n", b"x" * 300, b"\r\n--Xy but not quite\r\n--X"])
def test_an_uploaded_file_is_saved_byte_for_byte(tmp_path: Path, data: bytes, step: int) -> None:
    (saved,) = save_files(Trickle(multipart(data), step), FORM, tmp_path)
    assert (saved.name, saved.path.read_bytes()) == ("artifacts.zip", data)


def test_a_file_name_cannot_leave_its_folder(tmp_path: Path) -> None:
    (saved,) = save_files(io.BytesIO(multipart(b"x", "../../etc/passwd")), FORM, tmp_path)
    assert saved.path == tmp_path / "passwd"


def test_a_cut_upload_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(BodyError):
        save_files(io.BytesIO(multipart(b"x" * 1000)[:500]), FORM, tmp_path)
    assert list(tmp_path.iterdir()) == []
