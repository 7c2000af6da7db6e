"""What the driver may do in a tenant's namespace: each verb with the work that needs it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from executor.settings.model import Tenant

RULES: tuple[dict[str, Any], ...] = (
    {
        "apiGroups": [""],
        "resources": ["pods"],
        # create, get, watch: prepare; list: cleanup's search for the attempt's pods; delete: cleanup; patch: to keep
        # the pod of a failed job for a while, and to open the scheduling gate of one whose Secrets have been made.
        "verbs": ["create", "get", "list", "watch", "patch", "delete"],
    },
    # The handshake of an exec is a GET, which API servers since Kubernetes 1.35 check as "create" too.
    {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["get", "create"]},
    # Why a pod does not start.
    {"apiGroups": [""], "resources": ["events"], "verbs": ["list"]},
    # Those of one job: logins for its own images, variables of its services. `delete` is what OwnerReferences need on
    # clusters that check them (OpenShift).
    {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create", "delete"]},
)
"""Not among them: to read Secrets. Pods name them, and the kubelet reads them."""

_RESIZE = {"apiGroups": [""], "resources": ["pods/resize"], "verbs": ["patch"]}
"""Warm pods that wait small grow when a job claims them; the admission policy bounds it as it does every change."""

SERVICE_LOGS = {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]}
"""What services print is shown in the logs of jobs that set CI_DEBUG_SERVICES."""


def rules(tenant: Tenant) -> list[dict[str, Any]]:
    """Return what the driver may do in this tenant's namespace."""
    resize = [_RESIZE] if tenant.capacity.warm_small else []
    return [*RULES, *resize, *([SERVICE_LOGS] if tenant.services.allowed else [])]
