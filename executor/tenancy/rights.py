"""What the driver may do in a tenant's namespace: each verb with the work that needs it. Pure."""

from __future__ import annotations

from typing import Any

RULES: tuple[dict[str, Any], ...] = (
    {
        "apiGroups": [""],
        "resources": ["pods"],
        # create, get, watch: prepare; list: cleanup's search for the attempt's pods; delete: cleanup;
        # patch: to keep the pod of a failed job for a while.
        "verbs": ["create", "get", "list", "watch", "patch", "delete"],
    },
    # The handshake of an exec is a GET, which API servers since Kubernetes 1.35 check as "create" too.
    {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["get", "create"]},
    # Why a pod does not start.
    {"apiGroups": [""], "resources": ["events"], "verbs": ["list"]},
)
"""Not among them: Secrets. Pods name the tenant's Secrets, and the kubelet reads them."""
