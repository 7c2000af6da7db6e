"""The cache registry listens inside the pod only, below the tenant's prefix, and never poisons a cache."""

from __future__ import annotations

import json
from typing import Any

from executor.cache import registry
from tests.support.tenants import CACHE, tenant


def configured(**table: Any) -> dict[str, Any]:
    configuration: dict[str, Any] = json.loads(registry.configuration(tenant(cache=CACHE | table).cache, "cache/a/7"))
    return configuration


def test_it_listens_on_loopback_only_at_the_tenants_port() -> None:
    assert configured(port=5999)["http"]["addr"] == "127.0.0.1:5999"


def test_it_stores_below_the_prefix_in_the_tenants_bucket() -> None:
    s3 = configured(region="eu-central-1")["storage"]["s3"]
    assert (s3["bucket"], s3["region"], s3["rootdirectory"]) == ("layers", "eu-central-1", "/cache/a/7")


def test_aws_needs_no_endpoint_and_other_servers_get_theirs() -> None:
    assert "regionendpoint" not in configured()["storage"]["s3"]
    s3 = configured(endpoint="http://10.0.0.1:7070", path_style=True)["storage"]["s3"]
    assert (s3["regionendpoint"], s3["forcepathstyle"]) == ("http://10.0.0.1:7070", True)


def test_no_key_stands_in_it() -> None:
    assert not {"accesskey", "secretkey"} & set(configured()["storage"]["s3"])


def test_layers_come_through_it_and_not_from_s3_itself() -> None:
    assert configured()["storage"]["redirect"] == {"disable": True}


def test_it_keeps_no_descriptor_cache_and_walks_no_uploads_of_other_pods() -> None:
    storage = configured()["storage"]
    assert "cache" not in storage
    assert storage["maintenance"]["uploadpurging"] == {"enabled": False}


def test_kaniko_is_pointed_at_it_and_keeps_layers_as_long_as_a_generation_lasts() -> None:
    flags = registry.kaniko_flags(tenant(cache=CACHE | {"port": 5999, "generation": "48h"}).cache)
    assert set(flags) == {
        "--cache=true",
        "--cache-repo=127.0.0.1:5999/layers",
        "--cache-copy-layers=true",
        "--cache-ttl=48h",
    }
