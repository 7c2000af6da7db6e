"""The `[capacity]`, `[network]` and `[runner]` tables: a tenant's share of the cluster, its doors, its runner.

Cluster objects and the runner's registration are made from them by `kaniko-driver tenant`; jobs read [capacity] only.
"""

from __future__ import annotations

from typing import Annotated, Literal

from executor.settings.declare import Range, dataclass, setting
from executor.settings.forms import (  # noqa: TC001 - the reader evaluates the types of fields
    Cidr,
    LabelKey,
    LabelValue,
    Namespace,
    ObjectName,
    OptionalImage,
    Port,
)
from executor.settings.units import Bytes, Cpu, Duration

Jobs = Annotated[int, Range(name="number of jobs", low=1, high=10_000)]
WarmPods = Annotated[int, Range(name="number of pods", low=0, high=1_000)]
Spare = Annotated[int, Range(name="number of pods", low=0, high=10_000)]
# Above it are the classes of Kubernetes' own; k8s.io/kubernetes/pkg/apis/scheduling/types.go.
Priority = Annotated[int, Range(name="priority", low=0, high=1_000_000_000)]

RUNNER_LOGINS_FILE = "/run/kaniko-runner/logins.json"
"""What registry.logins_file must be for a runner inside the cluster; no other machine has that file."""


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """How many jobs of its usual size the tenant may run at once; the cluster's quota is computed from it."""

    jobs: Jobs = setting("Jobs at once: the limit of the tenant's runner, and what its quota has room for.", 20)
    spare: Spare = setting(
        "Pods beyond these that the quota has room for: those of ended jobs, which take seconds to go away or are kept "
        "for debugging.",
        2,
    )
    warm_pods: WarmPods = setting(
        "Job pods that wait, already started, for jobs that ask for nothing special; `tenant apply` makes them. Each "
        "takes the requests of a job from the tenant's nodes and quota while it waits. 0: none.",
        0,
    )
    warm_small: bool = setting(
        "Let these pods wait with small requests, and grow to a job's when one claims them: waiting costs next to "
        "nothing, a claim takes some tenths of a second more, and where the pod's node has no room then, the job "
        "starts cold. Needs Kubernetes 1.33; in older clusters they wait with the requests of a job.",
        default=False,
    )
    when_full: Literal["wait", "fail"] = setting(
        "What a job does when the quota has no room: wait as long as timeouts.schedule allows, or fail at once.", "wait"
    )
    priority: Priority = setting(
        "Above 0: the tenant's pods get a PriorityClass of their own with this value, which never preempts; 0: none. "
        "pod.priority_class wins.",
        0,
    )


@dataclass(frozen=True, kw_only=True)
class Destination:
    """What the tenant's pods may open connections to: addresses, or pods of this cluster."""

    cidr: Cidr | None = setting("Addresses, such as 10.1.2.0/24 or 2001:db8::/64. Without it: pods.", None)
    namespace: Namespace | None = setting("Namespace of this cluster, by name; never all of them.", None)
    pods: dict[LabelKey, LabelValue] = setting("Labels of the pods there. Empty: all pods of that namespace.", {})
    ports: tuple[Port, ...] = setting("Ports. Empty: all.", ())
    end_port: Port | None = setting("With one port: the last one of a range that begins with it.", None)
    protocols: tuple[Literal["TCP", "UDP"], ...] = setting("Protocols.", ("TCP",))


_CLUSTER_DNS = Destination(namespace="kube-system", pods={"k8s-app": "kube-dns"}, ports=(53,), protocols=("UDP", "TCP"))


@dataclass(frozen=True, kw_only=True)
class Network:
    """What job pods may reach; nothing else, and nothing reaches them. It holds where the network plug-in enforces it.

    Cloud metadata addresses and the API server stay out of reach even where a listed range covers them.
    """

    dns: tuple[Destination, ...] = setting(
        "Name servers. Default: pods labelled k8s-app=kube-dns in kube-system, port 53.", (_CLUSTER_DNS,)
    )
    registry: tuple[Destination, ...] = setting("Registries that builds pull from and push to.", ())
    s3: tuple[Destination, ...] = setting("S3 servers of the layer cache and of `cache:`.", ())
    gitlab: tuple[Destination, ...] = setting("GitLab: clones, artifacts, its own registry.", ())
    extra: tuple[Destination, ...] = setting("Anything else: package mirrors, proxies.", ())
    api_server: tuple[Destination, ...] = setting(
        "Where the Kubernetes API server answers, as addresses with ports: kept out of what is listed above.", ()
    )


@dataclass(frozen=True, kw_only=True)
class RunnerPod:
    """The tenant's runner inside the cluster, for `kaniko-driver tenant apply NAME --runner`; unused without it."""

    image: OptionalImage = setting("GitLab Runner with this driver: what `scripts/runner-image` is for.", "")
    pull_secrets: tuple[ObjectName, ...] = setting("Secrets of the runner's namespace for pulling that image.", ())
    secret: ObjectName = setting(
        "Secret of the runner's namespace with its `token`; in it `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` "
        "are for `cache:` of jobs, `logins.json` for registry.logins_file, `ca.crt` for a private authority of GitLab.",
        "kaniko-runner",
    )
    tenant_nodes: bool = setting("Run on the tenant's own nodes; `false`: wherever there is room.", default=False)
    drain: Duration = setting(
        "What running jobs may take when the runner is to end. No new job starts meanwhile.", Duration.parse("1h")
    )
    cpu_request: Cpu = setting("CPU kept free for it.", Cpu.parse("200m"))
    cpu_limit: Cpu = setting("CPU it may use; each job starts about ten short processes in it.", Cpu.parse("2"))
    memory_request: Bytes = setting("Memory kept free for it.", Bytes.parse("256Mi"))
    memory_limit: Bytes = setting("Memory above which it is killed; each running job takes 25 MB.", Bytes.parse("1Gi"))


@dataclass(frozen=True, kw_only=True)
class Runner:
    """The tenant's runner in GitLab; `kaniko-driver tenant register` prints its registration from this."""

    tags: tuple[str, ...] = setting("Tags of its jobs; no other tenant may use them. Empty: the tenant's name.", ())
    protected: bool = setting("Take jobs of protected branches and tags only.", default=False)
    longest_job: Duration = setting(
        "The longest time-out that a job may ask for, for GitLab's `maximum job timeout`.", Duration.parse("3h")
    )
    cache_bucket: str = setting("Bucket of `cache:` in jobs. Empty: the runner has no such cache.", "")
    cache_server: str = setting("Host and port of its S3 server. Empty: that of cache.endpoint, or AWS.", "")
    cache_region: str = setting("Its region. Empty: cache.region.", "")
    pod: RunnerPod
