"""The cache registry listens inside the pod only, below the tenant's prefix, and reads what the driver writes."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from executor.cache import registry
from executor.cache.use import Use
from testbed import programs
from tests.support import cache_registry
from tests.support.tenants import CACHE, tenant
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

USE = Use(mode="read-write", prefix="cache/a")


def configured(use: Use = USE, ca: str = "", **table: Any) -> dict[str, Any]:
    cache = tenant(cache=CACHE | table).cache
    text = registry.configuration(cache, use, tenant="a", ca=ca, pulse="/driver/pulse", idle=915)
    configuration: dict[str, Any] = json.loads(text)
    return configuration


def test_it_listens_on_loopback_only_at_the_tenants_port() -> None:
    assert configured(port=5999)["listen"] == "127.0.0.1:5999"


def test_it_stores_below_the_prefix_in_the_tenants_bucket() -> None:
    given = configured(region="eu-central-1")
    assert (given["bucket"], given["region"], given["prefix"]) == ("layers", "eu-central-1", "cache/a")


def test_aws_needs_no_endpoint_and_other_servers_get_theirs() -> None:
    assert configured()["endpoint"] == ""
    given = configured(endpoint="http://10.0.0.1:7070", path_style=True, ca="PEM")
    assert (given["endpoint"], given["path_style"], given["ca"]) == ("http://10.0.0.1:7070", True, "PEM")


def test_it_is_told_when_it_may_only_read() -> None:
    assert configured()["read_only"] is False
    assert configured(Use(mode="read-only", prefix="p"))["read_only"] is True


def test_kaniko_is_pointed_at_it_and_keeps_layers_as_long_as_they_are_found() -> None:
    cache = tenant(cache=CACHE | {"port": 5999, "generation": "48h"}).cache
    flags = {"--cache=true", "--cache-repo=127.0.0.1:5999/layers", "--cache-copy-layers=false", "--cache-ttl=345600s"}
    assert set(registry.kaniko_flags(cache, USE)) == flags
    assert set(registry.kaniko_flags(cache, Use(mode="read-only", prefix="p"))) == {*flags, "--no-push-cache=true"}


@pytest.fixture
def running(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """The program with the configuration of a pod, in this machine's own folders."""
    (tmp_path / "pulse").mkdir()
    configuration = configured(port=5999) | {
        "listen": "127.0.0.1:0",
        "spool": str(tmp_path),
        "pulse": str(tmp_path / "pulse"),
    }
    process = subprocess.Popen(
        [cache_registry.program()], env={"LAYER_CACHE": json.dumps(configuration)}, stdout=subprocess.PIPE, text=True
    )
    yield process
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def test_the_program_takes_what_the_driver_writes_and_ends_when_it_is_told(running: subprocess.Popen[str]) -> None:
    assert running.stdout is not None
    said = json.loads(running.stdout.readline())
    assert (said["msg"], said["bucket"], said["prefix"]) == ("serving", "layers", "cache/a")
    running.terminate()
    until("its end", lambda: running.poll() is not None)
    assert running.returncode == 0


@pytest.mark.parametrize("verb", ["vet", "test"])
def test_the_programs_own_tests_pass(verb: str) -> None:
    # With the flags of its build, so that nothing is compiled a second time.
    command = (str(cache_registry.present_go()), verb, "-trimpath", ".")
    environment = {**os.environ, **programs.BUILD_SETTINGS}
    folder = programs.CACHE_REGISTRY.folder
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
