"""Everything that a tenant is in a cluster, in the order of making. Pure.

`tenant apply` makes it, `tenant render` prints it, `tenant delete` removes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from executor.pod import names, warm
from executor.settings.files import Authorities
from executor.tenancy import admission, capacity, network, rights, sample

if TYPE_CHECKING:
    from executor.settings.model import Tenant

_RBAC = "rbac.authorization.k8s.io"
_ADMISSION = "admissionregistration.k8s.io/v1"


def render(tenant: Tenant, *, trusted: Authorities | None = None, resizes: bool = True) -> list[dict[str, Any]]:
    """Return the objects.

    Args:
        tenant: whose they are.
        trusted: its authorities, for warm pods.
        resizes: the cluster can resize pods in place, so that warm pods may wait small.
    """
    usual, largest = sample.usual(tenant), sample.largest(tenant)
    driver, cluster_wide = names.DRIVER_ACCOUNT, names.of_cluster(tenant.name)
    here = Maker(tenant, tenant.cluster.namespace)
    everywhere = Maker(tenant, "")
    return [
        everywhere.make("v1", "Namespace", tenant.cluster.namespace, labels=_pod_security()),
        *_priority_class(tenant, everywhere),
        here.make("v1", "ServiceAccount", driver, automountServiceAccountToken=False),
        here.make("v1", "ServiceAccount", names.BUILD_ACCOUNT, automountServiceAccountToken=False),
        here.make(f"{_RBAC}/v1", "Role", driver, rules=rights.rules(tenant)),
        here.make(
            f"{_RBAC}/v1",
            "RoleBinding",
            driver,
            roleRef={"apiGroup": _RBAC, "kind": "Role", "name": driver},
            subjects=[{"kind": "ServiceAccount", "name": driver, "namespace": tenant.cluster.namespace}],
        ),
        here.make("v1", "ResourceQuota", driver, spec=capacity.quota(tenant, usual)),
        here.make("v1", "LimitRange", driver, spec=capacity.limits(usual, largest)),
        here.make("networking.k8s.io/v1", "NetworkPolicy", names.DENY, spec=network.deny()),
        here.make("networking.k8s.io/v1", "NetworkPolicy", names.ALLOW, spec=network.allow(tenant)),
        everywhere.make(_ADMISSION, "ValidatingAdmissionPolicy", cluster_wide, spec=admission.policy(tenant, largest)),
        everywhere.make(
            _ADMISSION, "ValidatingAdmissionPolicyBinding", cluster_wide, spec=admission.binding(tenant, cluster_wide)
        ),
        # Behind everything that its pods must keep to.
        *_warm_pods(tenant, here, trusted or Authorities(), small=resizes and tenant.capacity.warm_small),
    ]


class Maker:
    """Makes objects of one namespace, or of the cluster, that say whose they are."""

    def __init__(self, tenant: Tenant, namespace: str) -> None:
        self._labels = {"app.kubernetes.io/managed-by": "kaniko-driver", names.TENANT_LABEL: tenant.name}
        self._place = {"namespace": namespace} if namespace else {}

    def make(
        self, version: str, kind: str, name: str, *, labels: dict[str, str] | None = None, **content: Any
    ) -> dict[str, Any]:
        """Make one object."""
        metadata = {"name": name, **self._place, "labels": self._labels | (labels or {})}
        return {"apiVersion": version, "kind": kind, "metadata": metadata, **content}


def _warm_pods(tenant: Tenant, here: Maker, trusted: Authorities, *, small: bool) -> list[dict[str, Any]]:
    if not tenant.capacity.warm_pods:
        return []
    template = warm.template(warm.usual(tenant, trusted))
    waiting = warm.shrunk(template) if small else template
    # Those that wait otherwise are another set: apply replaces them at once.
    name = names.warm(warm.fingerprint_of(template) + ("-small" if waiting != template else ""))
    return [here.make("apps/v1", "ReplicaSet", name, spec=warm.replica_set(tenant, waiting))]


def _pod_security() -> dict[str, str]:
    # "restricted" cannot be: Kaniko is root in its container. A warning at each job would only teach to read none.
    return {f"pod-security.kubernetes.io/{mode}": "baseline" for mode in ("enforce", "warn", "audit")}


def _priority_class(tenant: Tenant, everywhere: Maker) -> list[dict[str, Any]]:
    if not tenant.capacity.priority:
        return []
    return [
        everywhere.make(
            "scheduling.k8s.io/v1",
            "PriorityClass",
            names.of_cluster(tenant.name),
            value=tenant.capacity.priority,
            # A job never pushes out another one.
            preemptionPolicy="Never",
            description=f"Job pods of {tenant.name}",
        )
    ]
