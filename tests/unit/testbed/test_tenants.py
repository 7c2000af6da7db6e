"""What the bed gives to a tenant: rights, keys, settings."""

from __future__ import annotations

import base64
import tomllib
from typing import TYPE_CHECKING

import yaml

from testbed import layout, pki, s3, tenants
from testbed.layout import TENANTS

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

A, B = TENANTS
KEYS = s3.Credentials("access", "secret")


def test_the_driver_may_work_with_pods_and_nothing_more() -> None:
    role = next(each for each in tenants.manifests(A, KEYS) if each["kind"] == "Role")
    rights = {resource: set(rule["verbs"]) for rule in role["rules"] for resource in rule["resources"]}
    assert rights == {
        "pods": {"create", "get", "list", "watch", "patch", "delete"},
        "pods/exec": {"get", "create"},
        "events": {"list"},
        "secrets": {"create", "delete"},
    }


def test_the_namespace_enforces_the_baseline_standard() -> None:
    namespace = tenants.manifests(B, KEYS)[0]
    assert namespace["metadata"]["name"] == "tenant-b"
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "baseline"


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


def test_the_tenants_kubeconfig_stands_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "PKI", tmp_path)
    (tmp_path / "ca.crt").write_text("certificate")
    config = yaml.safe_load(tenants.kubeconfig("token", A))
    (cluster,) = config["clusters"]
    assert base64.b64decode(cluster["cluster"]["certificate-authority-data"]) == b"certificate"
    assert cluster["cluster"]["server"] == layout.API_URL
    (user,) = config["users"]
    assert user["user"] == {"token": "token"}
    (context,) = config["contexts"]
    assert context["name"] == config["current-context"]
    assert context["context"] == {"cluster": cluster["name"], "user": user["name"], "namespace": "tenant-a"}


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
