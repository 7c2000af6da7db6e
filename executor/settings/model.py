"""Every setting there is: its type, default, and for whom and why it exists.

The tables of a tenant file mirror these classes. `[defaults.…]` in driver.toml takes the same tables for all tenants.
"""

from __future__ import annotations

from typing import Annotated, Literal

from executor.settings.declare import Range, dataclass, setting
from executor.settings.forms import (  # noqa: TC001 - the reader evaluates the types of fields
    AbsolutePath,
    Feature,
    Flag,
    Image,
    ImagePattern,
    LabelKey,
    LabelValue,
    Mirror,
    Namespace,
    ObjectName,
    OptionalImage,
    OptionalName,
    Port,
    RegistryHost,
    RoleArn,
    RootNamespaceId,
    ServiceCount,
    Url,
)
from executor.settings.gates import Overrides  # noqa: TC001 - the same
from executor.settings.placemodel import Capacity, Network, Runner  # noqa: TC001 - the same
from executor.settings.podmodel import Pod  # noqa: TC001 - the same
from executor.settings.units import Bytes, Cpu, Duration

_SPOOL_SLACK = 64 * 1024**2
Kept = Annotated[int, Range(name="number of pods", low=0, high=100)]


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Where the tenant's pods run, and as whom the driver speaks to the API server."""

    namespace: Namespace = setting("The tenant's own namespace; no other tenant may share it.")
    kubeconfig: AbsolutePath = setting(
        "Kubeconfig with rights in this namespace only. Empty: the service account of the runner's own pod.", ""
    )
    context: str = setting("Context of that kubeconfig. Empty: its current one.", "")


@dataclass(frozen=True, kw_only=True)
class Toleration:
    """A taint of the tenant's nodes that its pods put up with; the fields of core/v1 Toleration."""

    key: LabelKey = setting("The taint's key.")
    operator: Literal["Equal", "Exists"] = setting("How `value` is compared.", "Equal")
    value: LabelValue = setting("The taint's value.", "")
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = setting("Empty: all effects.", "")


@dataclass(frozen=True, kw_only=True)
class Nodes:
    """The nodes that belong to the tenant. Pods require them; without a match they do not run elsewhere."""

    labels: dict[LabelKey, tuple[LabelValue, ...]] = setting(
        "Node label -> allowed values; a node must match every label."
    )
    tolerations: tuple[Toleration, ...] = setting("Taints that keep other tenants' pods off these nodes.", ())


@dataclass(frozen=True, kw_only=True)
class Images:
    """The images of a job pod. Pin them: a new Kaniko may change all cache keys at once."""

    kaniko: Image = setting("Kaniko's debug image (the one with a shell), for the build container.")
    helper: Image = setting("GitLab Runner's helper image, of the runner's own version.")
    tools: Image = setting(
        "Any image with a static busybox at /bin/busybox. That of `cache_registry` has one: named here, too, it saves "
        "each job pod a container.",
        "docker.io/library/busybox:1.37-musl",
    )
    cache_registry: OptionalImage = setting(
        "Serves the layer cache in the pod: built from `cache-registry/` of this project. Needed where the cache is "
        "on.",
        "",
    )
    allowed: tuple[ImagePattern, ...] = setting(
        "Patterns (`*` matches anything) of images that a job may name in `image:` beside Kaniko's. Empty: none.", ()
    )
    pull_policy: Literal["always", "if-not-present", "never"] = setting("For all images of the pod.", "if-not-present")
    allowed_pull_policies: tuple[Literal["always", "if-not-present", "never"], ...] = setting(
        "What jobs may name in `pull_policy:` of their own images and services. Empty: `pull_policy` alone.", ()
    )
    pull_secrets: tuple[ObjectName, ...] = setting("Secrets of the namespace with logins for pulling these images.", ())
    on_nodes: bool = setting(
        "Keep these images on all of the tenant's nodes, new ones too, so that no job waits for a pull: `tenant apply` "
        "makes a DaemonSet in the namespace TENANT-images, where the `pull_secrets` must be, too.",
        default=False,
    )


@dataclass(frozen=True, kw_only=True)
class Resources:
    """Requests and limits of one container; what a node must have free, and what the container may use at most."""

    cpu_request: Cpu = setting("CPU kept free for it.")
    cpu_limit: Cpu = setting("CPU it may use.")
    memory_request: Bytes = setting("Memory kept free for it.")
    memory_limit: Bytes = setting("Memory above which it is killed.")
    ephemeral_storage_request: Bytes = setting("Node disk kept free for it.")
    ephemeral_storage_limit: Bytes = setting("Node disk above which the pod is evicted.")


def _resources(cpu: str, memory: str, disk: str) -> Resources:
    """Each argument is `request limit`."""
    cpus, memories, disks = cpu.split(), memory.split(), disk.split()
    return Resources(
        cpu_request=Cpu.parse(cpus[0]),
        cpu_limit=Cpu.parse(cpus[1]),
        memory_request=Bytes.parse(memories[0]),
        memory_limit=Bytes.parse(memories[1]),
        ephemeral_storage_request=Bytes.parse(disks[0]),
        ephemeral_storage_limit=Bytes.parse(disks[1]),
    )


@dataclass(frozen=True, kw_only=True)
class Containers:
    """The containers of a job pod. Their sum is what one job takes of the tenant's nodes and quota."""

    build: Resources = setting("Kaniko and the author's scripts.", _resources("1 2", "2Gi 4Gi", "10Gi 20Gi"))
    helper: Resources = setting("git, caches, artifacts.", _resources("100m 1", "128Mi 512Mi", "512Mi 2Gi"))
    cache_registry: Resources = setting("The layer cache.", _resources("50m 1", "64Mi 256Mi", "1Gi 5Gi"))
    service: Resources = setting("Each of the job's `services:`.", _resources("100m 1", "128Mi 1Gi", "256Mi 2Gi"))


@dataclass(frozen=True, kw_only=True)
class Services:
    """Containers that jobs may start beside their build by `services:`, such as a database for tests."""

    allowed: tuple[ImagePattern, ...] = setting(
        "Patterns (`*` matches anything) of images that jobs may name in `services:`. Empty: none.", ()
    )
    most: ServiceCount = setting("Services that one job may have; each takes [resources.service].", 3)
    wait: Duration = setting(
        "How long scripts wait for a service's HEALTHCHECK_TCP_PORT before they begin all the same.",
        Duration.parse("30s"),
    )


@dataclass(frozen=True, kw_only=True)
class Volumes:
    """Upper bounds of the pod's shared volumes; they count as ephemeral storage of the node."""

    builds: Bytes = setting("/builds: the clone and the build context.", Bytes.parse("10Gi"))
    cache: Bytes = setting("/cache: archives of `cache:` while they are packed.", Bytes.parse("2Gi"))
    output: Bytes = setting(
        "What one sub-stage may print; the rest is dropped, with a line that says so.", Bytes.parse("1Gi")
    )


@dataclass(frozen=True, kw_only=True)
class Timeouts:
    """How long the driver waits for what."""

    schedule: Duration = setting(
        "Until a node takes the pod; waiting for room in the tenant's quota counts too.", Duration.parse("10m")
    )
    new_node: Duration | None = setting(
        "Where no node has the tenant's labels, or none is large enough: how long to wait for one that an autoscaler "
        "adds; one that says it does is waited for as long as `schedule` allows. Absent: the job fails at once.",
        None,
    )
    pull: Duration = setting("While the node that took the pod pulls its images.", Duration.parse("10m"))
    start: Duration = setting(
        "From the node that took the pod until it accepts scripts, beside the time for images.", Duration.parse("4m")
    )
    idle: Duration = setting("A pod without any script ends itself after this.", Duration.parse("15m"))
    stop_grace: Duration = setting("From TERM to KILL when a job is cancelled.", Duration.parse("10s"))
    connection: Duration = setting(
        "How long the API server may be out of reach under a running script; other stages wait for a minute of it at "
        "most. A node that does not answer while the API server does counts as lost within two minutes.",
        Duration.parse("5m"),
    )
    after_job: Duration = setting(
        "What after_script and uploads may take after the job's own time-out.", Duration.parse("20m")
    )

    @property
    def until_ready(self) -> int:
        """Seconds that a pod may take in all until it accepts scripts."""
        return self.schedule.seconds + self.pull.seconds + self.start.seconds


@dataclass(frozen=True, kw_only=True)
class Cache:
    """The layer cache in S3."""

    mode: Literal["read-write", "read-only", "off"] = setting(
        "The most that any job may do. `read-only`: nothing new is stored; `off`: every build is cold.", "off"
    )
    unprotected: Literal["read-write", "read-only", "off"] = setting(
        "The same for jobs of branches and tags that are not protected. Those of merge requests from forks are never "
        "more than `read-only`.",
        "read-write",
    )
    protected_apart: bool = setting(
        "Protected branches and tags have a cache of their own, which other jobs read and never write.", default=True
    )
    bucket: str = setting("Bucket; shared ones need a policy for each prefix.", "")
    prefix: str = setting("Path in the bucket above `<tenant>/<generation>`.", "layer-cache")
    region: str = setting("Region of the bucket; any word where the server has none.", "us-east-1")
    endpoint: Url = setting("URL of the S3 server. Empty: AWS.", "")
    path_style: bool = setting("Bucket in the path and not in the host name; most servers but AWS.", default=False)
    ca_file: AbsolutePath = setting(
        "PEM file on the runner's host with the authority of the S3 server's certificate. Empty: the usual ones alone.",
        "",
    )
    credentials: Literal["secret", "service-account", "pod-identity", "sts"] = setting(
        "Where the keys come from: `secret`; the pod's service account with a role of AWS (`service-account`, known as "
        "IRSA) or with EKS Pod Identity; or `sts`, which gives each job keys of its own.",
        "secret",
    )
    secret: OptionalName = setting("Secret of the namespace with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.", "")
    read_only_secret: OptionalName = setting(
        "Secret with keys that can only read, for jobs that may not write. Empty: `secret`, and the cache registry "
        "alone keeps them from writing.",
        "",
    )
    role: RoleArn = setting("Role that `service-account` and `sts` take on.", "")
    read_only_role: RoleArn = setting(
        "Role of `service-account` that can only read, for jobs that may not write. Empty: `role`.", ""
    )
    sts_endpoint: Url = setting("URL of the STS server, where it is not AWS' own of the region.", "")
    sts_profile: str = setting(
        "Profile in ~/.aws of the runner's user by whose keys `sts` asks for others. Empty: what is found there.", ""
    )
    copy_layers: bool = setting(
        "Keep layers of COPY, ADD and WORKDIR, too. Only for the maintained fork of Kaniko from 1.28 on: keys of "
        "Kaniko 1.24 leave out variables and names of files, and a build would find layers of other content.",
        default=False,
    )
    generation: Duration = setting(
        "After this a new one begins, so that old ones can be expired whole; entries that are used move along.",
        Duration.parse("336h"),
    )
    patience: Duration = setting(
        "How long S3 may keep one pod waiting beyond what is usual, in all; then its builds go on without the cache.",
        Duration.parse("10s"),
    )
    spool: Bytes = setting(
        "Disk in the pod for cached layers. They are fetched and checked before Kaniko is told of them; those that do "
        "not fit are built anew.",
        Bytes.parse("4Gi"),
    )
    port: Port = setting("Port of the cache registry on the pod's loopback address.", 5407)

    @property
    def spool_volume(self) -> int:
        """Bytes of the volume: more than the registry takes of it, so that it is never what gets a pod evicted."""
        return self.spool.count + _SPOOL_SLACK


@dataclass(frozen=True, kw_only=True)
class Registry:
    """Registries that builds pull from and push to."""

    logins_file: AbsolutePath = setting(
        "A docker config.json on the runner's host with the tenant's logins, readable by its owner only.", ""
    )
    mirrors: dict[RegistryHost, tuple[Mirror, ...]] = setting(
        "Host of a registry -> mirrors that base images are pulled from in its place, in this order, each with the "
        "path below which the images are. Docker Hub is `docker.io`.",
        {},
    )
    mirrors_only: bool = setting(
        "Where no mirror has an image the build fails, and the registry itself is never asked.", default=False
    )
    authorities: dict[RegistryHost, AbsolutePath] = setting(
        "Host of a registry -> PEM file on the runner's host with the authority of its certificate, for pulls and "
        "pushes of builds.",
        {},
    )


@dataclass(frozen=True, kw_only=True)
class Kaniko:
    """Flags of `/kaniko/executor` beyond the driver's own."""

    features: dict[Feature, bool] = setting(
        "Feature flags of Kaniko's maintained fork, laid over the driver's own choice (docs/en/how-to/layer-cache.md); "
        "variables of the same name in a job win. Kaniko 1.24 has none.",
        {},
    )

    flags: tuple[Flag, ...] = setting("Added before the author's flags, which win.", ())
    locked_flags: tuple[Flag, ...] = setting("Added after the author's flags, so that they win.", ())


@dataclass(frozen=True, kw_only=True)
class GitLab:
    """The GitLab side of the tenant."""

    url: Url = setting(
        "Address of GitLab, for `tenant register` and for what is allowed to be reached. Empty: unknown.", ""
    )
    root_namespaces: tuple[RootNamespaceId, ...] = setting(
        "Ids of the tenant's top-level groups or users, by which a shared runner finds the tenant of a job "
        "(`config --tenant-by root-namespace`). A runner of the tenant's own needs none.",
        (),
    )


@dataclass(frozen=True, kw_only=True)
class Debug:
    """What is left for people who look into failed jobs."""

    keep_failed: Duration | None = setting(
        "The pod of a failed job stays for so long, for `kaniko-driver exec` and `logs`; its registry logins and "
        "scripts are removed, and it counts in the quota until then. Absent: it is deleted at once.",
        None,
    )
    keep_failed_most: Kept = setting("So many pods of the tenant are kept at most; the oldest goes first. 0: none.", 2)


@dataclass(frozen=True, kw_only=True)
class Tenant:
    """All that the driver knows of one tenant: one file."""

    name: str
    cluster: Cluster
    nodes: Nodes
    images: Images
    resources: Containers
    volumes: Volumes
    timeouts: Timeouts
    cache: Cache
    registry: Registry
    kaniko: Kaniko
    debug: Debug
    gitlab: GitLab
    pod: Pod
    overrides: Overrides
    capacity: Capacity
    network: Network
    runner: Runner
    services: Services


@dataclass(frozen=True, kw_only=True)
class Log:
    """The operator log."""

    file: AbsolutePath = setting("JSON lines are appended here. Empty: no log.", "/var/log/kaniko-driver/driver.jsonl")


@dataclass(frozen=True, kw_only=True)
class Driver:
    """driver.toml without its `[defaults]`."""

    log: Log
