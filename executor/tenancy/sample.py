"""Job pods as the driver would send them for a tenant, with nothing of a real job in them. Pure.

The tenant's objects are derived from them: the fence fits what the driver sends, whatever settings add to pods.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from executor.cache import use
from executor.pod import names
from executor.pod.manifest import PodRequest, render
from executor.pod.services import Services, Sidecar
from executor.settings.units import Bytes, Cpu

if TYPE_CHECKING:
    from decimal import Decimal

    from executor.settings.gates import Most
    from executor.settings.model import Resources, Tenant

_AMOUNTS = (
    *("cpu_request", "cpu_limit", "memory_request", "memory_limit"),
    *("ephemeral_storage_request", "ephemeral_storage_limit"),
)


def usual(tenant: Tenant) -> dict[str, Any]:
    """Return the manifest of a job that asks for nothing special, with as many services as a job may have."""
    request = PodRequest(
        name="kaniko-job-0-sample",
        attempt="sample",
        job_id=0,
        project_id=0,
        annotations={},
        build_image=tenant.images.kaniko,
        cache=use.of_tenant(tenant.cache, tenant.name),
        deadline=1,
        delete_after=1,
        services=Services(sidecars=_sidecars(tenant)),
    )
    return render(tenant, request)


def largest(tenant: Tenant) -> dict[str, Any]:
    """Return the manifest of a job that asks for all that [overrides] lets it have."""
    resources, gates = tenant.resources, tenant.overrides
    raised = replace(
        resources,
        build=_raised(resources.build, gates.build),
        helper=_raised(resources.helper, gates.helper),
        service=_raised(resources.service, gates.service),
    )
    return usual(replace(tenant, resources=raised))


def _sidecars(tenant: Tenant) -> tuple[Sidecar, ...]:
    count = tenant.services.most if tenant.services.allowed else 0
    return tuple(
        Sidecar(
            container=names.service(number),
            image=tenant.services.allowed[0],
            pull_policies=(),
            entrypoint=(),
            command=(),
            variables={},
        )
        for number in range(count)
    )


def _raised(resources: Resources, most: Most) -> Resources:
    """Lift what a job may lift; a bound below the tenant's own amount lifts nothing."""
    lifted = {
        name: bound
        for name in _AMOUNTS
        if (bound := getattr(most, name)) is not None and _size(bound) > _size(getattr(resources, name))
    }
    return replace(resources, **lifted)


def _size(amount: Cpu | Bytes) -> Decimal | int:
    return amount.cores if isinstance(amount, Cpu) else amount.count
