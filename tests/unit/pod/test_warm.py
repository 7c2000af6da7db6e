"""A warm pod serves a job whose own pod would be the same, and no other."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from executor.cache import use
from executor.pod import names, warm
from executor.pod.manifest import render
from executor.pod.services import Services, Sidecar
from executor.settings.files import Authorities
from executor.tenancy import capacity, objects, rights
from executor.tenancy.sample import usual
from tests.support.tenants import CACHE, POD_REQUEST, tenant

TENANT = tenant(cache=CACHE, capacity={"warm_pods": 3}, pod={"labels": {"team": "a"}})
WAITING = warm.template(warm.usual(TENANT, Authorities()))
SERVICE = Sidecar(container="svc-0", image="postgres:16", pull_policies=(), entrypoint=(), command=(), variables={})


def of_job(settings: Any = TENANT, **changes: Any) -> dict[str, Any]:
    """The template that a job's own pod comes from."""
    cache = use.of_protected_ref(TENANT.cache, TENANT.name)
    return warm.template(render(settings, replace(POD_REQUEST, **{"cache": cache, **changes})))


def test_a_plain_job_fits_whatever_its_number_and_time_out() -> None:
    assert warm.differences(of_job(), WAITING) == []
    other = of_job(
        job_id=8, project_id=9, name="other", attempt="x", deadline=5, delete_after=6, annotations={"a": "b"}
    )
    assert warm.fingerprint_of(other) == warm.fingerprint_of(WAITING)


@pytest.mark.parametrize(
    ("job", "difference"),
    [
        (of_job(build_image="registry.example.com/alpine:3"), "image of build"),
        (of_job(build_pull_policies=("Always",)), "imagePullPolicy of build"),
        (of_job(services=Services(sidecars=(SERVICE,))), "the container svc-0"),
        (of_job(pull_secrets=("kaniko-job-7-pull",)), "imagePullSecrets"),
        (of_job(tenant(cache={"mode": "off"})), "the container cache-registry"),
        (of_job(tenant(cache=CACHE, resources={"build": {"memory_limit": "8Gi"}})), "resources of build"),
        (of_job(tenant(cache=CACHE, pod={"service_account": "other"})), "serviceAccountName"),
        (of_job(cache=replace(POD_REQUEST.cache, mode="read-only")), "env of cache-registry"),
        (of_job(authorities=Authorities(s3="-----BEGIN")), "env of cache-registry"),
    ],
)
def test_what_a_job_wants_beyond_that_is_named(job: dict[str, Any], difference: str) -> None:
    assert difference in warm.differences(job, WAITING)
    assert warm.fingerprint_of(job) != warm.fingerprint_of(WAITING)


def test_nothing_in_a_waiting_pod_ends_by_itself_and_nothing_is_a_jobs() -> None:
    spec, metadata = WAITING["spec"], WAITING["metadata"]
    assert spec["restartPolicy"] == "Always"
    assert "activeDeadlineSeconds" not in spec
    # An ordinary container that ends would be started again for ever.
    assert [container["name"] for container in spec["initContainers"]] == [names.TOOLS]
    waits = {"name": "KANIKO_DRIVER_WARM", "value": "yes"}
    assert [one["name"] for one in spec["containers"] if waits in one["env"]] == [names.HELPER, names.BUILD]
    assert metadata["labels"] == {
        names.TENANT_LABEL: "tenant-a",
        "team": "a",
        names.WARM_LABEL: warm.fingerprint(spec),
    }
    # Nothing to lose yet: a node may be drained.
    assert metadata["annotations"] == {}


def test_a_waiting_pod_whose_cache_registry_brings_the_tools_needs_no_container_before_the_others() -> None:
    image = TENANT.images.cache_registry
    both = tenant(cache=CACHE, capacity={"warm_pods": 3}, images={"tools": image})
    template = warm.template(warm.usual(both, Authorities()))
    assert "initContainers" not in template["spec"]
    assert [one["name"] for one in template["spec"]["containers"]] == [
        names.CACHE_REGISTRY,
        names.HELPER,
        names.BUILD,
    ]
    small = warm.shrunk(template)
    assert {one["resources"]["requests"]["memory"] for one in small["spec"]["containers"]} == {"32Mi"}


def test_the_tenants_objects_have_a_replica_set_only_when_it_wants_warm_pods() -> None:
    (found,) = [one for one in objects.render(TENANT) if one["kind"] == "ReplicaSet"]
    assert found["metadata"]["name"] == f"kaniko-warm-{warm.fingerprint_of(WAITING)}"
    assert found["spec"]["replicas"] == 3
    assert found["spec"]["template"] == WAITING
    labels = found["spec"]["template"]["metadata"]["labels"].items()
    assert found["spec"]["selector"]["matchLabels"].items() <= labels
    assert not [one for one in objects.render(tenant(cache=CACHE)) if one["kind"] == "ReplicaSet"]


def test_pods_that_wait_small_can_do_the_same_and_keep_less_free() -> None:
    settings = tenant(cache=CACHE, capacity={"warm_pods": 3, "warm_small": True}, pod={"labels": {"team": "a"}})
    (found,) = [one for one in objects.render(settings) if one["kind"] == "ReplicaSet"]
    waiting = found["spec"]["template"]
    assert waiting["metadata"] == WAITING["metadata"]
    assert found["metadata"]["name"].endswith(f"{warm.fingerprint_of(WAITING)}-small")
    for small, full in zip(waiting["spec"]["containers"], WAITING["spec"]["containers"], strict=True):
        requests = small["resources"].pop("requests")
        assert (requests["cpu"], requests["memory"]) == ("10m", "32Mi")
        # Disk cannot grow in place.
        assert requests["ephemeral-storage"] == full["resources"]["requests"]["ephemeral-storage"]
        assert small["resources"] == {"limits": full["resources"]["limits"]}
    (old,) = [one for one in objects.render(settings, resizes=False) if one["kind"] == "ReplicaSet"]
    assert old["spec"]["template"] == WAITING


def test_a_pod_that_requests_all_that_it_may_use_waits_as_it_is() -> None:
    template = copy.deepcopy(WAITING)
    for one in (*template["spec"]["initContainers"], *template["spec"]["containers"]):
        one["resources"]["requests"] = one["resources"]["limits"]
    assert warm.shrunk(template) == template


def test_only_who_wants_small_ones_may_resize_pods() -> None:
    def resources(**capacity: Any) -> set[str]:
        return {name for rule in rights.rules(tenant(capacity=capacity)) for name in rule["resources"]}

    assert resources(warm_pods=1, warm_small=True) - resources(warm_pods=1) == {"pods/resize"}


def test_the_quota_has_room_for_jobs_and_waiting_pods() -> None:
    settings = tenant(capacity={"jobs": 10, "spare": 2, "warm_pods": 3})
    assert capacity.quota(settings, usual(settings))["hard"]["pods"] == "15"
