"""What the driver's token of a tenant can do: its work, and nothing elsewhere."""

from __future__ import annotations

from typing import Any

import pytest

from executor.tenancy.rights import RULES, SERVICE_LOGS
from testbed import api, layout

from . import fence

TENANT, OTHER = layout.TENANTS
REVIEWS = "/apis/authorization.k8s.io/v1"
VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
RESOURCES = (
    ("", "pods"),
    ("", "pods/log"),
    ("", "pods/exec"),
    ("", "pods/attach"),
    ("", "pods/portforward"),
    ("", "pods/ephemeralcontainers"),
    ("", "pods/resize"),
    ("", "pods/binding"),
    ("", "pods/eviction"),
    ("", "secrets"),
    ("", "configmaps"),
    ("", "events"),
    ("", "services"),
    ("", "serviceaccounts"),
    ("", "serviceaccounts/token"),
    ("", "resourcequotas"),
    ("", "limitranges"),
    ("", "persistentvolumeclaims"),
    ("", "namespaces"),
    ("", "nodes"),
    ("", "nodes/proxy"),
    ("apps", "deployments"),
    ("apps", "daemonsets"),
    ("batch", "jobs"),
    ("networking.k8s.io", "networkpolicies"),
    ("rbac.authorization.k8s.io", "roles"),
    ("rbac.authorization.k8s.io", "rolebindings"),
    ("rbac.authorization.k8s.io", "clusterrolebindings"),
    ("admissionregistration.k8s.io", "validatingadmissionpolicies"),
    ("admissionregistration.k8s.io", "validatingadmissionpolicybindings"),
    ("certificates.k8s.io", "certificatesigningrequests"),
)
# The bed's tenants may have services, whose logs a job may ask for.
NEEDED = {
    (group, resource, verb)
    for rule in (*RULES, SERVICE_LOGS)
    for group in rule["apiGroups"]
    for resource in rule["resources"]
    for verb in rule["verbs"]
}


@pytest.fixture(scope="module")
def driver(_bed: None) -> fence.Intruder:
    return fence.driver_of(TENANT)


def rights(driver: fence.Intruder, namespace: str) -> set[tuple[str, str, str]]:
    """What the API server says that this token may do in a namespace, or in all with an empty one."""
    return {
        (group, resource, verb)
        for group, resource in RESOURCES
        for verb in VERBS
        if may(driver, namespace, group, resource, verb)
    }


def may(driver: fence.Intruder, namespace: str, group: str, resource: str, verb: str) -> bool:
    name, _, subresource = resource.partition("/")
    wanted = {"namespace": namespace, "group": group, "resource": name, "subresource": subresource, "verb": verb}
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": wanted},
    }
    answer = driver.tries("POST", f"{REVIEWS}/selfsubjectaccessreviews", body)
    assert answer.status == 201, answer.words
    return '"allowed":true' in answer.words


def test_in_its_own_namespace_it_may_do_what_the_driver_needs_and_nothing_more(driver: fence.Intruder) -> None:
    assert rights(driver, TENANT.name) == NEEDED


@pytest.mark.parametrize("namespace", [OTHER.name, "kube-system", "default", ""])
def test_elsewhere_it_may_do_nothing(driver: fence.Intruder, namespace: str) -> None:
    assert rights(driver, namespace) == set()


POD: dict[str, Any] = {"metadata": {"name": "x"}, "spec": {"containers": [{"name": "x", "image": "x"}]}}
TOKEN_REQUEST = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
ROLE = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "Role",
    "metadata": {"name": "more"},
    "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}],
}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", api.path_of("Pod", namespace=OTHER.name), None),
        ("POST", api.path_of("Pod", namespace=OTHER.name), POD),
        ("DELETE", api.path_of("Pod", "any", OTHER.name), None),
        ("GET", f"{api.path_of('Pod', 'any', OTHER.name)}/exec?command=sh", None),
        ("GET", f"{api.path_of('Pod', 'any', OTHER.name)}/log", None),
        ("GET", api.path_of("Secret", "layer-cache-s3", OTHER.name), None),
        ("GET", api.path_of("Pod"), None),
        ("GET", api.path_of("Namespace"), None),
        ("GET", api.path_of("Node"), None),
        ("GET", f"{api.path_of('Node', 'node2')}/proxy/pods", None),
        # In its own namespace: what would make it more than it is.
        ("GET", api.path_of("Secret", "layer-cache-s3", TENANT.name), None),
        ("GET", api.path_of("Secret", namespace=TENANT.name), None),
        ("POST", f"{api.path_of('ServiceAccount', 'default', TENANT.name)}/token", TOKEN_REQUEST),
        ("POST", api.path_of("Role", namespace=TENANT.name), ROLE),
        ("DELETE", api.path_of("NetworkPolicy", "kaniko-driver-deny", TENANT.name), None),
        ("DELETE", api.path_of("ResourceQuota", "kaniko-driver", TENANT.name), None),
        ("DELETE", api.path_of("Namespace", TENANT.name), None),
    ],
)
def test_real_requests_are_refused_with_the_right_that_is_missing(
    driver: fence.Intruder, method: str, path: str, body: Any
) -> None:
    answer = driver.tries(method, path, body)
    assert answer.status == fence.FORBIDDEN, answer.words
    assert "cannot" in answer.words


def test_it_cannot_pretend_to_be_somebody_else(driver: fence.Intruder) -> None:
    answer = driver.tries("GET", api.path_of("Pod", namespace=OTHER.name), **{"Impersonate-User": "admin"})
    assert answer.status == fence.FORBIDDEN
    assert "cannot impersonate" in answer.words


def test_a_token_that_is_none_gets_nowhere() -> None:
    assert fence.Intruder("made-up").tries("GET", api.path_of("Pod", namespace=TENANT.name)).status == 401
