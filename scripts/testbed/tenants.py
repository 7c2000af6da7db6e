"""The two tenants of the bed: namespace, the driver's rights in it, S3 keys, and the driver's settings files.

A tenant here is what an operator would set up for a real one, with the smallest rights that work.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from testbed import api, layout, pki, s3
from testbed.cache import digest
from testbed.marks import Mark
from testbed.wait import wait_for

if TYPE_CHECKING:
    from testbed.layout import Tenant

ACCOUNT = "kaniko-driver"
CACHE_SECRET = "layer-cache-s3"  # noqa: S105 - the name of a Secret
CACHE_PREFIX = "layer-cache"
TOKEN_LIFE = 365 * 24 * 3600  # seconds; as long as the certificates
RULES = [
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["create", "get", "list", "watch", "patch", "delete"]},
    # The exec handshake is a GET that newer API servers check as "create": both.
    {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["get", "create"]},
    {"apiGroups": [""], "resources": ["events"], "verbs": ["list"]},
    {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create", "delete"]},
]
DRIVER_SETTINGS = f"""\
version = 1

[log]
file = "{layout.DRIVER}/driver.jsonl"
"""


def manifests(tenant: Tenant, keys: s3.Credentials) -> list[dict[str, Any]]:
    """Return the tenant's objects in the cluster, in the order of making."""
    core, rbac = "v1", "rbac.authorization.k8s.io/v1"
    here = {"namespace": tenant.name}
    labels = {"tenant": tenant.node_label, "pod-security.kubernetes.io/enforce": "baseline"}
    return [
        {"apiVersion": core, "kind": "Namespace", "metadata": {"name": tenant.name, "labels": labels}},
        {"apiVersion": core, "kind": "ServiceAccount", "metadata": {"name": ACCOUNT, **here}},
        {"apiVersion": rbac, "kind": "Role", "metadata": {"name": ACCOUNT, **here}, "rules": RULES},
        {
            "apiVersion": rbac,
            "kind": "RoleBinding",
            "metadata": {"name": ACCOUNT, **here},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": ACCOUNT},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, **here}],
        },
        {
            "apiVersion": core,
            "kind": "Secret",
            "metadata": {"name": CACHE_SECRET, **here},
            "stringData": {"AWS_ACCESS_KEY_ID": keys.access_key, "AWS_SECRET_ACCESS_KEY": keys.secret_key},
        },
    ]


def settings(tenant: Tenant) -> str:
    """Return the tenant's settings file for the driver, sized for a small machine."""
    return f"""\
version = 1

[cluster]
kubeconfig = "{tenant.kubeconfig}"
namespace = "{tenant.name}"

[nodes]
labels = {{ tenant = ["{tenant.node_label}"] }}
tolerations = []

[images]
kaniko = "{layout.KANIKO_IMAGE}"
helper = "{layout.HELPER_IMAGE}"
tools = "{layout.TOOLS_IMAGE}"
cache_registry = "{layout.REGISTRY_IMAGE}"
allowed = ["{layout.REGISTRY}/library/*"]
pull_policy = "if-not-present"
allowed_pull_policies = ["if-not-present", "always"]

[services]
allowed = ["{layout.REGISTRY}/library/*"]
most = 2

[resources.service]
cpu_request = "50m"
cpu_limit = "1"
memory_request = "32Mi"
memory_limit = "256Mi"
ephemeral_storage_request = "16Mi"
ephemeral_storage_limit = "256Mi"

[resources.build]
cpu_request = "500m"
cpu_limit = "2"
memory_request = "512Mi"
memory_limit = "3Gi"
ephemeral_storage_request = "2Gi"
ephemeral_storage_limit = "6Gi"

[resources.helper]
cpu_request = "100m"
cpu_limit = "2"
memory_request = "128Mi"
memory_limit = "1Gi"
ephemeral_storage_request = "512Mi"
ephemeral_storage_limit = "2Gi"

[resources.cache_registry]
cpu_request = "50m"
cpu_limit = "1"
memory_request = "64Mi"
memory_limit = "256Mi"
ephemeral_storage_request = "128Mi"
ephemeral_storage_limit = "512Mi"

[volumes]
builds = "2Gi"
cache = "1Gi"
output = "512Mi"

[timeouts]
schedule = "1m"
start = "2m"
idle = "15m"
stop_grace = "5s"

[cache]
mode = "read-write"
bucket = "{tenant.cache_bucket}"
prefix = "{CACHE_PREFIX}"
region = "{layout.S3_REGION}"
endpoint = "{layout.S3_URL}"
path_style = true
secret = "{CACHE_SECRET}"
"""


def done(tenant: Tenant) -> bool:
    """Whether the tenant is set up as it is described here."""
    return _mark(tenant).there


def _mark(tenant: Tenant) -> Mark:
    objects = manifests(tenant, s3.credentials(tenant.name))
    return Mark(tenant.name, digest((repr(objects), settings(tenant), DRIVER_SETTINGS)))


def set_up(tenant: Tenant) -> None:
    """Set the tenant up: S3 user and buckets, objects in the cluster, kubeconfig, settings files. Safe to repeat."""
    s3.add_tenant(tenant)
    for manifest in manifests(tenant, s3.credentials(tenant.name)):
        api.apply(manifest)
    # Pods name no account of their own: the namespace's default one has to be there first.
    account = f"default service account of {tenant.name}"
    wait_for(account, lambda: api.get("ServiceAccount", "default", tenant.name), 30)
    token = api.account_token(ACCOUNT, tenant.name, TOKEN_LIFE)
    pki.write_private(tenant.kubeconfig, kubeconfig(token, tenant))
    pki.write_private(layout.DRIVER / "driver.toml", DRIVER_SETTINGS)
    pki.write_private(layout.DRIVER / "tenants" / f"{tenant.name}.toml", settings(tenant))
    _mark(tenant).set()


def kubeconfig(token: str, tenant: Tenant) -> str:
    """Return the tenant's kubeconfig: everything in one file, as one would hand it to a runner host."""
    authority = base64.b64encode((layout.PKI / "ca.crt").read_bytes()).decode()
    return pki.kubeconfig(
        ACCOUNT,
        cluster={"certificate-authority-data": authority},
        credentials={"token": token},
        namespace=tenant.name,
    )
