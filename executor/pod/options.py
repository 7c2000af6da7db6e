"""What the tenant's `[pod]` settings add to a job pod. Pure: takes a rendered manifest, returns another one.

Only fields that a setting asks for are touched, so that a tenant without `[pod]` gets the pod as `manifest.py` made it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from executor.pod import names

if TYPE_CHECKING:
    from executor.settings.model import Tenant
    from executor.settings.podmodel import (
        ContainerOptions,
        Dns,
        ExtraVolume,
        Mount,
        NodeRequirement,
        Pod,
        PodAffinity,
        Security,
    )

EXTRA_VOLUME = "tenant-"
"""What names of volumes from the settings begin with in the pod, apart from the driver's own."""
_DNS_POLICIES = {"cluster-first": "ClusterFirst", "default": "Default", "none": "None"}


def with_options(manifest: dict[str, Any], tenant: Tenant) -> dict[str, Any]:
    """Return the manifest with the tenant's options."""
    pod, spec, metadata = tenant.pod, manifest["spec"], manifest["metadata"]
    return manifest | {
        "metadata": metadata
        | {
            # The driver's own come last: checks keep the names apart, and so does this.
            "labels": pod.labels | metadata["labels"],
            "annotations": pod.annotations | metadata["annotations"],
        },
        "spec": spec
        | _plain_fields(pod)
        | {
            "terminationGracePeriodSeconds": pod.termination_grace.seconds,
            "securityContext": _pod_security(pod.security),
            "affinity": _affinity(spec["affinity"], tenant),
            "volumes": [*spec["volumes"], *(_volume(volume) for volume in pod.volumes)],
            "containers": [_container(one, pod) for one in spec["containers"]],
        }
        | _only_set(
            initContainers=[_container(one, pod) for one in spec.get("initContainers", ())],
            hostAliases=[
                *spec.get("hostAliases", ()),
                *({"ip": alias.ip, "hostnames": list(alias.hostnames)} for alias in pod.host_aliases),
            ],
        ),
    }


def _only_set(**fields: Any) -> dict[str, Any]:
    """Leave out what is empty."""
    return {name: value for name, value in fields.items() if value}


def _plain_fields(pod: Pod) -> dict[str, Any]:
    fields = _only_set(
        serviceAccountName=pod.service_account,
        runtimeClassName=pod.runtime_class,
        schedulerName=pod.scheduler,
        nodeSelector=pod.node_selector,
        dnsConfig=_dns_config(pod.dns),
    )
    if not pod.host_users:
        fields["hostUsers"] = False
    if pod.dns.policy != "cluster-first":
        fields["dnsPolicy"] = _DNS_POLICIES[pod.dns.policy]
    return fields


def _dns_config(dns: Dns) -> dict[str, Any]:
    return _only_set(
        nameservers=list(dns.nameservers),
        searches=list(dns.searches),
        options=[{"name": name} | _only_set(value=value) for name, value in dns.options.items()],
    )


def _pod_security(security: Security) -> dict[str, Any]:
    fields = _only_set(
        appArmorProfile=_profile(security.apparmor_profile),
        seLinuxOptions=_only_set(type=security.selinux_type),
        supplementalGroups=list(security.supplemental_groups),
        sysctls=[{"name": name, "value": value} for name, value in security.sysctls.items()],
    )
    if security.fs_group is not None:
        fields["fsGroup"] = security.fs_group
    return {"seccompProfile": _profile(security.seccomp_profile), **fields}


def _profile(text: str) -> dict[str, str]:
    kind, _, name = text.partition("/")
    if not kind:
        return {}
    return {"type": "Localhost", "localhostProfile": name} if name else {"type": kind}


# ---------------------------------------------------------------- where it runs


def _affinity(fence: dict[str, Any], tenant: Tenant) -> dict[str, Any]:
    """Add to the required node affinity, never to take from it: terms are alternatives, so all go into the one."""
    pod = tenant.pod
    node = fence["nodeAffinity"]
    required = node["requiredDuringSchedulingIgnoredDuringExecution"]
    (term,) = required["nodeSelectorTerms"]
    narrowed = [*term["matchExpressions"], *(_expression(one) for one in pod.node_requirements)]
    preferred = [
        {"weight": one.weight, "preference": {"matchExpressions": [_expression(match) for match in one.match]}}
        for one in pod.node_preferences
    ]
    return {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": narrowed}]},
            **_only_set(preferredDuringSchedulingIgnoredDuringExecution=preferred),
        },
        **_only_set(
            podAffinity=_pod_affinity([one for one in pod.affinity if one.relation == "together"], tenant.name),
            podAntiAffinity=_pod_affinity([one for one in pod.affinity if one.relation == "apart"], tenant.name),
        ),
    }


def _expression(requirement: NodeRequirement) -> dict[str, Any]:
    return {"key": requirement.key, "operator": requirement.operator} | _only_set(values=list(requirement.values))


def _pod_affinity(relations: list[PodAffinity], tenant: str) -> dict[str, Any]:
    return _only_set(
        requiredDuringSchedulingIgnoredDuringExecution=[
            _affinity_term(one, tenant) for one in relations if one.weight is None
        ],
        preferredDuringSchedulingIgnoredDuringExecution=[
            {"weight": one.weight, "podAffinityTerm": _affinity_term(one, tenant)}
            for one in relations
            if one.weight is not None
        ],
    )


def _affinity_term(relation: PodAffinity, tenant: str) -> dict[str, Any]:
    labels = relation.labels or {names.TENANT_LABEL: tenant}
    return {"topologyKey": relation.topology_key, "labelSelector": {"matchLabels": labels}}


# ---------------------------------------------------------------- volumes and containers


def _volume(volume: ExtraVolume) -> dict[str, Any]:
    items = _only_set(items=[{"key": key, "path": path} for key, path in volume.items.items()])
    return {"name": EXTRA_VOLUME + volume.name} | _only_set(
        secret=volume.secret and {"secretName": volume.secret} | items,
        configMap=volume.config_map and {"name": volume.config_map} | items,
        persistentVolumeClaim=volume.claim and {"claimName": volume.claim},
        emptyDir=volume.empty_dir
        and {"sizeLimit": volume.empty_dir.size.text} | _only_set(medium=volume.empty_dir.medium),
        csi=volume.csi
        and {"driver": volume.csi.driver}
        | _only_set(
            fsType=volume.csi.fs_type,
            volumeAttributes=volume.csi.attributes,
            nodePublishSecretRef=_only_set(name=volume.csi.secret),
            readOnly=all(mount.read_only for mount in volume.mounts),
        ),
    )


def _container(container: dict[str, Any], pod: Pod) -> dict[str, Any]:
    role = role_of(container["name"])
    if role is None:
        return container
    options: ContainerOptions = getattr(pod, role)
    mounts = [
        _mount(volume.name, mount) for volume in pod.volumes for mount in volume.mounts if role in mount.containers
    ]
    lifecycle = _only_set(postStart=_hook(options.post_start), preStop=_hook(options.pre_stop))
    return (
        container
        | {
            "securityContext": _security(container["securityContext"], options),
            "volumeMounts": [*container["volumeMounts"], *mounts],
        }
        | _only_set(lifecycle=lifecycle)
    )


def role_of(container: str) -> str | None:
    """Return which of `[pod.build]`, `[pod.helper]`, `[pod.service]` is about a container; None: none of them."""
    if container in {names.BUILD, names.HELPER}:
        return container
    return None if container in {names.TOOLS, names.CACHE_REGISTRY} else "service"


def _mount(volume: str, mount: Mount) -> dict[str, Any]:
    return {"name": EXTRA_VOLUME + volume, "mountPath": mount.path} | _only_set(
        subPath=mount.sub_path, readOnly=mount.read_only
    )


def _hook(command: tuple[str, ...]) -> dict[str, Any]:
    # The kubelet expands variables in a container's own command only, so dollar signs are safe here.
    return {"exec": {"command": list(command)}} if command else {}


def _security(context: dict[str, Any], options: ContainerOptions) -> dict[str, Any]:
    added = (set(context["capabilities"].get("add", ())) | set(options.add_capabilities)) - set(
        options.drop_capabilities
    )
    return context | {
        "allowPrivilegeEscalation": options.allow_privilege_escalation,
        "capabilities": {"drop": context["capabilities"]["drop"], **_only_set(add=sorted(added))},
    }
