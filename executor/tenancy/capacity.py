"""How much of the cluster a tenant may take: quota, limits, priority. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from executor.pod import names
from executor.tenancy import sizes

if TYPE_CHECKING:
    from executor.settings.model import Tenant

_OTHER_SECRETS = 10
"""Room for the tenant's own Secrets: S3 keys, pull logins, certificates."""


def quota(tenant: Tenant, pod: dict[str, Any]) -> dict[str, Any]:
    """Return the spec of a ResourceQuota with room for the tenant's jobs; `pod` is a usual job pod."""
    # A warm pod that is claimed is a job from then on, and the next one takes its place at once.
    count = tenant.capacity.jobs + tenant.capacity.warm_pods + tenant.capacity.spare
    amounts = {
        f"{kind}.{name}": text
        for kind in ("requests", "limits")
        for name, text in sizes.written(sizes.times(sizes.of_pod(pod, kind), count)).items()
    }
    # Logins for the job's own images, and variables of each of its services.
    secrets = 1 + len(pod["spec"].get("initContainers", ()))
    # Pods that have ended do not count; those that are ending do, until their node has let go of them.
    return {"hard": {"pods": str(count), "count/secrets": str(count * secrets + _OTHER_SECRETS), **amounts}}


def limits(pod: dict[str, Any], largest: dict[str, Any]) -> dict[str, Any]:
    """Return the spec of a LimitRange: nothing larger than the largest job pod, and no container without limits."""
    helper = next(container for container in pod["spec"]["containers"] if container["name"] == names.HELPER)
    return {
        "limits": [
            {
                "type": "Container",
                "max": sizes.written(sizes.of_largest_container(largest)),
                "default": helper["resources"]["limits"],
                "defaultRequest": helper["resources"]["requests"],
            },
            {"type": "Pod", "max": sizes.written(sizes.of_pod(largest, "limits"))},
        ]
    }
