"""Tenant and job -> the manifest of the job pod. Pure: no I/O, no clock.

The containers start side by side: an init container or a native sidecar each delay the others by up to a second,
the period in which the kubelet looks for finished containers. What must come first is waited for where it is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from executor.cache import registry
from executor.pod import cachekeys, kaniko, names, programs
from executor.pod.image import PULL_POLICIES
from executor.pod.options import with_options
from executor.pod.services import Services
from executor.settings.files import Authorities
from executor.values import dataclass, field

if TYPE_CHECKING:
    from executor.cache.use import Use
    from executor.pod.services import Sidecar
    from executor.settings.model import Resources, Tenant

# What Kaniko needs as root to unpack, chown and run under USER; inside what Pod Security "baseline" allows.
BUILD_CAPABILITIES = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETFCAP", "SETGID", "SETUID")
_SMALL = {"cpu": "100m", "memory": "32Mi", "ephemeral-storage": "16Mi"}
_TOOLS_SIZE = "16Mi"
_LOGINS_SIZE = "4Mi"
_OUTPUT_SLACK = 1024**3
"""Bytes beside one sub-stage's output limit, for what earlier ones printed; the supervisor keeps 64 MiB of each."""


@dataclass(frozen=True, kw_only=True)
class PodRequest:
    """What a pod needs to know of its job."""

    name: str
    attempt: str
    job_id: int
    project_id: int
    annotations: dict[str, str]
    build_image: str
    build_pull_policies: tuple[str, ...] = ()
    """As Kubernetes writes them; the first one applies, and with none the tenant's own."""
    services: Services = field(default_factory=Services)
    pull_secrets: tuple[str, ...] = ()
    """Secrets of this job alone, beside the tenant's."""
    cache: Use
    """What the job may do with the layer cache."""
    authorities: Authorities = field(default_factory=Authorities)
    deadline: int
    """Seconds from the pod's start after which the kubelet ends it."""
    delete_after: int
    """Unix time after which anybody may delete it."""


def render(tenant: Tenant, request: PodRequest) -> dict[str, Any]:
    """Make the manifest.

    Raises:
        SettingsInvalid: the tenant's `pod.patch` cannot be used.
    """
    manifest = with_options(_plain(tenant, request), tenant)
    if tenant.pod.patch:
        # Few tenants have one, and the job path stays light for all others.
        from executor.pod.fence import with_patch

        return with_patch(manifest, tenant)
    return manifest


def _plain(tenant: Tenant, request: PodRequest) -> dict[str, Any]:
    """Make the pod that every tenant has."""
    cached = "off" not in {tenant.cache.mode, request.cache.mode}
    containers = [_helper(tenant), _build(tenant, request, cached=cached)]
    if cached and tenant.images.tools == tenant.images.cache_registry:
        # Each container less is work less for the node, and this image can do both.
        containers = [_cache_registry_with_tools(tenant, request), *containers]
    else:
        registry_beside = [_cache_registry(tenant, request)] if cached else []
        containers = [_tools(tenant, request, cached=cached), *containers, *registry_beside]
    services = [_service(tenant, request.name, sidecar) for sidecar in request.services.sidecars]
    for container in (*containers, *services):
        container.setdefault("imagePullPolicy", PULL_POLICIES[tenant.images.pull_policy])
        _take_literally(container)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": request.name,
            "namespace": tenant.cluster.namespace,
            "labels": {
                names.TENANT_LABEL: tenant.name,
                names.JOB_LABEL: str(request.job_id),
                names.ATTEMPT_LABEL: request.attempt,
                names.PROJECT_LABEL: str(request.project_id),
            },
            "annotations": {
                names.DEADLINE_ANNOTATION: str(request.delete_after),
                "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
                "karpenter.sh/do-not-disrupt": "true",
                **cachekeys.marks(tenant.cache, [one["name"] for one in (*containers, *services)]),
                **request.annotations,
            },
        },
        "spec": {
            "restartPolicy": "Never",
            "activeDeadlineSeconds": request.deadline,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": _node_selector(tenant)}},
            "tolerations": [_toleration(toleration) for toleration in tenant.nodes.tolerations],
            **_priority(tenant),
            "imagePullSecrets": [{"name": name} for name in (*tenant.images.pull_secrets, *request.pull_secrets)],
            **({"initContainers": services, "hostAliases": _host_aliases(request.services)} if services else {}),
            "containers": containers,
            "volumes": _volumes(tenant, cached=cached),
        },
    }


def _take_literally(container: dict[str, Any]) -> None:
    """Guard every dollar sign: the kubelet turns `$$` into `$` and `$(NAME)` into a variable's value."""
    for key in ("command", "args"):
        if key in container:
            container[key] = [word.replace("$", "$$") for word in container[key]]
    for variable in container.get("env", ()):
        if "value" in variable:
            variable["value"] = variable["value"].replace("$", "$$")


def _node_selector(tenant: Tenant) -> dict[str, Any]:
    expressions = [
        {"key": key, "operator": "In", "values": list(values)} for key, values in tenant.nodes.labels.items()
    ]
    return {"nodeSelectorTerms": [{"matchExpressions": expressions}]}


def _toleration(toleration: Any) -> dict[str, str]:
    fields = {"key": toleration.key, "operator": toleration.operator, "effect": toleration.effect}
    if toleration.operator == "Equal":
        fields["value"] = toleration.value
    return {name: value for name, value in fields.items() if value}


def _priority(tenant: Tenant) -> dict[str, str]:
    own = names.of_cluster(tenant.name) if tenant.capacity.priority else ""
    name = tenant.pod.priority_class or own
    return {"priorityClassName": name} if name else {}


def _volumes(tenant: Tenant, *, cached: bool) -> list[dict[str, Any]]:
    return [
        _empty("builds", sizeLimit=tenant.volumes.builds.text),
        _empty("cache", sizeLimit=tenant.volumes.cache.text),
        _empty("stages", sizeLimit=str(_stages_size(tenant))),
        _empty("tools", sizeLimit=_TOOLS_SIZE),
        _empty("logins", medium="Memory", sizeLimit=_LOGINS_SIZE),
        _empty("pulse", sizeLimit="1Mi"),
        *([_empty("spool", sizeLimit=str(tenant.cache.spool_volume))] if cached else []),
        *(cachekeys.volumes(tenant.cache) if cached else []),
    ]


def _stages_size(tenant: Tenant) -> int:
    """Return bytes: more than the output limit, so that the limit and not an eviction ends a chatty script's log."""
    return tenant.volumes.output.count + _OUTPUT_SLACK


def _supervised(tenant: Tenant, container: str) -> dict[str, str]:
    """Return what scripts and the supervisor know of where they run."""
    return {
        # For custom executors the runner says the opposite (CI_SHARED_ENVIRONMENT), and scripts ask for this one.
        "CI_DISPOSABLE_ENVIRONMENT": "true",
        "KANIKO_DRIVER_CONTAINER": container,
        "KANIKO_DRIVER_VOLUME_KILOBYTES": str(_stages_size(tenant) // 1024),
    }


def _empty(name: str, **fields: str) -> dict[str, Any]:
    return {"name": name, "emptyDir": fields}


def _tools(tenant: Tenant, request: PodRequest, *, cached: bool) -> dict[str, Any]:
    files = kaniko.files(tenant, request.cache if cached else None, request.authorities)
    return {
        "name": names.TOOLS,
        "image": tenant.images.tools,
        "command": programs.install_command(files),
        "resources": {"requests": _SMALL | {"cpu": "10m"}, "limits": _SMALL | {"cpu": "500m"}},
        "securityContext": _context(user=0),
        "volumeMounts": [_mount("tools", names.TOOLS_FOLDER)],
    }


def _build(tenant: Tenant, request: PodRequest, *, cached: bool) -> dict[str, Any]:
    environment = _supervised(tenant, names.BUILD)
    if cached:
        environment["KANIKO_DRIVER_CACHE_URL"] = f"http://{registry.address(tenant.cache)}/v2/"
    return {
        "name": names.BUILD,
        "image": request.build_image,
        **_pull_policy(request.build_pull_policies),
        "command": programs.first_process(tenant.timeouts.idle.seconds),
        # Not /workspace: Kaniko deletes it between stages, and then no later exec finds its working directory.
        "workingDir": names.BUILDS_FOLDER,
        "env": _environment(environment),
        "resources": _resources(tenant.resources.build),
        "securityContext": _context(user=0, capabilities=BUILD_CAPABILITIES),
        "volumeMounts": [
            *_shared_mounts(),
            # Only the build container sees logins. Never on /kaniko/.docker: Kaniko cannot replace a mount.
            _mount("logins", names.LOGINS_FOLDER),
        ],
    }


def _helper(tenant: Tenant) -> dict[str, Any]:
    return {
        "name": names.HELPER,
        "image": tenant.images.helper,
        "command": programs.first_process(tenant.timeouts.idle.seconds),
        "workingDir": names.BUILDS_FOLDER,
        "env": _environment(_supervised(tenant, names.HELPER)),
        "resources": _resources(tenant.resources.helper),
        "securityContext": _context(user=0, capabilities=("CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL")),
        "volumeMounts": [
            *_shared_mounts(),
            # Not in the build container: Kaniko leaves out of an image what lies on a mount, without a word.
            _mount("cache", names.CACHE_FOLDER),
            _mount("pulse", names.PULSE_FOLDER),
        ],
    }


def _service(tenant: Tenant, pod: str, sidecar: Sidecar) -> dict[str, Any]:
    process = {"command": list(sidecar.entrypoint), "args": list(sidecar.command)}
    if sidecar.entrypoint == ("",):
        # Docker's way to say that the image's entrypoint shall not run; Kubernetes takes it for the name of a program.
        process = {"command": list(sidecar.command)}
    return {
        "name": sidecar.container,
        "image": sidecar.image,
        **_pull_policy(sidecar.pull_policies),
        # A sidecar: it ends when the pod's containers have ended.
        "restartPolicy": "Always",
        **{key: words for key, words in process.items() if words},
        "envFrom": [{"secretRef": {"name": names.service_secret(pod, sidecar.container)}}],
        # The end of its log, so that `prepare` can show why it died without a right to read logs.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": _resources(sidecar.resources or tenant.resources.service),
        # The user is the image's own; databases start as root and become another one.
        "securityContext": _context(user=None, capabilities=BUILD_CAPABILITIES),
        "volumeMounts": [_mount("builds", names.BUILDS_FOLDER)],
    }


def _pull_policy(policies: tuple[str, ...]) -> dict[str, str]:
    return {"imagePullPolicy": policies[0]} if policies else {}


def _host_aliases(services: Services) -> list[dict[str, Any]]:
    return [{"ip": "127.0.0.1", "hostnames": list(services.hosts)}] if services.hosts else []


def _cache_registry(tenant: Tenant, request: PodRequest) -> dict[str, Any]:
    cache, use = tenant.cache, request.cache
    configuration = registry.configuration(
        cache,
        use,
        tenant=tenant.name,
        ca=request.authorities.s3,
        pulse=names.PULSE_FOLDER,
        idle=tenant.timeouts.idle.seconds + programs.PULSE_SECONDS,
    )
    return {
        "name": names.CACHE_REGISTRY,
        "image": tenant.images.cache_registry,
        "command": [registry.COMMAND],
        "env": [
            *_environment({"LAYER_CACHE": configuration}),
            *cachekeys.environment(cache, use, tenant=tenant.name, pod=request.name),
        ],
        "resources": _resources(tenant.resources.cache_registry),
        "securityContext": _context(user=65534) | {"readOnlyRootFilesystem": True, "runAsNonRoot": True},
        "volumeMounts": [
            _mount("spool", registry.SPOOL_FOLDER),
            _mount("pulse", names.PULSE_FOLDER) | {"readOnly": True},
            *cachekeys.mounts(cache),
        ],
    }


def _cache_registry_with_tools(tenant: Tenant, request: PodRequest) -> dict[str, Any]:
    """Let the cache registry's container fill the tools volume first; it alone can write there."""
    container = _cache_registry(tenant, request)
    for variable in container["env"]:
        # The job waits for this container, and a cache without keys must not hold it up.
        if "valueFrom" in variable:
            variable["valueFrom"]["secretKeyRef"]["optional"] = True
    files = kaniko.files(tenant, request.cache, request.authorities)
    return container | {
        "command": programs.install_command(files, then=registry.COMMAND),
        "volumeMounts": [*container["volumeMounts"], _mount("tools", names.TOOLS_FOLDER)],
    }


def _shared_mounts() -> list[dict[str, Any]]:
    return [
        _mount("builds", names.BUILDS_FOLDER),
        _mount("stages", names.STAGES_FOLDER),
        _mount("tools", names.TOOLS_FOLDER) | {"readOnly": True},
    ]


def _mount(volume: str, path: str) -> dict[str, Any]:
    return {"name": volume, "mountPath": path}


def _environment(values: dict[str, str]) -> list[dict[str, Any]]:
    return [{"name": name, "value": value} for name, value in values.items()]


def _context(*, user: int | None, capabilities: tuple[str, ...] = ()) -> dict[str, Any]:
    allowed = {"add": list(capabilities)} if capabilities else {}
    return {
        **({} if user is None else {"runAsUser": user}),
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"], **allowed},
    }


def _resources(resources: Resources) -> dict[str, Any]:
    return {
        "requests": {
            "cpu": resources.cpu_request.text,
            "memory": resources.memory_request.text,
            "ephemeral-storage": resources.ephemeral_storage_request.text,
        },
        "limits": {
            "cpu": resources.cpu_limit.text,
            "memory": resources.memory_limit.text,
            "ephemeral-storage": resources.ephemeral_storage_limit.text,
        },
    }
