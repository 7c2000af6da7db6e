"""What the bed gives to a tenant: keys and settings."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import yaml

from testbed import layout, pki, s3, tenants
from testbed.layout import TENANTS

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

A, B = TENANTS


def test_the_settings_are_toml_and_name_only_what_is_the_tenants_own() -> None:
    settings = tomllib.loads(tenants.settings(A))
    assert settings["version"] == 1
    assert settings["cluster"] == {"kubeconfig": str(A.kubeconfig), "namespace": "tenant-a"}
    assert settings["nodes"]["labels"] == {"tenant": ["a"]}
    assert settings["cache"]["bucket"] == "cache-tenant-a"
    assert "tenant-b" not in tenants.settings(A)


def test_the_settings_use_the_images_that_are_loaded() -> None:
    used = tomllib.loads(tenants.settings(A))["images"]
    assert used["kaniko"] == layout.KANIKO_IMAGE
    assert used["helper"] == layout.HELPER_IMAGE


def test_the_drivers_own_settings_are_toml() -> None:
    assert tomllib.loads(tenants.DRIVER_SETTINGS)["log"]["file"].endswith("/driver.jsonl")


def test_a_component_authenticates_with_its_own_certificate() -> None:
    config = yaml.safe_load(pki.certificate_kubeconfig(pki.SCHEDULER))
    (user,) = config["users"]
    assert user["user"]["client-certificate"].endswith("/scheduler.crt")
    assert user["user"]["client-key"].endswith("/scheduler.key")


def test_a_bucket_policy_lets_one_user_reach_one_bucket() -> None:
    statements = s3.policy("key-a", "cache-tenant-a")["Statement"]
    assert {statement["Resource"] for statement in statements} == {
        "arn:aws:s3:::cache-tenant-a",
        "arn:aws:s3:::cache-tenant-a/*",
    }
    assert all(statement["Principal"] == {"AWS": ["key-a"]} for statement in statements)
    assert not any("*" in action for statement in statements for action in statement["Action"])


def test_keys_are_random_kept_and_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "FOLDER", tmp_path)
    first = s3.credentials("tenant-a")
    assert s3.credentials("tenant-a") == first
    assert s3.credentials("tenant-b").secret_key != first.secret_key
    assert len(first.secret_key) >= 30
    assert (tmp_path / "keys" / "tenant-a.json").stat().st_mode & 0o777 == 0o600
