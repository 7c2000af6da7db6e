"""Warm pods: job pods that wait, started, for a job to claim them. Pure.

A ReplicaSet of the tenant keeps them, so their restart policy is Always, and nothing in them may end by itself. One is
claimed by a change of its labels alone: what a job needs beyond that, it cannot get from a warm pod. Whether a job's
pod could have been a waiting one is found by turning it into one: both must be the same to the last field.
"""

from __future__ import annotations

import copy
import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from executor.cache import use
from executor.pod import names
from executor.pod.manifest import PodRequest, render
from executor.settings.units import Bytes, Cpu

if TYPE_CHECKING:
    from executor.settings.files import Authorities
    from executor.settings.model import Tenant

_OF_THE_JOB = (names.JOB_LABEL, names.ATTEMPT_LABEL, names.PROJECT_LABEL)
_OF_A_RUNNING_JOB = (
    names.DEADLINE_ANNOTATION,
    "cluster-autoscaler.kubernetes.io/safe-to-evict",
    "karpenter.sh/do-not-disrupt",
)
"""A pod that waits may be moved to another node at any time."""
_FINGERPRINT_DIGITS = 16
_SMALL = {"cpu": "10m", "memory": "32Mi"}
"""What a container that waits requests: four of them take 25 MB together."""


def usual(tenant: Tenant, trusted: Authorities) -> dict[str, Any]:
    """Return the pod of a job that asks for nothing special, without the job.

    Where protected refs have a layer cache of their own it is one of theirs. `trusted` are its authorities.
    """
    request = PodRequest(
        name="",
        attempt="",
        job_id=0,
        project_id=0,
        annotations={},
        build_image=tenant.images.kaniko,
        cache=use.of_protected_ref(tenant.cache, tenant.name),
        authorities=trusted,
        deadline=1,
        delete_after=1,
    )
    return render(tenant, request)


def template(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return the pod template from which a pod would wait that serves such a job."""
    spec = copy.deepcopy(manifest["spec"])
    spec.pop("activeDeadlineSeconds")
    spec["restartPolicy"] = "Always"
    # The programs are there once for all: under this policy an ordinary container that ends is started again.
    tools = [container for container in spec["containers"] if container["name"] == names.TOOLS]
    if tools:
        spec["containers"] = [container for container in spec["containers"] if container["name"] != names.TOOLS]
        spec["initContainers"] = [*tools, *spec.get("initContainers", ())]
    for container in spec["containers"]:
        if container["name"] in {names.BUILD, names.HELPER}:
            container["env"].append({"name": "KANIKO_DRIVER_WARM", "value": "yes"})
    metadata = manifest["metadata"]
    labels = {key: value for key, value in metadata["labels"].items() if key not in _OF_THE_JOB}
    annotations = {key: value for key, value in metadata["annotations"].items() if key not in _OF_A_RUNNING_JOB}
    labels[names.WARM_LABEL] = fingerprint(spec)
    return {"metadata": {"labels": labels, "annotations": annotations}, "spec": spec}


def fingerprint(spec: dict[str, Any]) -> str:
    """Name what a waiting pod can do; only a job whose pod has the same name may claim it."""
    return sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:_FINGERPRINT_DIGITS]


def fingerprint_of(pod_template: dict[str, Any]) -> str:
    """Return the fingerprint that a template carries."""
    text: str = pod_template["metadata"]["labels"][names.WARM_LABEL]
    return text


def differences(wanted: dict[str, Any], waiting: dict[str, Any]) -> list[str]:
    """Say in which fields a job's template differs from that of the waiting pods, for people."""
    own, others = _containers(wanted["spec"]), _containers(waiting["spec"])
    found = [
        f"{key} of {name}"
        for name in own.keys() & others.keys()
        for key in own[name].keys() | others[name].keys()
        if own[name].get(key) != others[name].get(key)
    ]
    found += [f"the container {name}" for name in own.keys() ^ others.keys()]
    rest = (wanted["spec"].keys() | waiting["spec"].keys()) - {"containers", "initContainers"}
    found += [key for key in rest if wanted["spec"].get(key) != waiting["spec"].get(key)]
    return sorted(found)


def _containers(spec: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {container["name"]: container for container in (*spec.get("initContainers", ()), *spec["containers"])}


def shrunk(pod_template: dict[str, Any]) -> dict[str, Any]:
    """Return the template with small requests, for pods that grow when they are claimed.

    Its fingerprint stays: it names what the pods can do. So does a template whose class of service the cluster would
    see changed by it, which no resize may do: one that requests all that it may use.
    """
    spec = copy.deepcopy(pod_template["spec"])
    amounts = [one["resources"] for one in (*spec.get("initContainers", ()), *spec["containers"])]
    if all(one["requests"][name] == one["limits"][name] for one in amounts for name in _SMALL):
        return pod_template
    for container in spec["containers"]:
        requests = container["resources"]["requests"]
        requests["cpu"] = min(requests["cpu"], _SMALL["cpu"], key=lambda text: Cpu.parse(text).cores)
        requests["memory"] = min(requests["memory"], _SMALL["memory"], key=lambda text: Bytes.parse(text).count)
    return pod_template | {"spec": spec}


def replica_set(tenant: Tenant, pod_template: dict[str, Any]) -> dict[str, Any]:
    """Return the spec of the ReplicaSet that keeps the tenant's warm pods."""
    selector = {key: pod_template["metadata"]["labels"][key] for key in (names.TENANT_LABEL, names.WARM_LABEL)}
    return {
        "replicas": tenant.capacity.warm_pods,
        "selector": {"matchLabels": selector},
        "template": pod_template,
    }
