"""Where everything of the test bed is: names, addresses, paths. Constants only; nothing here touches the machine.

A second bed beside the first needs only another KANIKO_BED_NAME: name and state folder follow from it, and the
addresses may be the same because each bed has a network namespace of its own.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

NAME = os.environ.get("KANIKO_BED_NAME") or "kaniko-bed"
STATE = Path(os.environ.get("KANIKO_BED_STATE") or f"/var/lib/{NAME}").absolute()
CACHE = Path(
    os.environ.get("KANIKO_BED_CACHE")
    or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kaniko-bed",
).absolute()

# The network namespace that holds everything. `nsenter --net`, never `ip netns exec`: the latter mounts a fresh /sys
# over the cgroup hierarchies.
NAMESPACE = NAME
NAMESPACE_PATH = Path("/run/netns") / NAMESPACE
ENTER = ("nsenter", f"--net={NAMESPACE_PATH}", "--")
BRIDGE = "bed0"

# Every process of the bed gets this PATH, so that the caller's own settings cannot change how it behaves.
PROGRAM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

HOST_ADDRESS = "10.77.0.1"
NODE_NETWORK_BITS = 24
SERVICE_RANGE = "10.79.0.0/24"
SERVICE_ADDRESS = "10.79.0.1"  # the first of the range is always the API server's
API_PORT = 6443
REGISTRY_PORT = 5000
S3_PORT = 7070
ETCD_PORT = 2379  # on the namespace's loopback
COORDINATOR_PORT = 8929

API_URL = f"https://{HOST_ADDRESS}:{API_PORT}"
REGISTRY = f"{HOST_ADDRESS}:{REGISTRY_PORT}"
S3_URL = f"http://{HOST_ADDRESS}:{S3_PORT}"
S3_REGION = "us-east-1"

PKI = STATE / "pki"
RUN = STATE / "run"
LOGS = STATE / "log"
MARKS = STATE / "marks"
DRIVER = STATE / "driver"
ADMIN_KUBECONFIG = STATE / "admin.kubeconfig"
AUDIT_LOG = LOGS / "audit.jsonl"

PAUSE_IMAGE = "bed.local/pause:1"
KANIKO_IMAGE = "bed.local/kaniko:v1.24.0-debug"
HELPER_IMAGE = "bed.local/helper:19.4"
CACHE_REGISTRY_IMAGE = "bed.local/cache-registry:1"
TOOLS_IMAGE = "bed.local/busybox:1-musl"


@dataclass(frozen=True)
class Node:
    """One node: a process tree in its own mount, pid, network and uts namespace."""

    name: str
    number: int
    labels: str

    @property
    def address(self) -> str:
        """The node's address on the bed's bridge."""
        return f"10.77.0.{10 + self.number}"

    @property
    def pod_range(self) -> str:
        """The addresses of the pods on this node."""
        return f"10.78.{self.number}.0/24"

    @property
    def state(self) -> Path:
        """The folder that holds the node's configuration and, under `var`, what it would keep in /var."""
        return STATE / self.name


@dataclass(frozen=True)
class Tenant:
    """One customer of the cluster, as far as the bed has to know."""

    name: str
    node_label: str

    @property
    def cache_bucket(self) -> str:
        """Where Kaniko's layer cache goes."""
        return f"cache-{self.name}"

    @property
    def runner_bucket(self) -> str:
        """Where the runner keeps what jobs name under `cache:`."""
        return f"runner-cache-{self.name}"

    @property
    def kubeconfig(self) -> Path:
        """The tenant's own access to the cluster."""
        return DRIVER / f"{self.name}.kubeconfig"


NODES = (Node("node1", 1, "tenant=a"), Node("node2", 2, "tenant=b"))
TENANTS = (Tenant("tenant-a", "a"), Tenant("tenant-b", "b"))
