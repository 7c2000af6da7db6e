"""The configuration files of a node: containerd, CNI, kubelet. Text only; `nodes` writes and uses it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from testbed import layout

if TYPE_CHECKING:
    from testbed.layout import Node

CONTAINERD_SOCKET = "/run/containerd/containerd.sock"


def containerd(node: Node) -> str:
    """Return containerd's configuration."""
    return f"""\
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
  "io.containerd.internal.v1.tracing",
  "io.containerd.tracing.processor.v1.otlp",
]

[grpc]
  address = "{CONTAINERD_SOCKET}"

[plugins."io.containerd.internal.v1.opt"]
  path = "/var/lib/containerd/opt"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{layout.PAUSE_IMAGE}"
  # Without CAP_SYS_RESOURCE a score below one's own cannot be set, and every sandbox fails.
  restrict_oom_score_adj = true
  enable_unprivileged_ports = true

[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "{node.state}/cni"

[plugins."io.containerd.grpc.v1.cri".registry]
  config_path = "{node.state}/registries"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  SystemdCgroup = false
"""


def registry_hosts() -> str:
    """Return the hosts.toml that lets containerd pull from the bed's registry without TLS."""
    return f"""\
server = "http://{layout.REGISTRY}"

[host."http://{layout.REGISTRY}"]
  capabilities = ["pull", "resolve"]
"""


def cni(node: Node) -> str:
    """Return the CNI configuration: a bridge for the node's pods, addresses from the node's own range."""
    bridge = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "ipMasq": False,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "dataDir": "/run/cni-addresses",
            "ranges": [[{"subnet": node.pod_range}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return json.dumps({"cniVersion": "0.4.0", "name": "bed", "plugins": [bridge, ports]}, indent=1)


def resolv_conf() -> str:
    """Return the name resolution of pods: nobody answers, and soon; the bed is used by addresses."""
    return f"nameserver {layout.HOST_ADDRESS}\noptions timeout:1 attempts:1\n"


def kubelet(node: Node) -> str:
    """Return kubelet's configuration (JSON is YAML)."""
    return json.dumps(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": node.address,
            "readOnlyPort": 0,
            "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(layout.PKI / "ca.crt")},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": str(layout.PKI / f"{node.name}.crt"),
            "tlsPrivateKeyFile": str(layout.PKI / f"{node.name}.key"),
            "failCgroupV1": False,
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{layout.NAME}/{node.name}",
            "cgroupsPerQOS": True,
            "enforceNodeAllocatable": ["pods"],
            "failSwapOn": False,
            "clusterDNS": [layout.HOST_ADDRESS],
            "clusterDomain": "cluster.local",
            "resolvConf": str(node.state / "resolv.conf"),
            "volumePluginDir": str(node.state / "volume-plugins"),
            "serializeImagePulls": False,
            "maxPods": 60,
            "containerLogMaxSize": "100Mi",
            "containerLogMaxFiles": 3,
            # How soon a volume over its limit is noticed.
            "volumeStatsAggPeriod": "10s",
            "nodeStatusUpdateFrequency": "5s",
            "kubeAPIQPS": 50,
            "kubeAPIBurst": 100,
            # Loaded images cannot be pulled again: nothing may collect them on a machine with a well-filled disk.
            "imageGCHighThresholdPercent": 99,
            "imageGCLowThresholdPercent": 98,
            "evictionHard": {
                "memory.available": "100Mi",
                "nodefs.available": "3%",
                "nodefs.inodesFree": "1%",
                "imagefs.available": "3%",
                "imagefs.inodesFree": "1%",
            },
        },
        indent=1,
    )
