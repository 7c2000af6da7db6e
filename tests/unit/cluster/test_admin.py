"""Paths of objects on the API server."""

from __future__ import annotations

import pytest

from executor.cluster.admin import Reference
from executor.tenancy import objects
from tests.support.tenants import tenant


@pytest.mark.parametrize(
    ("reference", "group", "path"),
    [
        (Reference(version="v1", kind="Namespace", name="a"), "/api/v1", "/api/v1/namespaces/a"),
        (
            Reference(version="v1", kind="Pod", name="p", namespace="a"),
            "/api/v1",
            "/api/v1/namespaces/a/pods/p",
        ),
        (
            Reference(version="networking.k8s.io/v1", kind="NetworkPolicy", namespace="a"),
            "/apis/networking.k8s.io/v1",
            "/apis/networking.k8s.io/v1/namespaces/a/networkpolicies",
        ),
    ],
)
def test_an_object_has_its_place_below_its_group(reference: Reference, group: str, path: str) -> None:
    assert (reference.group, reference.path) == (group, path)


def test_every_object_of_a_tenant_has_a_path() -> None:
    for manifest in objects.render(tenant(capacity={"priority": 1})):
        reference = Reference.of(manifest)
        assert reference.path.endswith(f"/{manifest['metadata']['name']}")
        assert manifest["kind"] in str(reference)
