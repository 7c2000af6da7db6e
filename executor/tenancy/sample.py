"""A job pod as the driver would send it for a tenant, with nothing of a real job in it.

The tenant's objects are derived from it: the fence fits what the driver sends, whatever settings add to pods.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from executor.pod.manifest import PodRequest, render

if TYPE_CHECKING:
    from executor.settings.model import Tenant


def sample(tenant: Tenant) -> dict[str, Any]:
    """Return the manifest of a job that asks for nothing special."""
    request = PodRequest(
        name="kaniko-job-0-sample",
        attempt="sample",
        job_id=0,
        project_id=0,
        annotations={},
        build_image=tenant.images.kaniko,
        cache_prefix="sample",
        deadline=1,
        delete_after=1,
    )
    return render(tenant, request)
