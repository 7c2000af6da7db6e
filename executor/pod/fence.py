"""What no patch may do to a job pod: leave the tenant's nodes, reach the host, or reach the driver's own secrets.

Pure. The patched pod is compared with the pod before it, and what is not known to be harmless is refused: a field
that a later Kubernetes adds stays closed until somebody has looked at it. The cluster's own policies are the second
fence; this one says in words, and before any job, what the operator got wrong.
Source: Pod Security Standard "baseline", and docs/design.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from executor.errors import SettingsInvalid
from executor.pod import baseline
from executor.pod.options import EXTRA_VOLUME, role_of
from executor.pod.patch import patched
from executor.settings import checks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from executor.settings.model import Tenant

_FREE = frozenset(
    {
        "dnsConfig",
        "dnsPolicy",
        "hostAliases",
        "hostname",
        "imagePullSecrets",
        "nodeSelector",
        "overhead",
        "preemptionPolicy",
        "priorityClassName",
        "resourceClaims",
        "resources",
        "runtimeClassName",
        "schedulerName",
        "setHostnameAsFQDN",
        "subdomain",
        "tolerations",
        "topologySpreadConstraints",
    }
)
"""Fields of a pod that a patch may change as it likes."""
_LOOKED_AT = frozenset({"affinity", "containers", "hostUsers", "initContainers", "securityContext", "volumes"})
_REASONS = {
    "activeDeadlineSeconds": "the job's own time-out decides it",
    "automountServiceAccountToken": "no build may have a service account token",
    "hostIPC": "it would share the node with the build",
    "hostNetwork": "it would share the node with the build",
    "hostPID": "it would share the node with the build",
    "nodeName": "it would go around the tenant's nodes and the scheduler",
    "restartPolicy": "a script must never run a second time",
    "serviceAccountName": "pod.service_account is the setting for it",
    "serviceAccount": "pod.service_account is the setting for it",
    "shareProcessNamespace": "a build could read the keys of the layer cache",
    "terminationGracePeriodSeconds": "pod.termination_grace is the setting for it",
}
_VOLUMES = frozenset(
    {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
)
"""Not nfs and its like: the node mounts them, and no network policy of the tenant holds for the node."""
_PROJECTED = frozenset({"configMap", "downwardAPI", "secret"})
"""What a projected volume may be made of; never a token."""
_OURS_MAY = frozenset({"imagePullPolicy", "resizePolicy", "resources"})
"""Fields of the driver's own containers (tools, cache registry) that a patch may change."""
_BUILDS_MAY = _OURS_MAY | {
    "env",
    "lifecycle",
    "securityContext",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "volumeMounts",
}
"""The same of build, helper and services."""
_OTHERS_MAY = _BUILDS_MAY | {
    "args",
    "command",
    "envFrom",
    "image",
    "livenessProbe",
    "name",
    "ports",
    "readinessProbe",
    "restartPolicy",
    "startupProbe",
    "workingDir",
}
"""Fields of containers that the patch itself adds."""
_RESERVED_VARIABLES = ("KANIKO_DRIVER_", "AWS_", "LD_", "PATH")
_HANDLER_HOSTS = ("httpGet", "tcpSocket")


def with_patch(manifest: dict[str, Any], tenant: Tenant) -> dict[str, Any]:
    """Return the manifest with the tenant's `pod.patch` laid over its spec.

    Raises:
        SettingsInvalid: the patch does not fit, or would open the fence; every breach is listed.
    """
    spec = patched(manifest["spec"], tenant.pod.patch)
    if found := breaches(manifest["spec"], spec, tenant):
        raise SettingsInvalid(
            "The tenant's pod.patch would open the fence around its job pods.",
            why="\n".join(f"pod.patch: {breach}." for breach in found),
            remedy="The operator must correct [pod.patch]; `kaniko-driver validate` checks it.",
        )
    return manifest | {"spec": spec}


def breaches(before: dict[str, Any], after: dict[str, Any], tenant: Tenant) -> list[str]:
    """Return what a patch opened, one sentence each; empty when the fence stands.

    Args:
        before: the pod's spec without the patch.
        after: the same with it.
        tenant: whose pod it is.
    """
    return [
        *_fields(before, after),
        *_nodes(before, after),
        *baseline.of_pod(after.get("securityContext", {})),
        *_volumes(before, after, tenant),
        *_containers(before, after, tenant),
    ]


def _fields(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    for name in sorted(before.keys() | after.keys()):
        if name in _FREE or name in _LOOKED_AT or before.get(name) == after.get(name):
            continue
        yield f"{name} may not be changed: {_REASONS.get(name, 'it is not among the fields known to be harmless')}"
    if before.get("hostUsers") is False and after.get("hostUsers") is not False:
        yield "hostUsers may not be opened: pod.host_users is the setting for it"


def _nodes(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    affinity = after.get("affinity") or {}
    fence = before["affinity"]["nodeAffinity"][required]
    if (affinity.get("nodeAffinity") or {}).get(required) != fence:
        yield "the required node affinity may not be changed: [nodes] and pod.node_requirements are the settings for it"
    for key in sorted(affinity.keys() - {"nodeAffinity", "podAffinity", "podAntiAffinity"}):
        yield f"affinity.{key} is not known to be harmless"
    for kind in ("podAffinity", "podAntiAffinity"):
        if _keys(affinity.get(kind)) & {"namespaces", "namespaceSelector"}:
            yield f"affinity.{kind} may not look into other namespaces"
    selector = after.get("nodeSelector") or {}
    for key, values in _required_labels(before).items():
        if key in selector and selector[key] not in values:
            yield f"nodeSelector {key}={selector[key]} is none of the tenant's nodes"


def _keys(value: Any) -> set[str]:
    """Return the keys of all tables in a value."""
    if isinstance(value, dict):
        return set(value).union(*(_keys(item) for item in value.values()))
    return set().union(*(_keys(item) for item in value)) if isinstance(value, list) else set()


def _required_labels(spec: dict[str, Any]) -> dict[str, list[str]]:
    (term,) = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    return {one["key"]: one["values"] for one in term["matchExpressions"] if one["operator"] == "In"}


# ---------------------------------------------------------------- volumes


def _volumes(before: dict[str, Any], after: dict[str, Any], tenant: Tenant) -> Iterator[str]:
    ours, found = _by_name(before["volumes"]), _by_name(after.get("volumes") or ())
    for name in ours:
        if ours[name] != found.get(name):
            yield f"volume {name} is not the patch's own and may not be changed; [volumes] and pod.volumes are settings"
    for name in sorted(found.keys() - ours.keys()):
        yield from _volume(f"volume {name}", found[name], tenant)


def _volume(where: str, volume: dict[str, Any], tenant: Tenant) -> Iterator[str]:
    for kind in sorted(volume.keys() - {"name"} - _VOLUMES):
        yield f"{where}: {kind} is not allowed"
    if "emptyDir" in volume and not (volume["emptyDir"] or {}).get("sizeLimit"):
        yield f"{where}: an emptyDir needs a sizeLimit"
    sources = (volume.get("projected") or {}).get("sources") or ()
    for source in sources:
        for kind in sorted(source.keys() - _PROJECTED):
            yield f"{where}: projected {kind} is not allowed"
    references = (
        *((source.get("secret") or {}).get("name") for source in sources),
        (volume.get("secret") or {}).get("secretName"),
        ((volume.get("csi") or {}).get("nodePublishSecretRef") or {}).get("name"),
    )
    yield from _secrets(where, references, tenant)


def _secrets(where: str, names_of_secrets: Any, tenant: Tenant) -> Iterator[str]:
    for secret in names_of_secrets:
        if secret and (reason := checks.reserved_secret(tenant, str(secret))):
            yield f"{where}: {reason}"


# ---------------------------------------------------------------- containers


def _containers(before: dict[str, Any], after: dict[str, Any], tenant: Tenant) -> Iterator[str]:
    drivers = frozenset(one["name"] for one in before["volumes"] if not one["name"].startswith(EXTRA_VOLUME))
    for kind in ("containers", "initContainers"):
        ours, found = _by_name(before.get(kind) or ()), _by_name(after.get(kind) or ())
        for name in ours:
            if name in found:
                yield from _our_container(f"container {name}", ours[name], found[name], tenant)
                yield from _our_mounts(f"container {name}", ours[name], found[name], drivers)
            else:
                yield f"container {name} may not be removed"
        others = found.keys() - ours.keys()
        for name in sorted(others):
            yield from _other_container(f"container {name}", found[name], drivers, tenant)


def _our_container(where: str, before: dict[str, Any], after: dict[str, Any], tenant: Tenant) -> Iterator[str]:
    may = _OURS_MAY if role_of(before["name"]) is None else _BUILDS_MAY
    for key in sorted(before.keys() | after.keys()):
        if key not in may and before.get(key) != after.get(key):
            yield f"{where}.{key} may not be changed"
    yield from _bounds(where, after)
    yield from baseline.of_container(where, after.get("securityContext") or {})
    if (after.get("securityContext") or {}).get("runAsUser") != before["securityContext"].get("runAsUser"):
        yield f"{where}.securityContext.runAsUser may not be changed: Kaniko and its cache keys depend on it"
    yield from _handlers(where, after)
    yield from _our_variables(where, before, after, tenant)


def _our_variables(where: str, before: dict[str, Any], after: dict[str, Any], tenant: Tenant) -> Iterator[str]:
    ours, found = _by_name(before.get("env") or ()), _by_name(after.get("env") or ())
    for name in ours:
        if found.get(name) != ours[name]:
            yield f"{where}.env.{name} is the driver's own and may not be changed"
    yield from _variables(where, [variable for name, variable in found.items() if name not in ours], tenant)


def _our_mounts(where: str, before: dict[str, Any], after: dict[str, Any], drivers: frozenset[str]) -> Iterator[str]:
    ours, found = before.get("volumeMounts") or (), after.get("volumeMounts") or ()
    for mount in ours:
        if mount not in found:
            yield f"{where}.volumeMounts {mount['mountPath']} may not be changed"
    for mount in (one for one in found if one not in ours):
        if reason := checks.reserved_path(str(mount.get("mountPath"))):
            yield f"{where}.volumeMounts {reason}"
        if mount.get("name") in drivers:
            yield f"{where}.volumeMounts: volume {mount['name']} is the driver's own"


def _other_container(where: str, container: dict[str, Any], drivers: frozenset[str], tenant: Tenant) -> Iterator[str]:
    yield from (f"{where}.{key} is not allowed" for key in sorted(container.keys() - _OTHERS_MAY))
    yield from _bounds(where, container)
    yield from baseline.of_container(where, container.get("securityContext") or {})
    yield from _handlers(where, container)
    yield from _variables(where, container.get("env") or (), tenant)
    yield from _secrets(
        where, [(one.get("secretRef") or {}).get("name") for one in container.get("envFrom") or ()], tenant
    )
    for mount in container.get("volumeMounts") or ():
        if mount.get("name") in drivers:
            yield f"{where}.volumeMounts: volume {mount['name']} is the driver's own"
    for port in container.get("ports") or ():
        if port.get("hostPort") or port.get("hostIP"):
            yield f"{where}.ports may not be on the host"


def _bounds(where: str, container: dict[str, Any]) -> Iterator[str]:
    resources = container.get("resources") or {}
    for kind in ("requests", "limits"):
        for what in ("cpu", "memory", "ephemeral-storage"):
            if what not in (resources.get(kind) or {}):
                yield f"{where}.resources.{kind} needs {what}: the tenant's quota counts it"


def _variables(where: str, variables: Any, tenant: Tenant) -> Iterator[str]:
    for variable in variables:
        name = str(variable.get("name"))
        if name.startswith(_RESERVED_VARIABLES):
            yield f"{where}.env.{name} is reserved"
        source = ((variable.get("valueFrom") or {}).get("secretKeyRef") or {}).get("name")
        yield from _secrets(f"{where}.env.{name}", [source], tenant)


def _handlers(where: str, container: dict[str, Any]) -> Iterator[str]:
    """Probes and hooks are carried out by the kubelet, in the node's network."""
    handlers = {key: container.get(key) or {} for key in ("livenessProbe", "readinessProbe", "startupProbe")}
    handlers |= {f"lifecycle.{key}": value or {} for key, value in (container.get("lifecycle") or {}).items()}
    for key, handler in handlers.items():
        if any((handler.get(kind) or {}).get("host") for kind in _HANDLER_HOSTS):
            yield f"{where}.{key} may not name a host: the node itself would call it"


def _by_name(objects: Any) -> dict[str, dict[str, Any]]:
    return {str(one.get("name")): one for one in objects}
