"""A patch may change much of a pod, and nothing that keeps tenants, hosts and keys apart."""

from __future__ import annotations

from typing import Any

import pytest

from executor.errors import SettingsInvalid
from executor.pod.manifest import render
from tests.support.tenants import CACHE, POD_REQUEST, tenant

AMOUNTS = {"cpu": "1", "memory": "1Gi", "ephemeral-storage": "1Gi"}
SIDECAR = {
    "name": "proxy",
    "image": "registry.example.com/proxy:1",
    "resources": {"requests": AMOUNTS, "limits": AMOUNTS},
    "securityContext": {"capabilities": {"drop": ["ALL"]}},
}
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def spec(patch: dict[str, Any], **pod: Any) -> dict[str, Any]:
    found: dict[str, Any] = render(tenant(cache=CACHE, pod={"patch": patch, **pod}), POD_REQUEST)["spec"]
    return found


def build(**fields: Any) -> dict[str, Any]:
    return {"containers": [{"name": "build", **fields}]}


def sidecar(**fields: Any) -> dict[str, Any]:
    return {"initContainers": [SIDECAR | fields]}


def volume(**fields: Any) -> dict[str, Any]:
    return {"volumes": [{"name": "x", **fields}]}


HARMLESS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "resources of the tools": {"containers": [{"name": "tools", "resources": {"limits": {"cpu": "1"}}}]},
    "a variable": build(env=[{"name": "GOFLAGS", "value": "-v"}]),
    "a variable from a Secret": build(
        env=[{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "npm", "key": "token"}}}]
    ),
    "a mount": volume(configMap={"name": "x"}) | build(volumeMounts=[{"name": "x", "mountPath": "/etc/x"}]),
    "a projected volume": volume(projected={"sources": [{"configMap": {"name": "x"}}]}),
    "spreading": {"topologySpreadConstraints": [{"topologyKey": "zone", "maxSkew": 1}]},
    "a preference": {
        "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1}]}}
    },
    "a sidecar": sidecar(restartPolicy="Always"),
    "more capabilities": build(securityContext={"capabilities": {"add": ["MKNOD"]}}),
    "tolerations": {"tolerations": [{"key": "spot", "operator": "Exists"}]},
    "a label of the tenant's own nodes": {"nodeSelector": {"tenant": "a", "size": "l"}},
    "a user namespace": {"hostUsers": False},
}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_harmless_is_done(name: str) -> None:
    changed = spec(HARMLESS[name])
    assert (changed != spec({})) == (name != "nothing")


OPENING: dict[str, tuple[dict[str, Any], str]] = {
    "the host's network": ({"hostNetwork": True}, "hostNetwork may not be changed"),
    "the host's processes": ({"hostPID": True}, "hostPID may not be changed"),
    "the host's IPC": ({"hostIPC": True}, "hostIPC may not be changed"),
    "one process namespace": ({"shareProcessNamespace": True}, "could read the keys of the layer cache"),
    "a named node": ({"nodeName": "node-b"}, "nodeName may not be changed"),
    "a token": ({"automountServiceAccountToken": True}, "automountServiceAccountToken may not be changed"),
    "a token by leaving it to the account": (
        {"automountServiceAccountToken": {"$patch": "delete"}},
        "automountServiceAccountToken may not be changed",
    ),
    "another account": ({"serviceAccountName": "admin"}, "pod.service_account is the setting"),
    "another account by the old name": ({"serviceAccount": "admin"}, "pod.service_account is the setting"),
    "a second run": ({"restartPolicy": "Always"}, "restartPolicy may not be changed"),
    "no deadline": ({"activeDeadlineSeconds": 10**6}, "activeDeadlineSeconds may not be changed"),
    "debug containers": ({"ephemeralContainers": []}, "ephemeralContainers may not be changed"),
    "a field nobody knows": ({"futureField": True}, "not among the fields known to be harmless"),
    "any node": ({"affinity": {"$patch": "delete"}}, "required node affinity may not be changed"),
    "any node by replacing": (
        {"affinity": {"$patch": "replace", "podAffinity": {}}},
        "required node affinity may not be changed",
    ),
    "other nodes": (
        {"affinity": {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [{"matchExpressions": [{"key": "tenant"}]}]}}}},
        "required node affinity may not be changed",
    ),
    "a selector of other nodes": ({"nodeSelector": {"tenant": "b"}}, "none of the tenant's nodes"),
    "other namespaces": (
        {"affinity": {"podAffinity": {REQUIRED: [{"topologyKey": "x", "namespaceSelector": {}}]}}},
        "other namespaces",
    ),
    "a host path": (volume(hostPath={"path": "/"}), "hostPath is not allowed"),
    "the node's network": (volume(nfs={"server": "10.0.0.1", "path": "/"}), "nfs is not allowed"),
    "a token by projection": (
        volume(projected={"sources": [{"serviceAccountToken": {"path": "token"}}]}),
        "projected serviceAccountToken is not allowed",
    ),
    "the keys of the cache": (volume(secret={"secretName": "layer-cache-s3"}), "keys of the layer cache"),
    "the keys of the cache by projection": (
        volume(projected={"sources": [{"secret": {"name": "layer-cache-s3"}}]}),
        "keys of the layer cache",
    ),
    "the keys of the cache by a driver": (
        volume(csi={"driver": "d", "nodePublishSecretRef": {"name": "layer-cache-s3"}}),
        "keys of the layer cache",
    ),
    "the keys of the cache as a variable": (
        build(env=[{"name": "K", "valueFrom": {"secretKeyRef": {"name": "layer-cache-s3", "key": "k"}}}]),
        "keys of the layer cache",
    ),
    "the keys of the cache in a sidecar": (
        sidecar(envFrom=[{"secretRef": {"name": "layer-cache-s3"}}]),
        "keys of the layer cache",
    ),
    "all variables of a Secret": (build(envFrom=[{"secretRef": {"name": "npm"}}]), "envFrom may not be changed"),
    "the driver's own Secret": (volume(secret={"secretName": "kaniko-driver-token"}), "belongs to the driver"),
    "unbounded disk": (volume(emptyDir={}), "needs a sizeLimit"),
    "a volume of ours": ({"volumes": [{"name": "logins", "$patch": "delete"}]}, "volume logins is not the patch's own"),
    "another command": (build(command=["sh"]), "container build.command may not be changed"),
    "another image": (build(image="evil"), "container build.image may not be changed"),
    "another folder": (build(workingDir="/"), "container build.workingDir may not be changed"),
    "our variables": (
        build(env=[{"name": "KANIKO_DRIVER_CONTAINER", "value": "x"}]),
        "KANIKO_DRIVER_CONTAINER is the driver's own",
    ),
    "variables like ours": (build(env=[{"name": "KANIKO_DRIVER_X", "value": "x"}]), "KANIKO_DRIVER_X is reserved"),
    "the loader": (build(env=[{"name": "LD_PRELOAD", "value": "x"}]), "LD_PRELOAD is reserved"),
    "the cache registry's variables": (
        {"containers": [{"name": "cache-registry", "env": [{"name": "X", "value": "x"}]}]},
        "container cache-registry.env may not be changed",
    ),
    "a container less": ({"containers": [{"name": "helper", "$patch": "delete"}]}, "helper may not be removed"),
    "all containers": ({"containers": [{"$patch": "replace"}, SIDECAR]}, "container build may not be removed"),
    "privileges": (build(securityContext={"privileged": True}), "securityContext.privileged is not allowed"),
    "privileges of a sidecar": (
        sidecar(securityContext={"privileged": True, "capabilities": {"drop": ["ALL"]}}),
        "container proxy.securityContext.privileged is not allowed",
    ),
    "a capability": (build(securityContext={"capabilities": {"add": ["SYS_ADMIN"]}}), "SYS_ADMIN is beyond"),
    "all capabilities": (
        build(securityContext={"capabilities": {"$patch": "delete"}}),
        "capabilities must drop ALL",
    ),
    "another user": (build(securityContext={"runAsUser": 1000}), "runAsUser may not be changed"),
    "no seccomp": (build(securityContext={"seccompProfile": {"type": "Unconfined"}}), "may not be unconfined"),
    "no seccomp of the pod": ({"securityContext": {"$patch": "delete"}}, "seccompProfile may not be removed"),
    "proc unmasked": (build(securityContext={"procMount": "Unmasked"}), "procMount is not allowed"),
    "an unsafe sysctl": ({"securityContext": {"sysctls": [{"name": "kernel.msgmax"}]}}, "kernel.msgmax is not safe"),
    "a host process": ({"securityContext": {"windowsOptions": {}}}, "windowsOptions is not allowed"),
    "SELinux off": (build(securityContext={"seLinuxOptions": {"type": "spc_t"}}), "seLinuxOptions is beyond"),
    "no limits": (
        build(resources={"limits": {"$patch": "replace", "cpu": "1"}}),
        "container build.resources.limits needs memory",
    ),
    "a sidecar without bounds": (sidecar(resources={}), "container proxy.resources.requests needs cpu"),
    "a mount over the driver": (
        volume(configMap={"name": "x"}) | build(volumeMounts=[{"name": "x", "mountPath": "/driver/tools/x"}]),
        "/driver is taken",
    ),
    "a mount over Kaniko": (
        volume(configMap={"name": "x"}) | build(volumeMounts=[{"name": "x", "mountPath": "/kaniko/.docker"}]),
        "/kaniko is taken",
    ),
    "a mount around a check": (
        volume(configMap={"name": "x"}) | build(volumeMounts=[{"name": "x", "mountPath": "/x/../driver"}]),
        "must be written without",
    ),
    "logins in the helper": (
        {"containers": [{"name": "helper", "volumeMounts": [{"name": "logins", "mountPath": "/x"}]}]},
        "volume logins is the driver's own",
    ),
    "logins in a sidecar": (
        sidecar(volumeMounts=[{"name": "logins", "mountPath": "/x"}]),
        "volume logins is the driver's own",
    ),
    "tools made writable": (
        build(volumeMounts=[{"name": "tools", "mountPath": "/driver/tools", "readOnly": False}]),
        "volumeMounts /driver/tools may not be changed",
    ),
    "a port of the host": (sidecar(ports=[{"containerPort": 80, "hostPort": 80}]), "may not be on the host"),
    "a call by the node": (
        build(lifecycle={"preStop": {"httpGet": {"host": "169.254.169.254", "port": 80}}}),
        "the node itself would call it",
    ),
    "a probe by the node": (
        sidecar(livenessProbe={"tcpSocket": {"host": "10.0.0.1", "port": 80}}),
        "the node itself would call it",
    ),
    "a device": (build(volumeDevices=[{"name": "x", "devicePath": "/dev/x"}]), "volumeDevices may not be changed"),
}


@pytest.mark.parametrize("name", OPENING)
def test_what_would_open_the_fence_is_refused_with_words(name: str) -> None:
    patch, words = OPENING[name]
    with pytest.raises(SettingsInvalid) as refused:
        spec(patch)
    assert words in refused.value.why
    assert refused.value.remedy


def test_a_user_namespace_of_the_settings_stays() -> None:
    with pytest.raises(SettingsInvalid, match=r"pod\.host_users"):
        spec({"hostUsers": True}, host_users=False)


def test_every_breach_is_told_at_once() -> None:
    with pytest.raises(SettingsInvalid) as refused:
        spec({"hostNetwork": True, "hostPID": True})
    assert len(refused.value.why.splitlines()) == 2
