"""The text of a new tenant's file: complete where there is a good default, explained where only the operator knows.

Pure. What stands in it is what a new tenant needs; every other setting is in the reference.
"""

from __future__ import annotations

from dataclasses import dataclass

from executor.pod import names

NODE_LABEL = "node-restriction.kubernetes.io/tenant"
"""Labels with this prefix cannot be changed by a node itself, so that a stolen node cannot draw others' pods to it."""
# Used where driver.toml names no images.
KANIKO = "gcr.io/kaniko-project/executor:v1.24.0-debug"
HELPER = "registry.gitlab.com/gitlab-org/gitlab-runner/gitlab-runner-helper:x86_64-v19.4.0"


@dataclass(frozen=True, kw_only=True)
class Start:
    """What is known of a new tenant."""

    name: str
    namespace: str
    kubeconfig: str
    """Path on the runner's host where `tenant kubeconfig` will put the driver's way in."""
    jobs: int
    images_known: bool
    """Whether driver.toml names the images for all tenants."""
    destinations_known: bool
    """Whether driver.toml lists registry and GitLab for all tenants."""
    api_server: tuple[tuple[str, int], ...]
    """Addresses and ports at which the cluster's API server answers; none where the cluster was not asked."""


def text(start: Start) -> str:
    """Return the file."""
    images = "" if start.images_known else _IMAGES
    destinations = _DESTINATIONS_KNOWN if start.destinations_known else _DESTINATIONS
    servers = "\n".join(f'  {{ cidr = "{_cidr(host)}", ports = [{port}] }},' for host, port in start.api_server)
    return _TEXT.format(
        name=start.name,
        namespace=start.namespace,
        kubeconfig=start.kubeconfig,
        jobs=start.jobs,
        label=NODE_LABEL,
        build_account=names.BUILD_ACCOUNT,
        images=images,
        destinations=destinations,
        servers=f"api_server = [\n{servers}\n]" if servers else _NO_SERVERS,
    )


def _cidr(address: str) -> str:
    return f"{address}/{128 if ':' in address else 32}"


_TEXT = """\
# One tenant. What is not set here comes from driver.toml's [defaults], and then from the driver itself; every setting
# there is stands in docs/en/reference/settings.md. The file's name is the tenant's name.
#
#   kaniko-driver validate                      is this file right?
#   kaniko-driver tenant apply {name} --diff    what would change in the cluster?
version = 1

[cluster]
# The tenant's own namespace; `tenant apply` makes it.
namespace = "{namespace}"
# The driver's way in, with rights in this namespace only; `tenant kubeconfig {name}` writes it.
kubeconfig = "{kubeconfig}"

[nodes]
# The tenant's nodes; pods run nowhere else. Label and taint each of them:
#   kubectl label node NODE {label}={name}
#   kubectl taint node NODE {label}={name}:NoSchedule
labels = {{ "{label}" = ["{name}"] }}
tolerations = [{{ key = "{label}", value = "{name}", effect = "NoSchedule" }}]
{images}
[pod]
# Without rights and without a token; `tenant apply` makes it.
service_account = "{build_account}"

[capacity]
# Jobs at once. Quota and the runner's limit follow from it; the tenant's nodes need room for as many.
jobs = {jobs}

[network]
# What builds may reach beside name servers; everything else is closed. Addresses, or pods of this cluster:
#   {{ cidr = "203.0.113.10/32", ports = [443] }}
#   {{ namespace = "registry", pods = {{ app = "registry" }}, ports = [5000] }}
{destinations}
# Where the API server answers, so that no range above lets builds reach it.
{servers}

[cache]
# The layer cache in S3: "read-write", or "off" until there is a bucket.
mode = "off"
#bucket = "layer-cache-{name}"
#region = "eu-central-1"
# Secret of the namespace with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of a key for this bucket alone.
#secret = "layer-cache-s3"
# Leave both out on AWS.
#endpoint = "https://s3.example.com"
#path_style = true

[runner]
# Tags of the tenant's jobs in GitLab; no other tenant may use them.
tags = ["{name}"]
"""
_IMAGES = f"""
[images]
# Pin both: another Kaniko may change all cache keys, and the helper must have the version of your GitLab Runner.
kaniko = "{KANIKO}"
helper = "{HELPER}"
"""
_DESTINATIONS = """\
registry = []
s3 = []
gitlab = []"""
_DESTINATIONS_KNOWN = "# registry, s3 and gitlab are those of driver.toml's [defaults.network]."
_NO_SERVERS = """\
# `tenant apply` asks the cluster, and says what to write here when something is missing.
api_server = []"""
