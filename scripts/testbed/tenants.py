"""The two tenants of the bed: made as an operator makes tenants, with `kaniko-driver tenant` and nothing else.

What the bed adds is what an operator would bring along: S3 buckets and keys, the nodes' labels, the settings files.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from executor.settings.load import load
from executor.tenancy import objects
from testbed import api, layout, pki, s3
from testbed.cache import digest
from testbed.marks import Mark
from testbed.process import run
from testbed.wait import wait_for

if TYPE_CHECKING:
    from testbed.layout import Tenant

COMMAND = Path(sys.prefix) / "bin" / "kaniko-driver"
CACHE_SECRET = "layer-cache-s3"  # noqa: S105 - the name of a Secret
CACHE_PREFIX = "layer-cache"
TOKEN_LIFE = "8760h"  # noqa: S105 - as long as the certificates
EPHEMERAL_PORTS = (32768, 60999)
"""Where a coordinator listens that was told no port; the kernel's default range."""
DRIVER_SETTINGS = f"""\
version = 1

[log]
file = "{layout.DRIVER}/driver.jsonl"
"""


def cache_secret(tenant: Tenant) -> dict[str, Any]:
    """Return the Secret with the tenant's S3 keys, which are in no settings file."""
    keys = s3.credentials(tenant.name)
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": CACHE_SECRET, "namespace": tenant.name},
        "stringData": {"AWS_ACCESS_KEY_ID": keys.access_key, "AWS_SECRET_ACCESS_KEY": keys.secret_key},
    }


def _tools(tenant: Tenant) -> str:
    """Return an image of each sort: one that only has the tools, and one that goes on as the cache registry."""
    return layout.CACHE_REGISTRY_IMAGE if tenant == layout.TENANTS[0] else layout.TOOLS_IMAGE


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

[pod]
service_account = "kaniko-build"

[network]
registry = [{{ cidr = "{layout.HOST_ADDRESS}/32", ports = [{layout.REGISTRY_PORT}] }}]
s3 = [{{ cidr = "{layout.HOST_ADDRESS}/32", ports = [{layout.S3_PORT}] }}]
gitlab = [
  {{ cidr = "{layout.HOST_ADDRESS}/32", ports = [{layout.COORDINATOR_PORT}] }},
  {{ cidr = "{layout.HOST_ADDRESS}/32", ports = [{EPHEMERAL_PORTS[0]}], end_port = {EPHEMERAL_PORTS[1]} }},
]
api_server = [
  {{ cidr = "{layout.HOST_ADDRESS}/32", ports = [{layout.API_PORT}] }},
  {{ cidr = "{layout.SERVICE_ADDRESS}/32", ports = [443] }},
]

[runner]
cache_bucket = "{tenant.runner_bucket}"

[images]
kaniko = "{layout.KANIKO_IMAGE}"
helper = "{layout.HELPER_IMAGE}"
tools = "{_tools(tenant)}"
cache_registry = "{layout.CACHE_REGISTRY_IMAGE}"
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

[overrides]
labels = ["team=[a-z]+"]
node_selector = ["tenant=.*"]

[overrides.build]
cpu_limit = "2500m"
memory_limit = "3500Mi"

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
ephemeral_storage_limit = "1536Mi"

[volumes]
builds = "2Gi"
cache = "1Gi"
output = "512Mi"

[timeouts]
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
spool = "1Gi"
"""


def done(tenant: Tenant) -> bool:
    """Whether the tenant is set up as it is described here."""
    _write_settings(tenant)
    return _mark(tenant).there


def _mark(tenant: Tenant) -> Mark:
    rendered = objects.render(load(str(layout.DRIVER), tenant.name).tenant)
    return Mark(tenant.name, digest((repr(rendered), repr(cache_secret(tenant)), settings(tenant), DRIVER_SETTINGS)))


def _write_settings(tenant: Tenant) -> None:
    pki.write_private(layout.DRIVER / "driver.toml", DRIVER_SETTINGS)
    pki.write_private(layout.DRIVER / "tenants" / f"{tenant.name}.toml", settings(tenant))


def set_up(tenant: Tenant) -> None:
    """Set the tenant up. Safe to repeat."""
    s3.add_tenant(tenant)
    _write_settings(tenant)
    operate("apply", tenant.name, "--yes")
    api.apply(cache_secret(tenant))
    operate("kubeconfig", tenant.name, "--duration", TOKEN_LIFE)
    # The first pod would be refused while the cluster still counts what there is.
    wait_for(f"the quota of {tenant.name}", lambda: counted(tenant.name), 180)
    _mark(tenant).set()


def operate(command: str, name: str, *arguments: str, folder: Path = layout.DRIVER) -> str:
    """Run `kaniko-driver tenant COMMAND NAME` with the rights of the cluster's administrator."""
    rights = ("--kubeconfig", str(layout.ADMIN_KUBECONFIG))
    return run((*layout.ENTER, COMMAND, "tenant", command, name, "--settings", folder, *rights, *arguments))


def counted(namespace: str) -> bool:
    """Whether the cluster has counted what a quota is about; until then it refuses every pod."""
    return all("used" in quota.get("status", {}) for quota in api.items("ResourceQuota", namespace))
