"""The runner's configuration says what an operator would write, and the real runner works with the coordinator."""

from __future__ import annotations

import tomllib
from pathlib import Path

from testbed import layout
from testbed.runner import S3Login, Section, builtin, configuration, custom

EXAMPLE = Path(__file__).parents[3] / "runner-config.toml.example"
URL = "http://10.77.0.1:8929"
DRIVER = Path("/opt/driver/bin/kaniko-driver")
LOGIN = S3Login("key", 'se"cret', "runner-cache-tenant-a")


def parsed(*sections: Section) -> dict[str, object]:
    return tomllib.loads(configuration(URL, sections))


def test_a_tenants_section_is_the_one_that_operators_are_told_to_write() -> None:
    example = tomllib.loads(EXAMPLE.read_text())["runners"][0]
    driver, settings = Path("/usr/local/bin/kaniko-driver"), Path("/etc/kaniko-driver")
    section = custom("tenant-a", example["token"], driver=driver, settings=settings, cache=LOGIN)
    (runner,) = tomllib.loads(configuration(URL, [section]))["runners"]
    assert runner["custom"] == example["custom"]
    assert runner.keys() == example.keys()
    assert {key: runner[key] for key in ("limit", "executor", "name")} == {
        key: example[key] for key in ("limit", "executor", "name")
    }
    assert runner["cache"].keys() == example["cache"].keys()
    assert runner["cache"]["s3"].keys() >= example["cache"]["s3"].keys()


def test_the_build_cache_is_the_tenants_own_bucket() -> None:
    section = custom("tenant-a", "glrt-a", driver=DRIVER, settings=Path("/etc/driver"), cache=LOGIN)
    cache = tomllib.loads(configuration(URL, [section]))["runners"][0]["cache"]
    assert (cache["Type"], cache["Path"], cache["Shared"]) == ("s3", "tenant-a", False)
    assert (cache["s3"]["BucketName"], cache["s3"]["SecretKey"]) == ("runner-cache-tenant-a", 'se"cret')
    assert cache["s3"]["ServerAddress"] == f"{layout.HOST_ADDRESS}:{layout.S3_PORT}"


def test_every_tenant_has_room_for_its_jobs() -> None:
    sections = [custom(name, "glrt", driver=DRIVER, settings=Path("/etc/driver")) for name in ("a", "b")]
    assert parsed(*sections)["concurrent"] == 40


def test_the_builtin_executor_has_its_own_namespace_and_account_and_the_same_images() -> None:
    options = {"node_selector": {"example.com/tenant": "a"}}
    section = builtin("builtin", "glrt-a", namespace="apart", access="s3cret", options=options)
    (runner,) = tomllib.loads(configuration(URL, [section]))["runners"]
    assert runner["executor"] == "kubernetes"
    kubernetes = runner["kubernetes"]
    assert (kubernetes["namespace"], kubernetes["bearer_token"]) == ("apart", "s3cret")
    assert (kubernetes["image"], kubernetes["helper_image"]) == (layout.KANIKO_IMAGE, layout.HELPER_IMAGE)
    assert kubernetes["node_selector"] == {"example.com/tenant": "a"}
