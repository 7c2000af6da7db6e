"""The driver's way into its namespace: what of it is in the cluster, and the kubeconfig on the runner's host. Pure."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from executor.pod import names

LOGIN_SECRET = "kaniko-driver-login"  # noqa: S105 - the name of a Secret
"""Holds nothing: tokens are bound to it, so that deleting it ends all of them at once."""


def anchor(tenant: str, namespace: str) -> dict[str, Any]:
    """Return the Secret that tokens are bound to."""
    metadata = {
        "name": LOGIN_SECRET,
        "namespace": namespace,
        "labels": {"app.kubernetes.io/managed-by": "kaniko-driver", names.TENANT_LABEL: tenant},
    }
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata}


def account(namespace: str) -> dict[str, Any]:
    """Return what names the driver's service account."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": names.DRIVER_ACCOUNT, "namespace": namespace},
    }


def kubeconfig(
    *, tenant: str, namespace: str, token: str, url: str, authority: bytes, options: dict[str, Any]
) -> dict[str, Any]:
    """Return a kubeconfig with everything in it; `options` are further fields of its cluster, empty ones left out."""
    cluster: dict[str, Any] = {"server": url} | {key: value for key, value in options.items() if value}
    if authority:
        cluster["certificate-authority-data"] = b64encode(authority).decode()
    user = names.DRIVER_ACCOUNT
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "cluster", "cluster": cluster}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": tenant, "context": {"cluster": "cluster", "user": user, "namespace": namespace}}],
        "current-context": tenant,
    }
