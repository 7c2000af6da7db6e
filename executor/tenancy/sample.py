"""A job pod as the driver would send it for a tenant, with nothing of a real job in it.

The tenant's objects are derived from it: the fence fits what the driver sends, whatever settings add to pods.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from executor.pod import names
from executor.pod.manifest import PodRequest, render
from executor.pod.services import Services, Sidecar

if TYPE_CHECKING:
    from executor.settings.model import Tenant


def sample(tenant: Tenant) -> dict[str, Any]:
    """Return the manifest of a job that asks for as many services as it may and nothing else that is special."""
    most = tenant.services.most if tenant.services.allowed else 0
    sidecars = tuple(
        Sidecar(container=names.service(index), image="sample", pull_policy="", entrypoint=(), command=(), variables={})
        for index in range(most)
    )
    request = PodRequest(
        name="kaniko-job-0-sample",
        attempt="sample",
        job_id=0,
        project_id=0,
        annotations={},
        build_image=tenant.images.kaniko,
        services=Services(sidecars=sidecars),
        cache_prefix="sample",
        deadline=1,
        delete_after=1,
    )
    return render(tenant, request)
