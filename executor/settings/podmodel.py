"""The `[pod]` tables: what a tenant's job pods get beyond what every job pod has.

Everything here stays inside Pod Security "baseline" by its type alone; docs/en/reference/settings.md is made from it.
"""

from __future__ import annotations

from typing import Any, Literal

from executor.settings.declare import dataclass, setting
from executor.settings.forms import (  # noqa: TC001 - the reader evaluates the types of fields
    AnnotationKey,
    AppArmorProfile,
    Capability,
    DnsSearch,
    Group,
    Hostname,
    IpAddress,
    LabelKey,
    LabelValue,
    MountPath,
    ObjectName,
    OptionalName,
    SeccompProfile,
    SubPath,
    Sysctl,
    VolumeName,
    Weight,
)
from executor.settings.units import Bytes, Duration

ContainerName = Literal["build", "helper", "service"]
"""Containers that the operator may change; those of the driver itself (tools, cache registry) are none of them."""


@dataclass(frozen=True, kw_only=True)
class Security:
    """The pod's security context, within Pod Security "baseline"."""

    seccomp_profile: SeccompProfile = setting("`RuntimeDefault` or `localhost/PROFILE`.", "RuntimeDefault")
    apparmor_profile: AppArmorProfile = setting(
        "`RuntimeDefault` or `localhost/PROFILE`; needs Kubernetes 1.30. Empty: the runtime's own choice.", ""
    )
    selinux_type: Literal["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"] = setting(
        "SELinux type of the pod's processes. Empty: the runtime's own choice.", ""
    )
    fs_group: Group | None = setting("Group that owns the pod's volumes, for storage that root cannot write.", None)
    supplemental_groups: tuple[Group, ...] = setting("Further groups of the pod's processes.", ())
    sysctls: dict[Sysctl, str] = setting("Kernel parameters of the pod's own network namespace.", {})


@dataclass(frozen=True, kw_only=True)
class ContainerOptions:
    """One container's security context and hooks. The user is always root: Kaniko and the cache keys depend on it."""

    add_capabilities: tuple[Capability, ...] = setting(
        "Capabilities beside those that the driver gives: MKNOD for device nodes in images, SYS_CHROOT for chroot.", ()
    )
    drop_capabilities: tuple[Capability, ...] = setting("Capabilities that the driver gives and this tenant lacks.", ())
    allow_privilege_escalation: bool = setting(
        "Lets setuid programs such as sudo and su work in RUN instructions.", default=False
    )
    post_start: tuple[str, ...] = setting(
        "Command that the kubelet runs in the container when it has started; the container fails when it fails.", ()
    )
    pre_stop: tuple[str, ...] = setting(
        "Command that the kubelet runs before it ends the container, within `termination_grace`.", ()
    )


@dataclass(frozen=True, kw_only=True)
class HostAlias:
    """A line of the pod's /etc/hosts."""

    ip: IpAddress = setting("The address.")
    hostnames: tuple[Hostname, ...] = setting("Its names.")


@dataclass(frozen=True, kw_only=True)
class Dns:
    """How the pod looks names up."""

    policy: Literal["cluster-first", "default", "none"] = setting(
        "`default`: as the node does; `none`: only what stands here.", "cluster-first"
    )
    nameservers: tuple[IpAddress, ...] = setting("Asked before those of the policy; three are the most.", ())
    searches: tuple[DnsSearch, ...] = setting("Domains appended to short names.", ())
    options: dict[str, str] = setting("Options of resolv.conf, such as `ndots = '2'`; empty text: no value.", {})


@dataclass(frozen=True, kw_only=True)
class NodeRequirement:
    """A condition on a node's labels; the fields of core/v1 NodeSelectorRequirement."""

    key: LabelKey = setting("The label's key.")
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"] = setting("How `values` are compared.", "In")
    values: tuple[LabelValue, ...] = setting(
        "None for Exists and DoesNotExist, one number for Gt and Lt, else one or more.", ()
    )


@dataclass(frozen=True, kw_only=True)
class NodePreference:
    """Nodes that the scheduler should take first, among the tenant's own."""

    weight: Weight = setting("How much it counts beside other preferences, 1 to 100.", 100)
    match: tuple[NodeRequirement, ...] = setting("Conditions that such a node meets, all of them.")


@dataclass(frozen=True, kw_only=True)
class PodAffinity:
    """Other pods of the tenant's own namespace to be near to or far from; those of other namespaces never count."""

    relation: Literal["together", "apart"] = setting(
        "`together`: on the same node, so that others are left free; `apart`: spread over the nodes."
    )
    weight: Weight | None = setting(
        "Without it the relation is required, and a pod waits where it cannot be met.", None
    )
    topology_key: LabelKey = setting("Node label that says what the same place is.", "kubernetes.io/hostname")
    labels: dict[LabelKey, LabelValue] = setting("Labels of the other pods. Empty: all job pods of the tenant.", {})


@dataclass(frozen=True, kw_only=True)
class Mount:
    """Where containers see a volume."""

    path: MountPath = setting("Path in the container; never under /builds, /cache, /driver or /kaniko.")
    containers: tuple[ContainerName, ...] = setting("`build`, `helper`, `service`.", ("build",))
    sub_path: SubPath = setting("Path in the volume. Empty: all of it.", "")
    read_only: bool = setting("Whether the containers may only read it.", default=True)


@dataclass(frozen=True, kw_only=True)
class Csi:
    """A volume that a CSI driver makes for this pod alone."""

    driver: ObjectName = setting("Name of the CSI driver.")
    fs_type: str = setting("File system. Empty: the driver's own choice.", "")
    attributes: dict[str, str] = setting("What the driver wants to know; its documentation says.", {})
    secret: OptionalName = setting("Secret of the namespace that the driver gets. Empty: none.", "")


@dataclass(frozen=True, kw_only=True)
class EmptyDir:
    """An empty folder that lives as long as the pod."""

    size: Bytes = setting("Upper bound; it counts as ephemeral storage of the node, or as memory.")
    medium: Literal["", "Memory"] = setting("`Memory`: a tmpfs, which counts against the memory limits.", "")


@dataclass(frozen=True, kw_only=True)
class ExtraVolume:
    """A volume beside the driver's own: exactly one of secret, config_map, claim, empty_dir, csi. Never a host path."""

    name: VolumeName = setting("Name of the volume in the pod.")
    mounts: tuple[Mount, ...] = setting("Where it is seen; at least one place.")
    secret: OptionalName = setting("A Secret of the namespace; every RUN step can read what `build` mounts.", "")
    config_map: OptionalName = setting("A ConfigMap of the namespace, for certificates and configuration.", "")
    claim: OptionalName = setting("A PersistentVolumeClaim of the namespace.", "")
    empty_dir: EmptyDir | None = setting("An empty folder.", None)
    csi: Csi | None = setting("A volume of a CSI driver.", None)
    items: dict[str, SubPath] = setting("Keys of the Secret or ConfigMap -> file names. Empty: all keys.", {})


@dataclass(frozen=True, kw_only=True)
class Pod:
    """What the tenant's job pods get beyond what every job pod has."""

    labels: dict[LabelKey, LabelValue] = setting("Further labels, for cost reports and policies.", {})
    annotations: dict[AnnotationKey, str] = setting("Further annotations, taken literally: no variables.", {})
    service_account: OptionalName = setting(
        "Service account of the pod; its token is never mounted. Empty: the namespace's default one.", ""
    )
    priority_class: OptionalName = setting("PriorityClass. Empty: the cluster's default.", "")
    runtime_class: OptionalName = setting("RuntimeClass, such as one of gVisor or Kata. Empty: the default.", "")
    scheduler: OptionalName = setting("Name of the scheduler. Empty: the cluster's default.", "")
    host_users: bool = setting(
        "`false`: root of the pod is nobody on the node (user namespaces; Kubernetes 1.33, and file systems with "
        "id-mapped mounts).",
        default=True,
    )
    termination_grace: Duration = setting("From TERM to KILL when the pod is deleted.", Duration.parse("10s"))
    node_selector: dict[LabelKey, LabelValue] = setting(
        "Further labels that a node must have; it narrows [nodes] and never widens it.", {}
    )
    node_requirements: tuple[NodeRequirement, ...] = setting("Further conditions on nodes, all of which must hold.", ())
    node_preferences: tuple[NodePreference, ...] = setting("Which of the tenant's nodes to take first.", ())
    affinity: tuple[PodAffinity, ...] = setting("Nearness to other pods of the namespace.", ())
    host_aliases: tuple[HostAlias, ...] = setting("Further lines of /etc/hosts, for hosts that DNS does not know.", ())
    volumes: tuple[ExtraVolume, ...] = setting("Volumes beside the driver's own.", ())
    dns: Dns
    security: Security
    build: ContainerOptions
    helper: ContainerOptions
    service: ContainerOptions
    patch: dict[str, Any] = setting(
        "Fields of core/v1 PodSpec, laid over the finished pod as a strategic merge: lists of containers, volumes, "
        'mounts and variables are merged by their key, and `"$patch" = "delete"` or `"replace"` works. For what '
        "has no setting of its own. What would open the fence between tenants is refused.",
        {},
    )
