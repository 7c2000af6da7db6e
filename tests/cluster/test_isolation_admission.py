"""Pods that somebody makes by hand with the driver's token: the cluster refuses what the driver would never send."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from executor.tenancy import sample
from executor.tenancy.objects import render
from testbed import api, layout
from testbed.wait import wait_for

from . import fence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Pod = dict[str, Any]
    Change = Callable[[Pod], object]

TENANT, OTHER = layout.TENANTS
PODS = api.path_of("Pod", namespace=TENANT.name)
DRY = f"{PODS}?dryRun=All"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"


@pytest.fixture(scope="module")
def pod(_bed: None) -> Iterator[Pod]:
    """A job pod as the driver would send it, in a cluster that has another runtime, too."""
    group = "node.k8s.io/v1"
    other = {"apiVersion": group, "kind": "RuntimeClass", "metadata": {"name": "other"}, "handler": "runc"}
    path = f"/apis/{group}/runtimeclasses"
    api.request("POST", path, other)
    yield sample.usual(fence.settings_of(TENANT))
    api.request("DELETE", f"{path}/other")


@pytest.fixture
def _without_pod_security(pod: Pod) -> Iterator[None]:
    """Somebody relabelled the namespace: only the admission policy is left."""
    path = api.path_of("Namespace", TENANT.name)
    label = "pod-security.kubernetes.io/enforce"
    assert pod
    api.request("PATCH", path, {"metadata": {"labels": {label: "privileged"}}}, MERGE)
    wait_for("the end of Pod Security", lambda: not held_by_pod_security(pod), 180)
    yield
    api.request("PATCH", path, {"metadata": {"labels": {label: "baseline"}}}, MERGE)
    wait_for("Pod Security", lambda: held_by_pod_security(pod), 180)


def held_by_pod_security(pod: Pod) -> bool:
    """Whether Pod Security has a say in the namespace; the API server hears of a label soon, and not at once."""
    answer = fence.driver_of(TENANT).tries("POST", DRY, changed(pod, spec(hostPID=True)))
    return "PodSecurity" in answer.words


def changed(pod: Pod, change: Change) -> Pod:
    """A copy of the pod with a change."""
    own = copy.deepcopy(pod)
    change(own)
    return own


def spec(**fields: Any) -> Change:
    return lambda pod: pod["spec"].update(fields)


def first(**fields: Any) -> Change:
    """Change fields of the first container."""
    return lambda pod: pod["spec"]["containers"][0].update(fields)


def image(name: str) -> Change:
    return first(image=name)


def context(**fields: Any) -> Change:
    return lambda pod: pod["spec"]["containers"][0]["securityContext"].update(fields)


def limits(**amounts: str) -> Change:
    names = {name.replace("_", "-"): amount for name, amount in amounts.items()}
    return lambda pod: pod["spec"]["containers"][0]["resources"]["limits"].update(names)


def volume(**kind: Any) -> Change:
    return lambda pod: pod["spec"]["volumes"].append({"name": "mine", **kind})


def affinity(*values: list[str]) -> Change:
    """One term of the node affinity for each list of values."""
    terms = [{"matchExpressions": [{"key": "tenant", "operator": "In", "values": each}]} for each in values]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    return spec(affinity={"nodeAffinity": required})


TOKEN = {"sources": [{"serviceAccountToken": {"path": "token"}}]}


def test_a_pod_as_the_driver_sends_it_is_taken(pod: Pod) -> None:
    answer = fence.driver_of(TENANT).tries("POST", DRY, pod)
    assert answer.status == 201, answer.words


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda pod: pod["spec"].pop("affinity"), "must require the tenant's nodes"),
        (affinity(["b"]), "must require the tenant's nodes"),
        (affinity(["a", "b"]), "must require the tenant's nodes"),
        (affinity(["a"], ["b"]), "must require the tenant's nodes"),
        (spec(affinity={"nodeAffinity": {}}, nodeSelector={"tenant": "b"}), "must require the tenant's nodes"),
        (spec(nodeName="node2"), "must not choose its node by nodeName"),
        (context(privileged=True, allowPrivilegeEscalation=True), "privileged"),
        (context(capabilities={"add": ["NET_ADMIN"]}), "NET_ADMIN"),
        (context(capabilities={"add": ["MKNOD"]}), "adds a capability that job pods do not need"),
        (volume(hostPath={"path": "/"}), "hostPath"),
        (spec(hostNetwork=True), "hostNetwork"),
        (spec(hostPID=True), "hostPID"),
        (spec(hostIPC=True), "hostIPC"),
        (first(ports=[{"containerPort": 80, "hostPort": 80}]), "hostPort"),
        (image("docker.io/library/alpine:3"), "an image is not among those"),
        (image(f"{layout.KANIKO_IMAGE}x"), "an image is not among those"),
        (image(f"evil.example.com/{layout.REGISTRY}/library/busybox:1"), "an image is not among those"),
        (spec(automountServiceAccountToken=True), "no service account token"),
        (lambda pod: pod["spec"].pop("automountServiceAccountToken"), "no service account token"),
        (volume(projected=TOKEN), "no service account token"),
        (spec(serviceAccountName="kaniko-driver"), "not a service account of job pods"),
        (limits(memory="64Gi"), "maximum memory usage per Container"),
        (limits(cpu="64"), "maximum cpu usage per Container"),
        (limits(ephemeral_storage="640Gi"), "maximum ephemeral-storage usage per Container"),
        (spec(tolerations=[{"operator": "Exists"}]), "a toleration is not among those"),
        (spec(tolerations=[{"key": "tenant", "operator": "Exists"}]), "a toleration is not among those"),
        (spec(priorityClassName="system-node-critical"), "priority class"),
        (spec(runtimeClassName="other"), "not the runtime class of job pods"),
    ],
)
def test_what_the_driver_never_sends_is_refused_by_the_cluster(pod: Pod, change: Change, why: str) -> None:
    answer = fence.driver_of(TENANT).tries("POST", DRY, changed(pod, change))
    assert answer.status == fence.FORBIDDEN, answer.words
    assert why in answer.words


@pytest.mark.usefixtures("_without_pod_security")
@pytest.mark.parametrize(
    ("change", "why"),
    [
        (context(privileged=True, allowPrivilegeEscalation=True), "no container may be privileged"),
        (context(capabilities={"add": ["NET_ADMIN"]}), "adds a capability"),
        (volume(hostPath={"path": "/"}), "volumes may only be of the kinds"),
        (volume(nfs={"server": "10.0.0.1", "path": "/"}), "volumes may only be of the kinds"),
        (spec(hostNetwork=True), "network, processes and IPC are out of bounds"),
        (spec(hostPID=True), "network, processes and IPC are out of bounds"),
        (spec(hostIPC=True), "network, processes and IPC are out of bounds"),
        (first(ports=[{"containerPort": 80, "hostPort": 80}]), "a port of the node"),
    ],
)
def test_the_node_stays_out_of_reach_when_somebody_relabels_the_namespace(pod: Pod, change: Change, why: str) -> None:
    answer = fence.driver_of(TENANT).tries("POST", DRY, changed(pod, change))
    assert answer.status == fence.FORBIDDEN, answer.words
    assert why in answer.words


@pytest.fixture
def gated(pod: Pod) -> Iterator[str]:
    """A pod of the tenant that exists and does not start: its path."""
    own = changed(pod, spec(schedulingGates=[{"name": "example.com/never"}]))
    own["metadata"]["name"] = "gated"
    answer = fence.driver_of(TENANT).tries("POST", PODS, own)
    assert answer.status == 201, answer.words
    path = api.path_of("Pod", "gated", TENANT.name)
    yield path
    api.request("DELETE", f"{path}?gracePeriodSeconds=0")


def test_a_pod_that_is_there_cannot_be_changed_into_another(gated: str) -> None:
    driver = fence.driver_of(TENANT)
    other_image = {"spec": {"containers": [{"name": "build", "image": "docker.io/library/alpine:3"}]}}
    answer = driver.tries("PATCH", gated, other_image, STRATEGIC)
    assert (answer.status, "an image is not among those" in answer.words) == (fence.FORBIDDEN, True), answer.words
    # Those that are there can never be changed, by nobody; further ones can be added.
    toleration = [{"op": "add", "path": "/spec/tolerations/-", "value": {"operator": "Exists"}}]
    answer = driver.tries("PATCH", gated, toleration, "application/json-patch+json")
    assert (answer.status, "a toleration is not among those" in answer.words) == (fence.FORBIDDEN, True), answer.words


def test_marks_of_the_driver_can_be_put_on_a_pod(gated: str) -> None:
    answer = fence.driver_of(TENANT).tries("PATCH", gated, {"metadata": {"labels": {"kaniko-driver/kept": "1"}}}, MERGE)
    assert answer.status == 200, answer.words


def test_neither_the_driver_nor_anybody_adds_a_container_to_a_job_pod(gated: str) -> None:
    added = {"spec": {"ephemeralContainers": [{"name": "mine", "image": "docker.io/library/alpine:3"}]}}
    answer = fence.driver_of(TENANT).tries("PATCH", f"{gated}/ephemeralcontainers", added, STRATEGIC)
    assert answer.status == fence.FORBIDDEN
    assert 'cannot patch resource "pods/ephemeralcontainers"' in answer.words
    with pytest.raises(api.ApiError, match="containers cannot be added to a job pod"):
        api.request("PATCH", f"{gated}/ephemeralcontainers", added, STRATEGIC)


def test_neither_the_driver_nor_anybody_makes_a_pod_larger_than_its_tenants_limits(gated: str) -> None:
    larger = {"spec": {"containers": [{"name": "build", "resources": {"limits": {"memory": "64Gi"}}}]}}
    answer = fence.driver_of(TENANT).tries("PATCH", f"{gated}/resize", larger, STRATEGIC)
    assert answer.status == fence.FORBIDDEN
    assert 'cannot patch resource "pods/resize"' in answer.words
    with pytest.raises(api.ApiError, match=r"maximum memory usage per|none above the tenant's highest"):
        api.request("PATCH", f"{gated}/resize", larger, STRATEGIC)


def test_no_pod_gets_into_another_tenants_namespace(pod: Pod) -> None:
    own = changed(pod, lambda each: each["metadata"].update(namespace=OTHER.name))
    answer = fence.driver_of(TENANT).tries("POST", f"{api.path_of('Pod', namespace=OTHER.name)}?dryRun=All", own)
    assert answer.status == fence.FORBIDDEN
    assert f'cannot create resource "pods" in API group "" in the namespace "{OTHER.name}"' in answer.words


def test_a_token_for_aws_may_be_mounted_by_the_cache_registry_alone() -> None:
    """In a namespace of its own, since the bed's tenants have their keys from Secrets."""
    settings = fence.settings_of(TENANT)
    role = "arn:aws:iam::123456789012:role/layer-cache"
    cache = replace(settings.cache, credentials="service-account", role=role)
    named = replace(settings, name="aws", cluster=replace(settings.cluster, namespace="aws"), cache=cache)
    kinds = {"Namespace", "ServiceAccount", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}
    objects = [one for one in render(named) if one["kind"] in kinds]
    assert {one["kind"] for one in objects} == kinds
    for one in objects:
        api.apply(one)
    path = f"{api.path_of('Pod', namespace='aws')}?dryRun=All"
    try:
        good = sample.usual(named)
        stolen = changed(good, lambda pod: pod["spec"]["containers"][1]["volumeMounts"].append(MOUNT))
        other = changed(good, lambda pod: _token(pod).update(audience="https://kubernetes.default.svc"))
        plain = changed(good, lambda pod: _token(pod).pop("audience"))
        wait_for("the policy", lambda: _refused(path, stolen), 180)
        api.request("POST", path, good)
        for bad in (stolen, other, plain):
            assert _refused(path, bad)
    finally:
        for one in reversed(objects):
            meta = one["metadata"]
            api.request("DELETE", api.path_of(one["kind"], meta["name"], meta.get("namespace", "")))


MOUNT = {"name": "cache-identity", "mountPath": "/stolen"}


def _token(pod: Pod) -> Pod:
    (volume,) = [one for one in pod["spec"]["volumes"] if "projected" in one]
    token: Pod = volume["projected"]["sources"][0]["serviceAccountToken"]
    return token


def _refused(path: str, pod: Pod) -> bool:
    try:
        api.request("POST", path, pod)
    except api.ApiError as error:
        return "pods get no service account token" in str(error)
    return False
