"""The admission policy on a real API server: it takes every pod that the driver makes, and no other kind.

Nothing runs here: pods are created as a dry run, with the rights of whoever set the tenant up, which the policy binds
as well as the driver's token.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from executor.settings.model import Tenant
from executor.settings.reader import TomlFile, build
from executor.tenancy import objects, sample
from testbed import api, layout, tenants
from testbed.wait import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.usefixtures("_bed")

IMAGES = {one: f"registry.example.com/{one}:1" for one in ("kaniko", "helper", "cache_registry")}
CACHE = {"mode": "read-write", "bucket": "b", "secret": "s"}
TAINT = {"key": "tenant", "value": "a", "effect": "NoSchedule"}
VARIOUS: dict[str, dict[str, Any]] = {
    "plain": {},
    "cached": {"cache": CACHE, "pod": {"service_account": "kaniko-build"}},
    "placed": {
        "nodes": {
            "labels": {"tenant": ["a"], "example.com/zone": ["x", "y"]},
            "tolerations": [TAINT, {"key": "spot", "operator": "Exists"}],
        },
        "capacity": {"priority": 7},
    },
    "serving": {"services": {"allowed": ["registry.example.com/db/*"], "most": 2}, "cache": CACHE},
    "large": {
        "overrides": {"build": {"memory_limit": "16Gi", "cpu_limit": "8"}},
        "resources": {"helper": {"cpu_limit": "3", "ephemeral_storage_limit": "30Gi"}},
    },
    "furnished": {
        "pod": {
            "labels": {"team": "blue"},
            "host_aliases": [{"ip": "192.0.2.1", "hostnames": ["a.example.com"]}],
            "volumes": [{"name": "certificates", "config_map": "certificates", "mounts": [{"path": "/certificates"}]}],
            "build": {"add_capabilities": ["MKNOD"]},
            "host_users": False,
        }
    },
}


def tenant_of(case: str, name: str) -> Tenant:
    """Make the settings of a tenant; its namespace has its name."""
    document = {
        "cluster": {"namespace": name},
        "nodes": {"labels": {"tenant": ["a"]}},
        "images": IMAGES,
        **VARIOUS[case],
    }
    file = TomlFile("tenant.toml", "")
    values = file.flat(Tenant, document) | {("name",): name}
    made: Tenant = build(Tenant, values, [])
    assert file.problems == []
    return made


def create(pod: dict[str, Any]) -> str:
    """Try to create the pod; returns the refusal, or nothing."""
    path = f"{api.path_of('Pod', namespace=pod['metadata']['namespace'])}?dryRun=All"
    try:
        api.request("POST", path, pod)
    except api.ApiError as refused:
        return str(refused)
    return ""


def in_force(tenant: Tenant) -> bool:
    """Whether the API server knows the policy by now; it looks for new ones all the time, and not at once."""
    foreign = sample.usual(tenant)
    foreign["spec"]["containers"][0]["image"] = "docker.io/library/foreign:1"
    return "an image is not among those" in create(foreign)


def made(tenant: Tenant) -> None:
    """Put the tenant into the cluster."""
    for one in objects.render(tenant):
        api.apply(one)
    wait_for("the default account", lambda: api.get("ServiceAccount", "default", tenant.cluster.namespace), 180)
    wait_for(f"the policy of {tenant.name}", lambda: in_force(tenant), 180)
    # Until the cluster has counted what there is, its quota lets nothing in.
    wait_for(f"the quota of {tenant.name}", lambda: tenants.counted(tenant.cluster.namespace), 180)


def removed(tenant: Tenant) -> None:
    """Take it out again."""
    for one in reversed(objects.render(tenant)):
        if "namespace" not in one["metadata"]:
            api.request("DELETE", api.path_of(one["kind"], one["metadata"]["name"]))


@pytest.fixture(scope="module", params=VARIOUS)
def tenant(request: pytest.FixtureRequest, _bed: None) -> Iterator[Tenant]:
    """A tenant in the cluster, one for each kind of settings."""
    one = tenant_of(request.param, f"admission-{request.param}")
    made(one)
    yield one
    removed(one)


def test_every_pod_that_the_driver_makes_is_let_in(tenant: Tenant) -> None:
    assert create(sample.usual(tenant)) == ""
    assert create(sample.largest(tenant)) == ""


def test_the_api_server_understands_every_expression(tenant: Tenant) -> None:
    policy = wait_for(
        "the check of the expressions",
        lambda: _checked(api.get("ValidatingAdmissionPolicy", f"kaniko-driver-{tenant.name}")),
        180,
    )
    assert policy["status"]["typeChecking"] == {}


def _checked(policy: dict[str, Any] | None) -> dict[str, Any] | None:
    return policy if policy and "typeChecking" in policy.get("status", {}) else None


@pytest.fixture(scope="module")
def plain(_bed: None) -> Iterator[dict[str, Any]]:
    """A pod that is let in, to be spoilt."""
    one = tenant_of("cached", "admission-spoilt")
    made(one)
    yield sample.usual(one)
    removed(one)


def container(pod: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = pod["spec"]["containers"][1]
    return found


def terms(pod: dict[str, Any]) -> list[dict[str, Any]]:
    required = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    found: list[dict[str, Any]] = required["nodeSelectorTerms"]
    return found


SPOILT: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "no affinity": (lambda pod: pod["spec"].pop("affinity"), "require the tenant's nodes"),
    "another term": (
        lambda pod: terms(pod).append({"matchExpressions": [{"key": "other", "operator": "Exists"}]}),
        "require the tenant's nodes",
    ),
    "another's nodes too": (
        lambda pod: terms(pod)[0]["matchExpressions"][0]["values"].append("b"),
        "require the tenant's nodes",
    ),
    "not its nodes": (
        lambda pod: terms(pod)[0]["matchExpressions"][0].update(operator="NotIn"),
        "require the tenant's nodes",
    ),
    "node name": (lambda pod: pod["spec"].update(nodeName="node2"), "nodeName"),
    "image": (lambda pod: container(pod).update(image="registry.example.com/kaniko:2"), "an image is not among"),
    "capability": (
        lambda pod: container(pod)["securityContext"]["capabilities"]["add"].append("MKNOD"),
        "adds a capability",
    ),
    "token": (lambda pod: pod["spec"].update(automountServiceAccountToken=True), "service account token"),
    "projected token": (
        lambda pod: pod["spec"]["volumes"].append(
            {"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}
        ),
        "service account token",
    ),
    "account": (lambda pod: pod["spec"].update(serviceAccountName="kaniko-driver"), "not a service account"),
    "limit": (
        lambda pod: container(pod)["resources"]["limits"].update(memory="5Gi"),
        "memory",  # said by the LimitRange where that comes first
    ),
    "toleration": (lambda pod: pod["spec"].update(tolerations=[{"operator": "Exists"}]), "a toleration is not"),
    "priority": (
        lambda pod: pod["spec"].update(priorityClassName="system-node-critical"),
        "not the priority class",
    ),
    "file system": (
        lambda pod: pod["spec"]["volumes"].append({"name": "n", "nfs": {"server": "192.0.2.1", "path": "/"}}),
        "volumes may only be",
    ),
    # Pod Security says these in its own words where it is first.
    "privileged": (lambda pod: container(pod)["securityContext"].update(privileged=True), "privileged"),
    "host path": (
        lambda pod: pod["spec"]["volumes"].append({"name": "h", "hostPath": {"path": "/"}}),
        "hostPath",
    ),
    "host network": (lambda pod: pod["spec"].update(hostNetwork=True), "host"),
    "host port": (
        lambda pod: container(pod).update(ports=[{"containerPort": 80, "hostPort": 80}]),
        "host",
    ),
}


@pytest.mark.parametrize("what", SPOILT)
def test_any_other_pod_is_refused_with_the_reason(plain: dict[str, Any], what: str) -> None:
    spoil, words = SPOILT[what]
    pod = copy.deepcopy(plain)
    assert create(pod) == ""
    spoil(pod)
    assert words in create(pod)


def test_another_tenants_namespace_is_none_of_its_business() -> None:
    # Each policy is bound to one namespace: the bed's own tenants still take what their own settings say.
    foreign = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "x", "namespace": "default"},
        "spec": {"containers": [{"name": "x", "image": layout.TOOLS_IMAGE}]},
    }
    assert create(foreign) == ""
