"""A tenant's section of config.toml is the one that operators are shown."""

from __future__ import annotations

import tomllib
from pathlib import Path

from executor.tenancy.section import custom, section
from tests.support.tenants import tenant

EXAMPLE = tomllib.loads((Path(__file__).parents[3] / "runner-config.toml.example").read_text())["runners"][0]


def test_the_section_is_that_of_the_example() -> None:
    settings = tenant(
        gitlab={"url": "https://gitlab.example.com"},
        runner={"cache_bucket": "runner-cache-tenant-a", "cache_server": "s3.example.com"},
        cache={"region": "eu-central-1"},
    )
    made = section(settings, token=EXAMPLE["token"])
    assert made["custom"] == EXAMPLE["custom"]
    assert made.keys() == EXAMPLE.keys()
    for key in ("name", "url", "executor", "limit", "request_concurrency"):
        assert made[key] == EXAMPLE[key], key
    s3 = EXAMPLE["cache"]["s3"]
    assert made["cache"] | {"s3": {}} == EXAMPLE["cache"] | {"s3": {}}
    for key in ("ServerAddress", "BucketName", "BucketLocation"):
        assert made["cache"]["s3"][key] == s3[key], key


def test_no_key_of_the_build_cache_is_in_it() -> None:
    s3 = section(tenant(runner={"cache_bucket": "b"}), token="t")["cache"]["s3"]
    assert s3["AuthenticationType"] == "iam"
    assert not {"AccessKey", "SecretKey"} & set(s3)


def test_without_a_bucket_there_is_no_build_cache() -> None:
    assert "cache" not in section(tenant(), token="t")


def test_the_runner_waits_longer_than_the_driver() -> None:
    made = custom(tenant(timeouts={"schedule": "1h", "start": "10m", "stop_grace": "2m"}))
    assert made["prepare_exec_timeout"] > 4200
    assert made["graceful_kill_timeout"] > 120
