"""Rules between settings and about their content, beyond a single value's type."""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from executor.settings.model import Log, Resources, Tenant
    from executor.settings.reader import Path

    Complain = Callable[[Path, str], None]
    """Takes the path of a setting and what is wrong with it."""

# As the API server checks them, in k8s.io/apimachinery/pkg/util/validation.
_DNS_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_LABEL_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_LABEL_KEY = re.compile(r"(?:[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")

_LAST_PORT = 65535


def check(tenant: Tenant, complain: Complain) -> None:
    """Complain of every broken rule."""
    if not _DNS_LABEL.fullmatch(tenant.cluster.namespace):
        complain(("cluster", "namespace"), f"{tenant.cluster.namespace!r} is no name of a namespace")
    _check_path(("cluster", "kubeconfig"), tenant.cluster.kubeconfig, complain)
    _check_nodes(tenant, complain)
    for name in ("build", "helper", "cache_registry"):
        _check_resources(name, getattr(tenant.resources, name), complain)
    _check_cache(tenant, complain)
    _check_logins_file(tenant, complain)
    for key in ("flags", "locked_flags"):
        for flag in getattr(tenant.kaniko, key):
            if not flag.startswith("--") or "\n" in flag:
                complain(("kaniko", key), f"{flag!r} must be one flag, such as '--snapshot-mode=redo'")


def check_log(log: Log, complain: Complain) -> None:
    """The same for the driver's own settings."""
    _check_path(("log", "file"), log.file, complain)


def _check_path(path: Path, value: str, complain: Complain) -> bool:
    # Each stage runs in a folder of its own, which the runner deletes.
    good = not value or os.path.isabs(value)
    if not good:
        complain(path, f"{value!r} must be an absolute path")
    return good


def _check_nodes(tenant: Tenant, complain: Complain) -> None:
    if not tenant.nodes.labels:
        complain(("nodes", "labels"), "at least one label must name the tenant's nodes")
    for key, values in tenant.nodes.labels.items():
        if not _LABEL_KEY.fullmatch(key):
            complain(("nodes", "labels"), f"{key!r} is no key of a label")
        if not values:
            complain(("nodes", "labels"), f"{key} needs at least one value")
        for value in values:
            if not _LABEL_VALUE.fullmatch(value):
                complain(("nodes", "labels"), f"{value!r} is no value of a label")


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
    if not 1 <= cache.port <= _LAST_PORT:
        complain(("cache", "port"), f"{cache.port} is no port")
    if cache.mode == "off":
        return
    for key in ("bucket", "secret"):
        if not getattr(cache, key):
            complain(("cache", "mode"), f"the cache is on, so cache.{key} must be set")
    if cache.endpoint and not cache.endpoint.startswith(("http://", "https://")):
        complain(("cache", "endpoint"), f"{cache.endpoint!r} is no URL")


def _check_logins_file(tenant: Tenant, complain: Complain) -> None:
    path = tenant.registry.logins_file
    if not path or not _check_path(("registry", "logins_file"), path, complain):
        return
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        complain(("registry", "logins_file"), f"{path}: {error.strerror}")
        return
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        complain(("registry", "logins_file"), f"{path} holds secrets: chmod 600 {path}")
