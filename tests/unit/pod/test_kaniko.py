"""What every call of Kaniko gets: feature flags, mirrors, authorities; by which of them the author's words win."""

from __future__ import annotations

from typing import Any

import pytest

from executor.pod import kaniko
from executor.settings.files import Authorities
from tests.support.tenants import POD_REQUEST, tenant


def lines(name: str, authorities: Authorities | None = None, **tables: dict[str, Any]) -> list[str]:
    files = kaniko.files(tenant(**tables), POD_REQUEST.cache, authorities or Authorities())
    return files[name].splitlines()


def features(**own: bool) -> dict[str, str]:
    return dict(line.split("=") for line in lines("features", kaniko={"features": own}))


def test_features_without_which_keys_leave_something_out_are_on() -> None:
    assert {
        "FF_KANIKO_HASH_DIR_FRAMING",
        "FF_KANIKO_RESOLVE_CACHE_KEY",
        "FF_KANIKO_ROLLING_CACHE_KEY",
        "FF_KANIKO_SCOPED_DOCKERIGNORE",
        "FF_KANIKO_SKIP_WRITE_WHITEOUTS",
    } <= {name for name, on in features().items() if on == "true"}


def test_an_operator_turns_features_on_and_off() -> None:
    found = features(FF_KANIKO_SKIP_CACHED_STAGES=False, FF_KANIKO_NEWER=True)
    assert (found["FF_KANIKO_SKIP_CACHED_STAGES"], found["FF_KANIKO_NEWER"]) == ("false", "true")
    assert found.keys() == {*kaniko.FEATURES, "FF_KANIKO_NEWER"}


def test_base_images_come_from_the_mirrors_in_their_order() -> None:
    mirrors = {"docker.io": ["m.example.com/hub", "n.example.com:5000"], "quay.io": ["m.example.com/quay"]}
    found = lines("flags.default", registry={"mirrors": mirrors})
    assert [flag for flag in found if "-map=" in flag] == [
        "--registry-map=index.docker.io=m.example.com/hub",
        "--registry-map=index.docker.io=n.example.com:5000",
        "--registry-map=quay.io=m.example.com/quay",
    ]
    assert not any("fallback" in flag for flag in found)


@pytest.mark.parametrize("only", [False, True])
def test_a_mirror_without_the_image_is_not_asked_for_long(*, only: bool) -> None:
    assert "--image-download-retry=3" in lines("flags.default")
    found = lines("flags.default", registry={"mirrors": {"docker.io": ["m.example.com"]}, "mirrors_only": only})
    assert "--image-download-retry=1" in found
    assert ("--skip-default-registry-fallback=true" in found) == only


def test_authorities_lie_beside_the_programs() -> None:
    trusted = Authorities(registries={"a.example.com": "PEM of a", "b.example.com:5000": "PEM of b"})
    files = kaniko.files(tenant(), None, trusted)
    assert (files["registry-1.pem"], files["registry-2.pem"]) == ("PEM of a", "PEM of b")
    assert "--registry-certificate=b.example.com:5000=/driver/tools/registry-2.pem" in files["flags.default"]


def test_the_operators_own_flags_come_after_those_of_the_settings() -> None:
    own = "--skip-default-registry-fallback=false"
    found = lines("flags.default", registry={"mirrors": {"a": ["m"]}, "mirrors_only": True}, kaniko={"flags": [own]})
    assert found[-1] == own


def test_layers_of_copy_are_kept_only_where_the_tenant_says_so() -> None:
    cache = {"mode": "read-write", "bucket": "b", "secret": "s"}
    assert "--cache-copy-layers=false" in lines("flags.cache", cache=cache)
    assert "--cache-copy-layers=true" in lines("flags.cache", cache=cache | {"copy_layers": True})
