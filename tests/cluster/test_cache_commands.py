"""`kaniko-driver cache` and a real S3 server: what lies there, what is broken, and how it goes; nothing of others."""

from __future__ import annotations

import json
import random
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from testbed import ci, layer_cache, layout, s3
from tests.support.cache_registry import cache_registry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TENANT, OTHER = layout.TENANTS
LAYER = random.Random(1).randbytes(300_000)


@pytest.fixture(autouse=True)
def _two_caches(_bed: None, tmp_path: Path) -> Iterator[None]:
    """Three entries of the tenant, one of them in the protected cache; one of the other tenant."""
    for tenant in layout.TENANTS:
        layer_cache.empty(tenant)
    with cache_registry(tmp_path / "a", TENANT) as one:
        one.push("first", LAYER)
        one.push("second", LAYER[1:])
    with cache_registry(tmp_path / "p", TENANT, prefix=f"layer-cache/{TENANT.name}/protected") as one:
        one.push("third", LAYER[2:])
    with cache_registry(tmp_path / "b", OTHER) as one:
        one.push("first", LAYER)
    yield
    for tenant in layout.TENANTS:
        layer_cache.empty(tenant)


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the group with the tenant's own keys, from its Secret."""
    rights = ("--settings", str(layout.DRIVER), "--tenant-keys", "--kubeconfig", str(layout.ADMIN_KUBECONFIG))
    command = [str(ci.DRIVER_COMMAND), "cache", *words, *rights]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def report(*words: str) -> Any:
    done = run(*words, "--output", "json")
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def test_usage_adds_up_generations_and_caches_of_every_tenant() -> None:
    both = {one["tenant"]: one for one in report("usage")["tenants"]}
    assert both.keys() == {TENANT.name, OTHER.name}
    mine = both[TENANT.name]
    assert [(one["protected"], one["state"], one["entries"]) for one in mine["generations"]] == [
        (True, "current", 1),
        (False, "current", 2),
    ]
    assert mine["objects"] == len(layer_cache.objects(TENANT)) == 6
    assert mine["bytes"] > 3 * len(LAYER) - 10
    text = run("usage", TENANT.name).stdout
    assert "protected" in text
    assert OTHER.name not in text


def test_verify_names_entries_whose_layers_are_lost() -> None:
    assert report("verify", TENANT.name) == {"tenant": TENANT.name, "entries": 3, "broken": []}
    lost = next(key for key in layer_cache.objects(TENANT) if "/protected/" in key and "/blobs/" in key)
    s3.client().delete_object(Bucket=TENANT.cache_bucket, Key=lost)
    (broken,) = report("verify", TENANT.name)["broken"]
    assert broken["key"].endswith("/entries/third")
    assert broken["missing"] == [f"sha256:{lost.rpartition('/')[2]}"]
    done = run("verify", TENANT.name)
    assert done.returncode == 1
    assert "3 entries, 1 broken" in done.stdout


def test_purge_takes_one_tenants_cache_or_a_generation_of_it() -> None:
    number = report("usage", TENANT.name)["tenants"][0]["generations"][0]["generation"]
    assert report("purge", TENANT.name, "--yes", "--generation", str(number - 1))["deleted"] == 0
    assert report("purge", TENANT.name, "--yes")["deleted"] == 6
    assert layer_cache.objects(TENANT) == []
    assert len(layer_cache.objects(OTHER)) == 2


def test_nothing_is_purged_where_nobody_says_yes() -> None:
    assert run("purge", TENANT.name).returncode == 1
    assert len(layer_cache.objects(TENANT)) == 6


def test_a_server_without_lifecycle_rules_is_told_with_what_to_do_instead() -> None:
    done = run("lifecycle", TENANT.name, "--apply")
    assert done.returncode == 1
    assert f"The server of the bucket {TENANT.cache_bucket} knows no lifecycle rules" in done.stderr
    assert "purge TENANT --expired" in done.stderr
    number = report("usage", TENANT.name)["tenants"][0]["generations"][0]["generation"]
    client, folder = s3.client(), f"layer-cache/{TENANT.name}"
    for old in (number - 1, number - 2, number - 3):
        client.put_object(Bucket=TENANT.cache_bucket, Key=f"{folder}/{old}/entries/old", Body=b"{}")
    before = set(layer_cache.objects(TENANT))
    assert report("purge", TENANT.name, "--expired", "--yes")["deleted"] >= 1
    gone = before - set(layer_cache.objects(TENANT))
    # The one before the last may still be read by a job that began when it was the last but one.
    assert gone <= {f"{folder}/{number - 2}/entries/old", f"{folder}/{number - 3}/entries/old"}
    assert f"{folder}/{number - 3}/entries/old" in gone


def test_a_server_that_refuses_is_told_in_words() -> None:
    s3.client().delete_bucket_policy(Bucket=TENANT.cache_bucket)
    try:
        done = run("usage", TENANT.name)
    finally:
        s3.add_tenant(TENANT)
    assert done.returncode == 1
    assert f"S3 refused a request for the bucket {TENANT.cache_bucket}" in done.stderr
    assert "Traceback" not in done.stderr
