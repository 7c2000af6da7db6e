"""Whatever stands in a job response, config makes a job of it or says in words why not."""

from __future__ import annotations

import copy
import json
import random
from typing import TYPE_CHECKING, Any

import pytest

from executor.errors import DriverError
from executor.runner.response import JobResponse, read_job_response
from tests.unit.runner.test_response import FULL
from tests.unit.stages.test_config import Resolver

if TYPE_CHECKING:
    from pathlib import Path

ODD: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    2**63,
    10**40,
    1.5,
    float("inf"),
    "",
    " ",
    "x" * 100_000,
    "\ud800",
    "a\0b",
    "line\nbreak\r\n",
    "\x1b[31mred",
    "$(reboot) `reboot` ' \" \\",
    "-5",
    "9" * 5000,
    [],
    {},
    [None],
    [[]],
    [{}],
    {"a": {"b": []}},
]
SERVICE = {
    "name": "redis:7",
    "alias": "cache, store",
    "entrypoint": ["sh"],
    "command": ["-c", "true"],
    "pull_policy": ["always"],
    "variables": [{"key": "HEALTHCHECK_TCP_PORT", "value": "6379"}],
    "ports": [{"number": 80}],
    "executor_opts": {"kubernetes": {"user": 1000}},
}
WISHES = ("KUBERNETES_MEMORY_LIMIT", "KUBERNETES_CPU_REQUEST", "KUBERNETES_NODE_SELECTOR_A", "DOCKER_AUTH_CONFIG")
BASE = FULL | {
    "services": [SERVICE, {"name": "postgres"}],
    "variables": [{"key": key, "value": "1", "public": True} for key in WISHES],
}
TABLES: dict[str, dict[str, Any]] = {
    "services": {"allowed": ["*"], "most": 20},
    "images": {"allowed": ["*"], "allowed_pull_policies": ["always"]},
    "overrides": {"build": {"memory_limit": "64Gi", "cpu_request": "2"}, "node_selector": [".*"]},
}
CASES = 1500


def places(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every value below a document."""
    items = document.items() if isinstance(document, dict) else enumerate(document)
    found: list[tuple[Any, ...]] = []
    for key, value in items:
        found.append((*path, key))
        if isinstance(value, dict | list):
            found += places(value, (*path, key))
    return found


def mutated(rng: random.Random) -> Any:
    """Return a full response in which up to four values are odd ones, or gone."""
    document = copy.deepcopy(BASE)
    for _ in range(rng.randint(1, 4)):
        *way, last = rng.choice(places(document))
        place: Any = document
        for key in way:
            place = place[key]
        if isinstance(place, dict) and rng.random() < 0.2:
            del place[last]
        else:
            place[last] = rng.choice(ODD)
    return document


def read(folder: Path, content: bytes) -> JobResponse:
    path = folder / "response.json"
    path.write_bytes(content)
    return read_job_response(str(path))


@pytest.fixture
def resolver(tmp_path: Path) -> Resolver:
    private = tmp_path / "private"
    private.mkdir()
    return Resolver(tmp_path, private)


def test_odd_values_anywhere_make_a_job_or_words(tmp_path: Path, resolver: Resolver) -> None:
    rng = random.Random(4)
    jobs = 0
    for case in range(CASES):
        content = json.dumps(mutated(rng)).encode()
        try:
            job = resolver.resolve(read(tmp_path, content), **TABLES)
        except DriverError as error:
            words = str(error)
            assert "s3cret" not in words, case
            assert len(words) < 2000, case
            words.encode()
            continue
        jobs += 1
        job.write(str(tmp_path / "job.json"))
        manifest = json.dumps(job.manifest)
        manifest.encode("ascii")
        assert "s3cret" not in manifest, case
        annotations = job.manifest["metadata"]["annotations"]
        assert sum(len(f"{key}{value}".encode()) for key, value in annotations.items()) < 256 * 1024
    assert jobs > CASES // 10


def test_bytes_flipped_anywhere_make_a_job_or_words(tmp_path: Path) -> None:
    rng = random.Random(5)
    whole = json.dumps(BASE).encode()
    for _ in range(CASES):
        content = bytearray(whole)
        for _ in range(rng.randint(1, 8)):
            content[rng.randrange(len(content))] = rng.randrange(256)
        cut = rng.choice((len(content), rng.randrange(len(content))))
        assert "s3cret" not in words_of(tmp_path, bytes(content[:cut]))


def words_of(folder: Path, content: bytes) -> str:
    """Return the words about a response; none where it is a good one."""
    try:
        read(folder, content)
    except DriverError as error:
        return str(error)
    return ""


def test_a_document_as_deep_as_a_well_is_told(tmp_path: Path) -> None:
    with pytest.raises(DriverError, match="cannot be used"):
        read(tmp_path, b'{"id": ' + b"[" * 100_000)


@pytest.mark.parametrize(
    "value",
    ["x" * 300_000, "a\nb\r\nc", "$HOME ${HOME} $(HOME)", 'it\'s "quoted" \\ `x`', "\x1b[31mred", "ä\ufffd😀", "a\0b"],
)
def test_no_value_of_a_variable_is_in_the_pod(tmp_path: Path, resolver: Resolver, value: str) -> None:
    variable = {"key": "ODD_ONE", "value": value, "public": True}
    response = read(tmp_path, json.dumps({"id": 1, "variables": [variable]}).encode())
    manifest = json.dumps(resolver.resolve(response).manifest, ensure_ascii=False)
    assert "ODD_ONE" not in manifest
    assert value not in manifest


def test_names_that_are_no_labels_become_readable_annotations(tmp_path: Path, resolver: Resolver) -> None:
    document = {
        "id": 1,
        "job_info": {"name": "büild: [1/2]\n\0\ud800 " + "x" * 100_000, "project_full_path": "y" * 200_000},
        "git_info": {"ref": "feature/ä\x1b[31m", "sha": "0" * 40},
    }
    job = resolver.resolve(read(tmp_path, json.dumps(document).encode()))
    annotations = job.manifest["metadata"]["annotations"]
    mark = "\N{REPLACEMENT CHARACTER}"
    assert annotations["job.runner.gitlab.com/name"].startswith(f"büild: [1/2]{mark}{mark}")
    assert annotations["job.runner.gitlab.com/ref"] == f"feature/ä{mark}[31m"
    assert sum(len(value.encode()) for value in annotations.values()) < 64 * 1024
    assert set(job.manifest["metadata"]["labels"].values()) == {"tenant-a", "1", "0", job.attempt}
