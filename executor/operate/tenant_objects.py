"""The settings' folder -> a tenant's cluster objects, with its runner where that is wanted."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from executor.settings.files import authorities
from executor.tenancy import objects, presence, runner

if TYPE_CHECKING:
    from executor.cluster.admin import Admin
    from executor.settings.load import Settings
    from executor.settings.model import Tenant


def rendered(folder: str, settings: Settings, *, with_runner: bool, resizes: bool = True) -> list[dict[str, Any]]:
    """Return the objects, in the order of making; `resizes`: the cluster can resize pods in place.

    Raises:
        SettingsInvalid: a runner inside the cluster cannot work with these settings.
    """
    tenant = settings.tenant
    trusted = authorities(tenant) if tenant.capacity.warm_pods else None
    own = objects.render(tenant, trusted=trusted, resizes=resizes)
    own += presence.render(tenant)
    if not with_runner:
        return own
    files = runner.Files(
        driver=_read(folder, "driver.toml"),
        tenant=_read(folder, "tenants", f"{tenant.name}.toml"),
        log=settings.driver.log.file,
    )
    return [*own, *runner.render(tenant, files)]


def resizes(admin: Admin, tenant: Tenant) -> bool:
    """Tell whether the tenant's warm pods can grow in this cluster; it is asked only where they are to."""
    return not (tenant.capacity.warm_pods and tenant.capacity.warm_small) or admin.resizes_pods()


def _read(*path: str) -> str:
    with open(os.path.join(*path), encoding="utf-8") as file:
        return file.read()
