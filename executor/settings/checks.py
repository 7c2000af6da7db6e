"""Rules between settings and about files they name, beyond a single value's form."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from executor.settings import network
from executor.settings.placemodel import RUNNER_LOGINS_FILE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from executor.settings.model import Resources, Tenant
    from executor.settings.podmodel import ExtraVolume, NodeRequirement, Pod
    from executor.settings.reader import Path

    Complain = Callable[[Path, str], None]
    """Takes the path of a setting and what is wrong with it."""

_RESERVED_FOLDERS = ("/builds", "/cache", "/driver", "/kaniko", "/workspace", "/proc", "/sys", "/dev")
"""The driver's own volumes, Kaniko's own folder and the one that it deletes, and the kernel's."""
_DRIVERS_OWN = "kaniko-driver"
_RESERVED_KEYS = ("kaniko-driver/", "project.runner.gitlab.com/", "job.runner.gitlab.com/")
_CONFINEMENT = ("container.apparmor.security.beta.kubernetes.io/", "seccomp.security.alpha.kubernetes.io/")
_VOLUME_SOURCES = ("secret", "config_map", "claim", "empty_dir", "csi")
_NAMESERVERS_AT_MOST = 3
_SHORTEST_GENERATION = 3600
_LONGEST_STS = 43_200
"""DurationSeconds of AssumeRole."""
LARGEST_CA = 64 * 1024
"""Bytes: it travels in the pod's manifest."""


def check(tenant: Tenant, complain: Complain) -> None:
    """Complain of every broken rule."""
    if not tenant.nodes.labels:
        complain(("nodes", "labels"), "at least one label must name the tenant's nodes")
    for key, values in tenant.nodes.labels.items():
        if not values:
            complain(("nodes", "labels"), f"{key} needs at least one value")
    for name in ("build", "helper", "cache_registry", "service"):
        _check_resources(name, getattr(tenant.resources, name), complain)
    if tenant.images.on_nodes and tenant.images.pull_policy == "never":
        complain(
            ("images", "on_nodes"), "images that are never pulled (images.pull_policy) cannot be brought to a node"
        )
    _check_cache(tenant, complain)
    _check_registry(tenant, complain)
    _check_pod(tenant.pod, complain)
    for number, volume in enumerate(tenant.pod.volumes):
        _check_volume(tenant, volume, ("pod", "volumes", str(number)), complain)
    if len({volume.name for volume in tenant.pod.volumes}) < len(tenant.pod.volumes):
        complain(("pod", "volumes"), "two volumes have the same name")
    network.check(tenant.network, complain)


def reserved_key(key: str) -> str:
    """Say why nobody may set a label or annotation of this key; empty where anybody may."""
    if key.startswith(_RESERVED_KEYS):
        return f"{key} belongs to the driver"
    if key.startswith(_CONFINEMENT):
        return f"{key} would change how the pod is confined; [pod.security] does"
    return ""


def _check_resources(name: str, resources: Resources, complain: Complain) -> None:
    for what, request, limit in (
        ("cpu", resources.cpu_request.cores, resources.cpu_limit.cores),
        ("memory", resources.memory_request.count, resources.memory_limit.count),
        ("ephemeral_storage", resources.ephemeral_storage_request.count, resources.ephemeral_storage_limit.count),
    ):
        if request > limit:
            complain(("resources", name, f"{what}_request"), f"the {what} request is above its limit")


def _check_cache(tenant: Tenant, complain: Complain) -> None:
    cache = tenant.cache
    if cache.mode == "off":
        return
    if not cache.bucket:
        complain(("cache", "mode"), "the cache is on, so cache.bucket must be set")
    _check_credentials(tenant, complain)
    if not tenant.images.cache_registry:
        complain(
            ("cache", "mode"), "the cache is on, so images.cache_registry must be set: build it from cache-registry/"
        )
    limit = tenant.resources.cache_registry.ephemeral_storage_limit
    if cache.spool_volume > limit.count:
        complain(
            ("cache", "spool"),
            f"{cache.spool.text} and 64Mi more is above {limit.text}, resources.cache_registry.ephemeral_storage_limit",
        )
    if cache.generation.seconds < _SHORTEST_GENERATION:
        complain(("cache", "generation"), "a generation must last an hour at least, or entries find no time to move")
    if cache.ca_file:
        _check_ca_file(cache.ca_file, ("cache", "ca_file"), complain)


def _check_credentials(tenant: Tenant, complain: Complain) -> None:
    cache = tenant.cache
    needed = {"secret": "secret", "service-account": "role", "sts": "role"}.get(cache.credentials)
    if needed and not getattr(cache, needed):
        complain(("cache", "mode"), f"the cache is on, so cache.{needed} must be set")
    if cache.credentials in {"service-account", "pod-identity"}:
        if not tenant.pod.service_account:
            complain(("cache", "credentials"), "keys by a service account need pod.service_account")
        if tenant.overrides.service_accounts:
            complain(
                ("overrides", "service_accounts"),
                "a job must not choose the service account that the keys of the layer cache come by",
            )
    if cache.credentials == "sts" and tenant.capacity.warm_pods:
        complain(("capacity", "warm_pods"), "a pod that waits has no job yet, and so no keys of STS for one")
    longest = tenant.runner.longest_job.seconds + tenant.timeouts.after_job.seconds
    if cache.credentials == "sts" and longest > _LONGEST_STS:
        complain(
            ("cache", "credentials"),
            f"no keys of STS last as long as a job may: runner.longest_job and timeouts.after_job are {longest} s, and "
            f"{_LONGEST_STS} s are the most",
        )


def _check_ca_file(path: str, setting: Path, complain: Complain) -> None:
    try:
        size = os.stat(path).st_size
    except OSError as error:
        complain(setting, f"{path}: {error.strerror}")
        return
    if size > LARGEST_CA:
        complain(
            setting,
            f"{path} has {size} bytes, and {LARGEST_CA} are the most: name the server's own authority, not a bundle",
        )


def _check_registry(tenant: Tenant, complain: Complain) -> None:
    own = tenant.registry
    _check_logins_file(tenant, complain)
    for host, mirrors in own.mirrors.items():
        if not mirrors:
            complain(("registry", "mirrors", host), f"{host} needs at least one mirror")
    if own.mirrors_only and not own.mirrors:
        complain(("registry", "mirrors_only"), "there are no mirrors, so every base image would be refused")
    for host, path in own.authorities.items():
        _check_ca_file(path, ("registry", "authorities", host), complain)


def _check_logins_file(tenant: Tenant, complain: Complain) -> None:
    path = tenant.registry.logins_file
    if not path:
        return
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        if path != RUNNER_LOGINS_FILE:
            complain(("registry", "logins_file"), f"{path}: {error.strerror}")
        return
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        complain(("registry", "logins_file"), f"{path} holds secrets: chmod 600 {path}")


def _check_pod(pod: Pod, complain: Complain) -> None:
    for table in ("labels", "annotations"):
        for key in getattr(pod, table):
            if reason := reserved_key(key):
                complain(("pod", table, key), reason)
    _check_requirements(pod.node_requirements, ("pod", "node_requirements"), complain)
    for number, preference in enumerate(pod.node_preferences):
        path = ("pod", "node_preferences", str(number), "match")
        if not preference.match:
            complain(path, "a preference needs at least one condition")
        _check_requirements(preference.match, path, complain)
    _check_names(pod, complain)
    for name in ("build", "helper", "service"):
        options = getattr(pod, name)
        for capability in sorted(set(options.add_capabilities) & set(options.drop_capabilities)):
            complain(("pod", name, "drop_capabilities"), f"{capability} cannot be both added and dropped")


def _check_names(pod: Pod, complain: Complain) -> None:
    if pod.dns.policy == "none" and not pod.dns.nameservers:
        complain(("pod", "dns", "policy"), "policy 'none' needs pod.dns.nameservers")
    if len(pod.dns.nameservers) > _NAMESERVERS_AT_MOST:
        complain(("pod", "dns", "nameservers"), f"Kubernetes allows {_NAMESERVERS_AT_MOST} name servers at most")
    for number, alias in enumerate(pod.host_aliases):
        if not alias.hostnames:
            complain(("pod", "host_aliases", str(number), "hostnames"), "an alias needs at least one name")


def _check_requirements(requirements: Iterable[NodeRequirement], path: Path, complain: Complain) -> None:
    for number, requirement in enumerate(requirements):
        here = (*path, str(number))
        count = len(requirement.values)
        if requirement.operator in {"In", "NotIn"} and not count:
            complain(here, f"{requirement.operator} needs at least one of `values`")
        if requirement.operator in {"Exists", "DoesNotExist"} and count:
            complain(here, f"{requirement.operator} takes no `values`")
        if requirement.operator in {"Gt", "Lt"} and not (count == 1 and requirement.values[0].isdecimal()):
            complain(here, f"{requirement.operator} takes one whole number in `values`")


def _check_volume(tenant: Tenant, volume: ExtraVolume, path: Path, complain: Complain) -> None:
    given = [source for source in _VOLUME_SOURCES if getattr(volume, source)]
    if len(given) != 1:
        found = f"; given: {', '.join(given)}" if given else ""
        complain(path, f"volume {volume.name!r} needs exactly one of {', '.join(_VOLUME_SOURCES)}{found}")
    if volume.items and not (volume.secret or volume.config_map):
        complain((*path, "items"), "only a Secret or a ConfigMap has items")
    csi_secret = volume.csi.secret if volume.csi else ""
    for secret in {volume.secret, csi_secret} - {""}:
        if reason := reserved_secret(tenant, secret):
            complain(path, reason)
    if not volume.mounts:
        complain((*path, "mounts"), f"volume {volume.name!r} is mounted nowhere")
    for number, mount in enumerate(volume.mounts):
        here = (*path, "mounts", str(number))
        if reason := reserved_path(mount.path):
            complain((*here, "path"), reason)
        if not mount.containers:
            complain((*here, "containers"), "a mount needs at least one container")


def reserved_secret(tenant: Tenant, name: str) -> str:
    """Say why no container of a build may have this Secret; empty where it may."""
    if name in {tenant.cache.secret, tenant.cache.read_only_secret}:
        return f"the Secret {name} holds the keys of the layer cache, which a build must never see"
    if name.startswith(_DRIVERS_OWN):
        return f"the Secret {name} belongs to the driver, and a build must never see it"
    return ""


def reserved_path(path: str) -> str:
    """Say why nothing may be mounted at this path of a container; empty where it may."""
    if os.path.normpath(path) != path:
        return f"{path} must be written without '.', '..' or double slashes"
    for folder in _RESERVED_FOLDERS:
        if path == folder or path.startswith(f"{folder}/"):
            return f"{path}: {folder} is taken in every job pod; choose a folder outside of it"
    return ""
