"""Whatever way keys for S3 come, they come into the cache registry and into no other container."""

from __future__ import annotations

import json
from typing import Any

import pytest

from executor.cache.use import Use
from executor.pod.manifest import PodRequest, render
from tests.support.tenants import CACHE, POD_REQUEST, tenant

ROLE = "arn:aws:iam::123456789012:role/layer-cache"
IDENTITY = {"service_account": "kaniko-build"}


def made(use: Use = POD_REQUEST.cache, **cache: Any) -> dict[str, Any]:
    settings = tenant(cache=CACHE | cache, pod=IDENTITY)
    return render(settings, PodRequest(**{**vars(POD_REQUEST), "cache": use}))


def registry(manifest: dict[str, Any]) -> dict[str, Any]:
    containers: list[dict[str, Any]] = manifest["spec"]["containers"]
    (found,) = [one for one in containers if one["name"] == "cache-registry"]
    return found


def variables(manifest: dict[str, Any]) -> dict[str, Any]:
    return {one["name"]: one.get("value") or one["valueFrom"] for one in registry(manifest)["env"]}


def test_a_role_is_taken_on_by_a_token_that_only_the_cache_registry_sees() -> None:
    manifest = made(credentials="service-account", role=ROLE, region="eu-central-1", sts_endpoint="https://sts.example")
    found = variables(manifest)
    assert found["AWS_ROLE_ARN"] == ROLE
    assert found["AWS_WEB_IDENTITY_TOKEN_FILE"] == "/cache-identity/token"
    assert found["AWS_ENDPOINT_URL_STS"] == "https://sts.example"
    assert found["AWS_ROLE_SESSION_NAME"] == "tenant-a"
    (volume,) = [one for one in manifest["spec"]["volumes"] if "projected" in one]
    (source,) = volume["projected"]["sources"]
    assert source["serviceAccountToken"]["audience"] == "sts.amazonaws.com"
    holders = [
        one["name"]
        for one in manifest["spec"]["containers"]
        if volume["name"] in {mount["name"] for mount in one["volumeMounts"]}
    ]
    assert holders == ["cache-registry"]
    assert manifest["spec"]["automountServiceAccountToken"] is False


def test_the_webhooks_of_aws_are_told_to_leave_every_container_alone() -> None:
    for credentials in ("service-account", "pod-identity"):
        manifest = made(credentials=credentials, role=ROLE)
        skipped = manifest["metadata"]["annotations"]["eks.amazonaws.com/skip-containers"].split(",")
        assert skipped == [one["name"] for one in manifest["spec"]["containers"]]


def test_pod_identity_has_its_own_audience_and_agent() -> None:
    manifest = made(credentials="pod-identity")
    found = variables(manifest)
    assert found["AWS_CONTAINER_CREDENTIALS_FULL_URI"] == "http://169.254.170.23/v1/credentials"
    assert found["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] == "/cache-identity/token"
    assert "pods.eks.amazonaws.com" in json.dumps(manifest["spec"]["volumes"])


def test_a_job_that_may_only_read_gets_the_role_for_reading() -> None:
    reading = Use(mode="read-only", prefix="p")
    both: dict[str, Any] = {"credentials": "service-account", "role": ROLE, "read_only_role": f"{ROLE}-reader"}
    assert variables(made(reading, **both))["AWS_ROLE_ARN"] == f"{ROLE}-reader"
    assert variables(made(**both))["AWS_ROLE_ARN"] == ROLE


def test_keys_of_one_job_come_from_a_secret_of_its_own() -> None:
    found = variables(made(credentials="sts", role=ROLE))
    keys = {name: one["secretKeyRef"]["name"] for name, one in found.items() if name.startswith("AWS_")}
    assert keys == dict.fromkeys(
        ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"), f"{POD_REQUEST.name}-cache"
    )


@pytest.mark.parametrize("credentials", ["secret", "service-account", "pod-identity", "sts"])
def test_no_other_container_has_a_word_of_it(credentials: str) -> None:
    manifest = made(credentials=credentials, role=ROLE)
    others = [one for one in manifest["spec"]["containers"] if one["name"] != "cache-registry"]
    assert "AWS_" not in json.dumps(others)
    assert "cache-identity" not in json.dumps(others)
    assert "cache-identity" not in json.dumps(made(Use(mode="off", prefix="p"), credentials=credentials, role=ROLE))
