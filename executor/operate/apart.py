"""What tenants would share against their will, as far as their settings tell. Pure."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from executor.cache import generation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from executor.settings.model import Tenant
    from executor.settings.reader import Path
    from executor.settings.survey import Survey

    Complain = Callable[[Path, str], None]


def compare(found: Survey, servers: Mapping[str, str]) -> None:
    """Complain of what two tenants share; told at the second one, naming the first.

    Args:
        found: all tenants; gets the complaints.
        servers: tenant -> address of its API server, where that is known; the same namespace of two clusters is two.
    """
    for one, other in combinations(found.tenants.values(), 2):
        same_cluster = servers.get(one.name, "") == servers.get(other.name, "")
        _compare(one, other, found, same_cluster=same_cluster)


def _compare(one: Tenant, other: Tenant, found: Survey, *, same_cluster: bool) -> None:

    def complain(path: Path, text: str) -> None:
        found.complain(other.name, path, f"{text} of {one.name}: tenants must be apart")

    def warn(path: Path, text: str) -> None:
        found.warn(other.name, path, text)

    if one.cluster.namespace == other.cluster.namespace and same_cluster:
        complain(("cluster", "namespace"), f"{other.cluster.namespace} is also the namespace")
    for number in sorted(set(one.gitlab.root_namespaces) & set(other.gitlab.root_namespaces)):
        complain(("gitlab", "root_namespaces"), f"{number} is also a root namespace")
    _compare_caches(one, other, complain, warn)
    if not _apart(one, other):
        warn(
            ("nodes", "labels"),
            f"no label keeps these nodes apart from those of {one.name}: builds of both may share a node",
        )
    if one.cluster.kubeconfig and one.cluster.kubeconfig == other.cluster.kubeconfig:
        warn(("cluster", "kubeconfig"), f"{one.name} has the same kubeconfig: it should have rights in one namespace")
    if one.registry.logins_file and one.registry.logins_file == other.registry.logins_file:
        warn(("registry", "logins_file"), f"builds of {one.name} get the same logins")
    for tag in sorted(set(one.runner.tags or (one.name,)) & set(other.runner.tags or (other.name,))):
        warn(("runner", "tags"), f"{one.name} has the tag {tag}, too: GitLab may give its jobs to either")


def _compare_caches(one: Tenant, other: Tenant, complain: Complain, warn: Complain) -> None:
    if "off" in {one.cache.mode, other.cache.mode}:
        return
    if (one.cache.bucket, one.cache.endpoint) != (other.cache.bucket, other.cache.endpoint):
        return
    mine, others = _folder(other), _folder(one)
    if mine.startswith(others) or others.startswith(mine):
        complain(("cache", "prefix"), f"{mine} lies within {others}, or around it: the layer cache")
    else:
        warn(
            ("cache", "bucket"),
            f"{one.name} has the same bucket: the keys of both must be limited to {others} and {mine}",
        )


def _folder(tenant: Tenant) -> str:
    # Above all generations, with a slash at its end: `a` is no part of `ab`.
    return f"{generation.folder(tenant.cache.prefix, tenant.name)}/"


def _apart(one: Tenant, other: Tenant) -> bool:
    """Tell whether some label has no value in common, so that no node can belong to both."""
    common = one.nodes.labels.keys() & other.nodes.labels.keys()
    return any(not set(one.nodes.labels[key]) & set(other.nodes.labels[key]) for key in common)
