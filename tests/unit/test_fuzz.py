"""Inputs that others write, spoiled at random from fixed seeds: each is taken or refused in words, and nothing crashes.

What the driver reads of others: the job response, settings, control lines of a pod whose root is hostile, Kaniko's
output, and messages of the cluster.
"""

from __future__ import annotations

import copy
import json
import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from executor.diagnosis import cause, kaniko, quota, refusal
from executor.errors import ContractBroken, DriverError, SettingsInvalid
from executor.pod.control import ControlLines
from executor.runner.response import read_job_response
from executor.settings.load import load
from tests.contract.conftest import RESPONSE
from tests.support.tenants import MINIMAL, write_settings

SEEDS = range(300)
CANARY = "s3cret"
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, float("1e300"), 2**63, 2**200, "", "x", "\0", "\ud800", "a" * 10_000, "$(id)"),
    *([], {}, [[]], {"": ""}, [None], {"a": {"b": {"c": []}}}),
)
LINES = (
    b"kd1 started",
    b"kd1 beat",
    b"kd1 held",
    b"kd1 error lost",
    b"kd1 exit 0 10 4096 0 0",
    b"kd1 exit 137 999999999999999 999999999999999 999999999 1",
    b"kd1 used 1 2 3 4 5 6",
    b"kd1 used - - - - - -",
    b"kd1 used 999999999999999 999999999999999 999999999999999 999999999999999 9 9",
    b"kd1 cache 1 2 3 4 5 6 7 8 9 10 11 12",
    b"kd1 missed 52554e2074727565",
)


def places(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The ways to every value below a document."""
    if not isinstance(document, (dict, list)):
        return [path]
    below = list(document.items() if isinstance(document, dict) else enumerate(document))
    return [path, *(one for key, value in below for one in places(value, (*path, key)))]


def spoiled(document: Any, chance: random.Random) -> Any:
    """The document with one to three values that are others, gone, or doubled."""
    made = copy.deepcopy(document)
    for _ in range(chance.randint(1, 3)):
        *way, last = chance.choice([path for path in places(made) if path])
        table = made
        for key in way:
            table = table[key]
        if chance.random() < 0.2:
            del table[last]
        else:
            table[last] = copy.deepcopy(chance.choice(ODD))
    return made


def scratched(text: bytes, chance: random.Random) -> bytes:
    """The text with some bytes that are others, gone, doubled or moved."""
    made = bytearray(text)
    for _ in range(chance.randint(1, 8)):
        place = chance.randrange(len(made) + 1)
        length = chance.randint(0, 12)
        piece = chance.choice((bytes(chance.randbytes(length)), bytes(made[place : place + length]) * 2, b"", b"\n"))
        made[place : place + chance.randint(0, 12)] = piece
    return bytes(made)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_job_response_is_read_or_refused_without_its_values(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    path = tmp_path / "response.json"
    document = spoiled(RESPONSE, chance)
    path.write_bytes(json.dumps(document, allow_nan=True).encode("utf-8", "surrogatepass"))
    if seed % 3 == 0:
        path.write_bytes(scratched(path.read_bytes(), chance))
    refused = ""
    try:
        assert read_job_response(str(path)).timeout > 0
    except ContractBroken as error:
        refused = str(error)
    assert CANARY not in refused


def test_a_job_response_that_is_nested_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "response.json"
    path.write_text('{"id": ' + "[" * 100_000)
    with pytest.raises(ContractBroken):
        read_job_response(str(path))


@pytest.mark.parametrize("seed", SEEDS)
def test_settings_are_read_or_refused_with_their_mistakes(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    text = MINIMAL + '[timeouts]\nidle = "5m"\n[resources.build]\ncpu_limit = "2"\n[kaniko]\nflags = ["--x=1"]\n'
    write_settings(tmp_path, tenant=text)
    file = tmp_path / "tenants" / "tenant-a.toml"
    file.write_bytes(scratched(text.encode(), chance))
    with suppress(SettingsInvalid):
        assert load(str(tmp_path), "tenant-a").tenant.name == "tenant-a"


@pytest.mark.parametrize("seed", SEEDS)
def test_control_lines_mean_the_same_however_they_arrive(seed: int) -> None:
    chance = random.Random(seed)
    stream = b"\n".join(chance.choice(LINES) for _ in range(30)) + b"\n"
    stream = scratched(stream, chance) if seed % 4 else chance.randbytes(4000)
    whole = ControlLines().feed(stream)
    lines, pieces, place = ControlLines(), [], 0
    while place < len(stream):
        size = chance.randint(1, 40)
        pieces += lines.feed(stream[place : place + size])
        place += size
    assert [repr(one) for one in pieces] == [repr(one) for one in whole]
    for one in whole:
        for value in vars(one).values() if hasattr(one, "__dict__") else ():
            assert not isinstance(value, int) or 0 <= value < 10**15
    assert len(lines._rest) < 10_000


@pytest.mark.parametrize("seed", SEEDS)
def test_what_a_pod_says_of_itself_and_kaniko_prints_is_text_to_the_diagnosis(seed: int) -> None:
    chance = random.Random(seed)
    recorded = sorted((Path(__file__).parent / "diagnosis/data").glob("*/*.*"))
    path = chance.choice(recorded)
    text = scratched(path.read_bytes(), chance).decode("utf-8", "replace")
    hint = kaniko.hint(text)
    assert hint is None or hint.text
    category, _ = refusal.of_answer(chance.choice((400, 401, 403, 404, 422, 429, 500)), text)
    assert category
    shortage = quota.of_refusal(text)
    assert shortage is None or isinstance(shortage.words + shortage.hopeless, str)
    pod = {
        "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "build"}]},
        "status": {
            "reason": chance.choice(("Evicted", "DeadlineExceeded", "OutOfcpu", "", "NodeLost")),
            "message": text,
            "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": text}],
            "containerStatuses": [
                {"name": "build", "image": text, "state": {"waiting": {"reason": "ErrImagePull", "message": text}}},
                {"name": "svc-0", "restartCount": 3, "lastState": {"terminated": {"exitCode": 1, "message": text}}},
            ],
        },
    }
    for found in (cause.of_lost_pod(pod, "build"), cause.of_waiting_pod(pod)):
        assert found is not None
        assert found.what
        assert found.remedy


def test_every_error_that_is_told_has_a_category() -> None:
    def below(kind: type[DriverError]) -> set[type[DriverError]]:
        return {kind}.union(*(below(one) for one in kind.__subclasses__()))

    for kind in below(DriverError) - {DriverError}:
        assert kind.category != DriverError.category, kind
