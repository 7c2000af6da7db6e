"""No setting exists that nothing uses: each changes the job pod, or is used where it is said here."""

from __future__ import annotations

import tomllib
from dataclasses import MISSING, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

import pytest

from executor.pod.manifest import render
from executor.pod.services import Services, Sidecar
from executor.settings.catalogue import Entry, plain, tables
from executor.settings.declare import Range
from executor.settings.model import Tenant
from executor.settings.reader import optional
from executor.settings.units import Bytes, Cpu, Duration
from tests.support.tenants import CACHE, POD_REQUEST, tenant
from tests.unit.settings.test_generated import uncommented

if TYPE_CHECKING:
    from collections.abc import Iterator

EXECUTOR = Path(__file__).parents[3] / "executor"
SERVICE = Sidecar(
    container="svc-0", image="postgres:16", pull_policies=(), entrypoint=(), command=(), variables={"A": "b"}
)
REQUEST = replace(POD_REQUEST, services=Services(sidecars=(SERVICE,)))
USED_BY = {
    "cluster.kubeconfig": "stages/config.py",
    "cluster.context": "stages/config.py",
    "images.kaniko": "pod/image.py",
    "images.allowed": "pod/image.py",
    "images.allowed_pull_policies": "pod/image.py",
    "services.allowed": "pod/services.py",
    "services.most": "pod/services.py",
    "services.wait": "stages/config.py",
    "timeouts.schedule": "stages/config.py",
    "timeouts.new_node": "stages/config.py",
    "timeouts.pull": "stages/config.py",
    "timeouts.start": "stages/config.py",
    "timeouts.stop_grace": "stages/config.py",
    "timeouts.connection": "stages/config.py",
    "timeouts.after_job": "stages/config.py",
    "cache.mode": "cache/use.py",
    "cache.unprotected": "cache/use.py",
    "cache.protected_apart": "cache/use.py",
    "cache.prefix": "cache/use.py",
    "cache.ca_file": "settings/files.py",
    "cache.credentials": "pod/cachekeys.py",
    "cache.read_only_secret": "pod/cachekeys.py",
    "cache.role": "pod/cachekeys.py",
    "cache.read_only_role": "pod/cachekeys.py",
    "cache.sts_endpoint": "pod/cachekeys.py",
    "cache.sts_profile": "cache/sts.py",
    "registry.logins_file": "stages/config.py",
    "registry.authorities": "settings/files.py",
    "debug.keep_failed": "stages/config.py",
    "debug.keep_failed_most": "stages/config.py",
    "gitlab.url": "tenancy",
    "gitlab.root_namespaces": "settings/load.py",
    "capacity.jobs": "tenancy",
    "images.on_nodes": "tenancy/presence.py",
    "capacity.spare": "tenancy",
    "capacity.warm_pods": "tenancy",
    "capacity.warm_small": "tenancy",
    "capacity.when_full": "stages/config.py",
    "overrides": "pod/overrides.py",
    "network": "settings/network.py",
    "runner": "tenancy",
}


def settings() -> Iterator[Entry]:
    """Yield every setting that is no key of a list's entries."""
    for table in tables(Tenant):
        if not table.listed:
            yield from table.entries


def user_of(entry: Entry) -> str | None:
    return USED_BY.get(".".join(entry.path)) or USED_BY.get(entry.path[0])


@pytest.mark.parametrize("entry", [*settings()], ids=lambda entry: ".".join(entry.path))
def test_a_setting_is_used(entry: Entry) -> None:
    place = user_of(entry)
    if place is None:
        assert rendered(entry, other(entry)) != rendered(entry, None), "it changes nothing in the pod"
        return
    path = EXECUTOR / place
    files = [path] if path.is_file() else sorted(path.glob("*.py"))
    # Amounts of containers are taken by names that are put together.
    amounts = ("request", "limit")
    assert any(entry.path[-1] in file.read_text() for file in files) or entry.path[-1].endswith(amounts), place


def test_nothing_is_said_of_settings_that_are_gone() -> None:
    paths = {".".join(entry.path) for entry in settings()} | {entry.path[0] for entry in settings()}
    assert set(USED_BY) <= paths


def rendered(entry: Entry, value: Any) -> dict[str, Any]:
    document: dict[str, Any] = {"cache": dict(CACHE)}
    if value is not None:
        inner = document
        for key in entry.path[:-1]:
            inner = inner.setdefault(key, {})
        inner[entry.path[-1]] = value
    return render(tenant(**document), REQUEST)


OTHER = {
    "cluster.namespace": "other",
    "cache.secret": "other",
    "kaniko.locked_flags": ["--other"],
    "pod.security.seccomp_profile": "localhost/other",
}
"""Where the example has the value that the tests start from."""
EXAMPLE = tomllib.loads(uncommented("tenants/tenant-a.toml"))


def other(entry: Entry) -> Any:
    """Return a value that is not the default: the example's where it is another one."""
    if ".".join(entry.path) in OTHER:
        return OTHER[".".join(entry.path)]
    found: Any = EXAMPLE
    for key in entry.path:
        found = found.get(key, {}) if isinstance(found, dict) else {}
    default = None if entry.default is MISSING else plain(entry.default)
    if found not in ({}, default):
        return found
    hint = optional(entry.hint)
    if get_origin(hint) is Literal:
        return next(choice for choice in get_args(hint) if choice != default)
    if get_origin(hint) is Annotated:
        bounds = [form for form in get_args(hint)[1:] if isinstance(form, Range)]
        return bounds[0].high if bounds else "registry.example.com/other"
    return {bool: not default, Cpu: "3", Bytes: "3Gi", Duration: "77s", str: "other"}[hint]
