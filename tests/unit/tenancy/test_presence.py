"""The DaemonSet that keeps a tenant's images on its nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from executor.errors import SettingsInvalid
from executor.pod.names import TENANT_LABEL
from executor.settings.load import load
from executor.tenancy.presence import render
from tests.support.tenants import CACHE, MINIMAL, tenant, write_settings

if TYPE_CHECKING:
    from pathlib import Path

NODES = {"labels": {"tenant": ["a"]}, "tolerations": [{"key": "tenant", "value": "a", "effect": "NoSchedule"}]}


def pod(**tables: dict[str, Any]) -> dict[str, Any]:
    """Return the DaemonSet's pod."""
    images = {"on_nodes": True} | tables.pop("images", {})
    found: dict[str, Any] = render(tenant(**{"images": images, "cache": CACHE} | tables))[-1]["spec"]["template"][
        "spec"
    ]
    return found


def test_nothing_is_made_unless_the_tenant_wants_it() -> None:
    assert render(tenant()) == []


def test_it_lies_in_a_namespace_of_its_own_where_little_is_allowed() -> None:
    namespace, policy, daemon_set = render(tenant(images={"on_nodes": True}))
    assert namespace["metadata"]["name"] == "tenant-a-images"
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert {one["metadata"]["namespace"] for one in (policy, daemon_set)} == {"tenant-a-images"}
    assert policy["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    labels = daemon_set["spec"]["template"]["metadata"]["labels"]
    assert labels == daemon_set["spec"]["selector"]["matchLabels"]
    assert labels[TENANT_LABEL] == "tenant-a"


def test_it_has_every_image_of_a_job_once_and_goes_where_jobs_go() -> None:
    settings = tenant(cache=CACHE)
    found = pod(nodes=NODES, images={"pull_secrets": ["login"]})
    images = [one["image"] for one in found["initContainers"]]
    own = settings.images
    assert sorted(images) == sorted({own.kaniko, own.helper, own.tools, own.cache_registry})
    assert found["tolerations"] == [{"key": "tenant", "operator": "Equal", "effect": "NoSchedule", "value": "a"}]
    (term,) = found["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert term["matchExpressions"] == [{"key": "tenant", "operator": "In", "values": ["a"]}]
    assert found["imagePullSecrets"] == [{"name": "login"}]


def test_without_the_cache_its_registry_is_not_there() -> None:
    assert "cache-registry" not in str(pod(cache={"mode": "off"}))


def test_no_image_needs_a_program_of_its_own_but_the_one_with_the_tools() -> None:
    first, *others = pod()["initContainers"]
    assert first["command"][0] == "/bin/busybox"
    assert {one["command"][0] for one in others} == {"/tools/busybox"}
    assert all(one["volumeMounts"] == [{"name": "tools", "mountPath": "/tools", "readOnly": True}] for one in others)


def test_every_container_is_bounded_and_nobodys() -> None:
    found = pod()
    assert found["securityContext"]["runAsNonRoot"]
    assert found["automountServiceAccountToken"] is False
    for one in (*found["initContainers"], *found["containers"]):
        assert one["resources"]["requests"]["cpu"] == "5m"
        assert one["resources"]["limits"].keys() == {"cpu", "memory", "ephemeral-storage"}
        assert one["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_images_that_may_not_be_pulled_cannot_be_brought_to_a_node(tmp_path: Path) -> None:
    text = MINIMAL.replace("[images]", '[images]\non_nodes = true\npull_policy = "never"')
    with pytest.raises(SettingsInvalid) as caught:
        load(str(write_settings(tmp_path / "s", tenant=text)), "tenant-a")
    assert "images that are never pulled" in caught.value.why
