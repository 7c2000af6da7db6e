"""Checks of the tenant's place in the cluster, with the operator's own rights: objects as rendered, room, images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from executor.cluster.admin import Admin, Reference
from executor.errors import ClusterRefused, CredentialsInvalid, SettingsInvalid
from executor.operate.checkup.findings import good, problem, skipped, warning
from executor.operate.tenant_apply import check_namespace, plan
from executor.operate.tenant_objects import rendered, resizes
from executor.tenancy import room, sample

if TYPE_CHECKING:
    from collections.abc import Iterator

    from executor.operate.checkup.findings import Finding
    from executor.settings.load import Settings
    from executor.settings.model import Tenant

_FORBIDDEN = 403
_NAMED = 10
"""Of the cluster's nodes, so many are named."""
_NEEDS = "Name a kubeconfig of a cluster administrator by --kubeconfig or KUBECONFIG, and its --context."
_BUILD_IMAGES = ("kaniko", "helper", "tools", "cache_registry")


def objects(admin: Admin, folder: str, settings: Settings) -> Iterator[Finding]:
    """Are namespace, rights, quota, limits and policies in the cluster as the settings say?"""
    tenant = settings.tenant
    apply = f"kaniko-driver tenant apply {tenant.name}"
    try:
        check_namespace(admin, tenant)
        steps = plan(admin, rendered(folder, settings, with_runner=False, resizes=resizes(admin, tenant)))
    except ClusterRefused as refused:
        if refused.status != _FORBIDDEN:
            raise
        yield skipped("objects", f"you may not look: {refused.why}", _NEEDS)
        return
    except SettingsInvalid as error:
        yield problem("objects", str(error), error.remedy)
        return
    off = [f"{step.state.replace('created', 'missing')} {step.reference}" for step in steps if step.difference]
    if off:
        make = problem if any("missing" in one for one in off) else warning
        what = f"the cluster is not as the settings say: {', '.join(off)}"
        yield make("objects", what, "Look with --diff, then apply.", f"{apply} --diff", apply)
    else:
        yield good("objects", f"all {len(steps)} objects are as the settings say")


def nodes(admin: Admin, tenant: Tenant) -> Iterator[Finding]:
    """Have the tenant's nodes room for its jobs, and the images?"""
    try:
        found = admin.list(Reference(version="v1", kind="Node"))
        pods = admin.list(Reference(version="v1", kind="Pod"))
    except ClusterRefused as refused:
        if refused.status != _FORBIDDEN:
            raise
        yield skipped("nodes", f"you may not look: {refused.why}", _NEEDS)
        return
    job = sample.usual(tenant)
    own = room.nodes_of(tenant, found, pods, job, jobs_namespace=tenant.cluster.namespace)
    labels = " and ".join(f"{key}={'|'.join(values)}" for key, values in tenant.nodes.labels.items())
    if not own:
        wanted = " ".join(f"{key}={values[0]}" for key, values in tenant.nodes.labels.items())
        there = ", ".join(sorted(node["metadata"]["name"] for node in found)[:_NAMED]) or "none"
        yield problem(
            "nodes",
            f"no node has the tenant's labels: {labels}",
            f"Label its nodes (there are: {there}), or correct [nodes] labels. With a cluster autoscaler that makes "
            "them on demand this may be as it should be.",
            f"kubectl label node NODE {wanted}",
        )
        return
    fits = sum(node.fits for node in own)
    words = room.in_words(tenant, own, job)
    if not fits:
        yield problem("nodes", f"not one job has room: {words}", "Free the nodes, add some, or lower the requests.")
    elif fits < tenant.capacity.jobs:
        yield warning(
            "nodes",
            f"{fits} of {tenant.capacity.jobs} jobs have room at once: {words}",
            "More jobs wait for a place. Add nodes, lower capacity.jobs and the runner's limit, or lower the requests: "
            f"`kaniko-driver tune {tenant.name}`.",
        )
    else:
        yield good("nodes", f"{fits} jobs have room: {words}")
    small = [node.name for node in own if node.small]
    if small:
        yield warning(
            "node-size",
            f"smaller than 8 cores and 16 GB: {', '.join(small)}",
            "They work; figures and defaults are for larger ones, with SSDs.",
        )
    yield from _images(tenant, [node for node in found if node["metadata"]["name"] in {one.name for one in own}])


def _images(tenant: Tenant, nodes_found: list[dict[str, Any]]) -> Iterator[Finding]:
    if tenant.images.pull_policy == "always":
        yield skipped("images", "images are pulled for every job, so what nodes have does not matter")
        return
    wanted = [getattr(tenant.images, name) for name in _BUILD_IMAGES if name != "cache_registry" or _cached(tenant)]
    missing = {}
    for node in nodes_found:
        status = node.get("status") or {}
        present = {name for image in status.get("images") or () for name in image.get("names") or ()}
        lacks = [image for image in wanted if not _is_among(image, present)]
        if lacks:
            missing[node["metadata"]["name"]] = lacks
    if not missing:
        yield good("images", "all images of job pods are on the tenant's nodes")
        return
    what = "; ".join(f"{name} lacks {', '.join(lacks)}" for name, lacks in missing.items())
    if tenant.images.pull_policy == "never":
        yield problem(
            "images", what, "With pull_policy = never jobs cannot start there: load the images onto the nodes."
        )
    else:
        # The kubelet tells of fifty images a node, and minutes late, so they may be there all the same.
        remedy = (
            "If they are really missing (nodes tell of new ones minutes late), the first job there waits for the pull; "
            "the trial pod shows whether it works."
        )
        yield warning("images", what, remedy)


def _cached(tenant: Tenant) -> bool:
    return tenant.cache.mode != "off"


def _is_among(image: str, present: set[str]) -> bool:
    # As a container runtime completes names: docker.io/library/busybox:latest.
    name = image if "/" in image else f"docker.io/library/{image}"
    if "@" not in name and ":" not in name.rpartition("/")[2]:
        name = f"{name}:latest"
    return name in present or name.removeprefix("docker.io/library/") in present


def administrator(kubeconfig: str, context: str) -> Admin | None:
    """Return the cluster with the operator's own rights, or None where there are none to be had."""
    try:
        return Admin(kubeconfig=kubeconfig, context=context)
    except CredentialsInvalid:
        if kubeconfig or context:
            raise
        return None


def without_administrator(check: str) -> list[Finding]:
    """Say what a check would need."""
    return [skipped(check, "this needs the rights of a cluster administrator", _NEEDS)]
