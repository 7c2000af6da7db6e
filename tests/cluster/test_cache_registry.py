"""The cache registry and a real S3 server: what one pod stores others find, whatever happens to S3 in between."""

from __future__ import annotations

import random
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from testbed import layer_cache, layout, s3
from testbed.faults import FaultProxy
from testbed.wait import wait_for
from tests.support.cache_registry import cache_registry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TENANT, OTHER = layout.TENANTS
LAYER = random.Random(1).randbytes(3_000_000)
KEY = "0123456789abcdef" * 4


@pytest.fixture(autouse=True)
def _empty(_bed: None) -> Iterator[None]:
    layer_cache.empty(TENANT)
    yield
    layer_cache.empty(TENANT)


def objects(part: str) -> list[str]:
    return [key for key in layer_cache.objects(TENANT) if part in key]


def test_what_one_pod_stores_another_finds_with_few_requests(tmp_path: Path) -> None:
    with cache_registry(tmp_path / "a", TENANT) as one:
        assert one.layer(KEY) is None
        one.push(KEY, LAYER)
        assert one.story().requests <= 2 + 4
    with cache_registry(tmp_path / "b", TENANT) as another:
        assert another.layer(KEY) == LAYER
        story = another.story()
        assert (story.hits, story.misses, story.reason) == (1, 0, 0)
        assert story.requests <= 2


def lose(client: Any, key: str) -> None:
    client.delete_object(Bucket=TENANT.cache_bucket, Key=key)


def damage(client: Any, key: str) -> None:
    client.put_object(Bucket=TENANT.cache_bucket, Key=key, Body=LAYER[:-1] + b"?")


def cut(client: Any, key: str) -> None:
    client.put_object(Bucket=TENANT.cache_bucket, Key=key, Body=LAYER[:1000])


@pytest.mark.parametrize("harm", [lose, damage, cut])
@pytest.mark.parametrize("part", ["/blobs/", "/entries/"])
def test_what_was_lost_or_damaged_is_a_miss_and_the_next_push_heals_it(tmp_path: Path, harm: Any, part: str) -> None:
    with cache_registry(tmp_path / "a", TENANT) as one:
        one.push(KEY, LAYER)
    (key,) = objects(part)
    harm(s3.client(), key)
    with cache_registry(tmp_path / "b", TENANT) as another:
        assert another.layer(KEY) is None
        another.push(KEY, LAYER)
    with cache_registry(tmp_path / "c", TENANT) as last:
        assert last.layer(KEY) == LAYER


def test_a_new_generation_begins_warm_and_keeps_what_is_used(tmp_path: Path) -> None:
    # The pods' time slices lie apart, and not the tests: nothing depends on when the test looks.
    slices = [{"generation_seconds": 10**9, "stagger_seconds": later * 10**9} for later in range(3)]
    with cache_registry(tmp_path / "a", TENANT, **slices[0]) as one:
        one.push(KEY, LAYER)
        one.push("unused", LAYER[:100_000])
    (first,) = {key.split("/")[2] for key in objects("")}
    for later in (1, 2):
        with cache_registry(tmp_path / str(later), TENANT, **slices[later]) as pod:
            assert pod.layer(KEY) == LAYER
            copy = f"/{int(first) + later}/entries/{KEY}"
            wait_for("the copy", partial(objects, copy), 180)
    assert {key.split("/")[2] for key in objects("unused")} == {first}


def test_twenty_pods_at_once_lose_nothing(tmp_path: Path) -> None:
    own = [random.Random(number).randbytes(500_000) for number in range(20)]
    patient = {"patience_seconds": 100}
    with ExitStack() as stack, ThreadPoolExecutor(20) as pool:
        pods = [stack.enter_context(cache_registry(tmp_path / str(n), TENANT, **patient)) for n in range(20)]

        def work(number: int) -> None:
            pods[number].push(KEY, LAYER)
            pods[number].push(f"own-{number}", own[number])

        list(pool.map(work, range(20)))
        assert [pod.story().dropped for pod in pods] == [0] * 20
    with cache_registry(tmp_path / "reader", TENANT, **patient) as reader:
        assert [reader.layer(f"own-{number}") == own[number] for number in range(20)] == [True] * 20
        assert reader.layer(KEY) == LAYER


def test_a_tenants_keys_reach_nothing_of_the_others_cache(tmp_path: Path) -> None:
    with cache_registry(tmp_path / "a", OTHER) as one:
        one.push(KEY, LAYER)
    try:
        with cache_registry(tmp_path / "b", TENANT, bucket=OTHER.cache_bucket) as thief:
            assert thief.layer(KEY) is None
            assert thief.story().reason == 3
            thief.push(KEY, b"forged")
        with cache_registry(tmp_path / "c", OTHER) as owner:
            assert owner.layer(KEY) == LAYER
    finally:
        layer_cache.empty(OTHER)


def test_s3_that_falls_silent_costs_a_bounded_time_once(tmp_path: Path) -> None:
    with (
        FaultProxy(layout.HOST_ADDRESS, layout.S3_PORT) as proxy,
        cache_registry(tmp_path, TENANT, endpoint=f"http://127.0.0.1:{proxy.port}", patience_seconds=4) as pod,
    ):
        pod.push(KEY, LAYER)
        proxy.silent = True
        began = time.monotonic()
        for number in range(10):
            assert pod.layer(f"missing-{number}") is None
            pod.push(f"missing-{number}", LAYER[number:])
        # Generous: each of the thirty requests alone would wait for ever.
        assert time.monotonic() - began < 60
        story = pod.story()
        assert (story.dropped, story.reason) == (10, 2)
        assert 1500 < story.waited < 60_000
        proxy.silent = False


def test_a_host_that_drops_every_packet_costs_a_bounded_time_once(tmp_path: Path) -> None:
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        # Its queue is full now, and the kernel drops what comes after.
        stack.enter_context(socket.create_connection(listener.getsockname()))
        endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
        pod = stack.enter_context(cache_registry(tmp_path, TENANT, endpoint=endpoint, patience_seconds=4))
        began = time.monotonic()
        for number in range(10):
            assert pod.layer(f"missing-{number}") is None
            pod.push(f"missing-{number}", LAYER[number:])
        assert time.monotonic() - began < 60
        assert pod.story().reason == 2
