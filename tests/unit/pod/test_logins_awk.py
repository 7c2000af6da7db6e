"""logins.awk merges config.json files exactly as a JSON library would, for any way to write JSON."""

from __future__ import annotations

import json
import random
import subprocess
import time
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.container import busybox

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = str(files("executor.pod") / "shell" / "logins.awk")
HOSTS = ["https://index.docker.io/v1/", "registry.example.com", "registry.example.com:5000/ä", 'a"b\\c', "", "auths"]
STRINGS = [
    "",
    "dXNlcjpwYXNz",
    "{",
    "}",
    "[",
    "]",
    '"',
    "\\",
    '\\"',
    "a,b:c",
    "ä漢😀",
    "\n\t\r\b\f",
    "/",
    "\x7f",
    "null",
    "</script>",
]


def awk(*paths: object) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [busybox(), "awk", "-f", PROGRAM, *map(str, paths)], capture_output=True, check=False, timeout=60
    )


def merged(folder: Path, *texts: str | bytes) -> Any:
    """Merge texts; returns the document."""
    paths = []
    for number, text in enumerate(texts):
        path = folder / f"{number}.json"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        paths.append(path)
    done = awk(*paths)
    assert done.returncode == 0, done.stderr
    assert done.stderr == b""
    return json.loads(done.stdout)


def expected(*documents: dict[str, Any]) -> dict[str, Any]:
    """Merge as the first lines of the program say."""
    result: dict[str, Any] = {}
    auths: dict[str, Any] = {}
    for document in documents:
        auths |= document.get("auths") or {}
        result |= document
    return result | {"auths": auths}


class Writer:
    """Writes a value as JSON in one of the many ways there are."""

    def __init__(self, some: random.Random) -> None:
        self.some = some

    def config(self, document: dict[str, Any]) -> str:
        """Write a config.json; nobody writes the key `auths` itself with escapes."""
        members = [
            ('"auths"' if key == "auths" else self.write(key), self.write(value)) for key, value in document.items()
        ]
        return self.space() + self.table(members) + self.space()

    def write(self, value: Any) -> str:
        if isinstance(value, dict):
            return self.table([(self.write(key), self.write(inner)) for key, inner in value.items()])
        if isinstance(value, list):
            return "[" + ",".join(self.space() + self.write(item) + self.space() for item in value) + "]"
        if isinstance(value, str):
            return '"' + "".join(self.character(one) for one in value) + '"'
        return json.dumps(value)

    def table(self, members: list[tuple[str, str]]) -> str:
        space = self.space
        return "{" + ",".join(f"{space()}{key}{space()}:{space()}{value}{space()}" for key, value in members) + "}"

    def space(self) -> str:
        return self.some.choice(("", "", "", " ", "\n", "\r\n", "\t", "  \n\t"))

    def character(self, one: str) -> str:
        way = self.some.random()
        if one in '"\\' or one < " " or way < 0.1:
            short = {
                '"': '\\"',
                "\\": "\\\\",
                "/": "\\/",
                "\n": "\\n",
                "\t": "\\t",
                "\r": "\\r",
                "\b": "\\b",
                "\f": "\\f",
            }
            if one in short and way < 0.7:
                return short[one]
            return "".join(f"\\u{unit:04x}" for unit in self.units(one))
        return one

    @staticmethod
    def units(one: str) -> list[int]:
        encoded = one.encode("utf-16-be")
        return [int.from_bytes(encoded[n : n + 2], "big") for n in range(0, len(encoded), 2)]


def value(some: random.Random, depth: int = 0) -> Any:
    kind = some.randrange(8 if depth < 3 else 6)
    if kind < 3:
        return some.choice(STRINGS)
    if kind == 3:
        return some.choice([0, -1, 1.5, -2.5e-10, 1e30, 12345678901234567890])
    if kind < 6:
        return some.choice([True, False, None])
    if kind == 6:
        return [value(some, depth + 1) for _ in range(some.randrange(4))]
    return {some.choice(STRINGS + HOSTS): value(some, depth + 1) for _ in range(some.randrange(4))}


def config(some: random.Random) -> dict[str, Any]:
    """Make a docker config.json: some hosts, and anything beside them."""
    document: dict[str, Any] = {}
    keys = ["auths", "credHelpers", "credsStore", "HttpHeaders", some.choice(STRINGS)]
    some.shuffle(keys)
    for key in keys[: some.randrange(6)]:
        if key == "auths":
            hosts = some.sample(HOSTS, some.randrange(len(HOSTS) + 1))
            document[key] = {host: some.choice([{"auth": some.choice(STRINGS)}, {}, value(some)]) for host in hosts}
        else:
            document[key] = value(some)
    return document


@pytest.mark.parametrize("seed", range(60))
def test_any_configurations_merge_as_a_json_library_would(tmp_path: Path, seed: int) -> None:
    some = random.Random(seed)
    documents = [config(some) for _ in range(some.randrange(1, 4))]
    writer = Writer(some)
    texts = [writer.config(document) for document in documents]
    assert merged(tmp_path, *texts) == expected(*documents)


def test_one_host_may_be_written_in_two_ways_and_the_last_one_wins(tmp_path: Path) -> None:
    plain, escaped = '{"auths": {"https://x/": {"auth": "%s"}}}', '{"auths": {"https:\\/\\/x\\/": {"auth": "%s"}}}'
    for texts in ((plain % 1, escaped % 2, plain % 3), (escaped % 1, plain % 2, escaped % 3), (plain % 1, escaped % 3)):
        assert merged(tmp_path, *texts)["auths"]["https://x/"]["auth"] == "3"


@pytest.mark.parametrize("text", ["", "\n", " \t\r\n", "{}", '{"auths": {}}', '{"auths": null}', '{"auths":{}}\r\n'])
def test_a_file_without_logins_takes_none_away(tmp_path: Path, text: str) -> None:
    login = '{"auths": {"a": {"auth": "x"}}}'
    assert merged(tmp_path, login, text) == merged(tmp_path, text, login) == json.loads(login)


def test_missing_files_and_folders_count_as_empty(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "real.json").write_text('{"a": 1}')
    done = awk(tmp_path / "absent", tmp_path / "real.json", tmp_path / "folder", tmp_path / "no" / "such")
    assert json.loads(done.stdout) == {"a": 1, "auths": {}}
    assert json.loads(awk().stdout) == {"auths": {}}


def test_bytes_that_are_no_unicode_pass_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b'{"auths": {"h\xff": {"auth": "\xfe"}}}')
    assert b'"h\xff":{"auth": "\xfe"}' in awk(tmp_path / "x").stdout


@pytest.mark.parametrize("seed", range(25))
def test_a_configuration_that_was_cut_is_refused(tmp_path: Path, seed: int) -> None:
    some = random.Random(seed)
    text = Writer(some).config({"auths": {"a": {"auth": "x"}}} | config(some)).encode()
    (tmp_path / "x").write_bytes(text[: some.randrange(1, len(text))])
    assert awk(tmp_path / "x").returncode == 1


@pytest.mark.parametrize(
    "text",
    [
        *(
            "[]",
            '"x"',
            "5",
            "x",
            "{]",
            "{,}",
            '{"a"}',
            '{"a":}',
            '{"a" 1}',
            '{"a":1,}',
            '{"a":1 "b":2}',
            "{a:1}",
            "{} {}",
        ),
        *('{"auths": []}', '{"auths": "x"}', '{"auths": {"a"}}', '{"a": 1}}', '{"a": [1}', "\ufeff{}"),
    ],
)
def test_what_is_no_configuration_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "x").write_text(text)
    done = awk(tmp_path / "x")
    assert done.returncode == 1
    assert done.stdout == b""


def test_hundreds_of_logins_take_no_noticeable_time(tmp_path: Path) -> None:
    many = {"auths": {f"registry-{n}.example.com": {"auth": "x" * 200} for n in range(300)}}
    started = time.monotonic()
    assert merged(tmp_path, json.dumps(many), json.dumps(many)) == many
    assert time.monotonic() - started < 30
