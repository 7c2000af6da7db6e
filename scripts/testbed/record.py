"""Records pods and refusals as the real API server returns them, for the tests of `executor/diagnosis`.

`scripts/bed up`, then `.venv/bin/python -m testbed.record tests/unit/diagnosis/data/pods` with PYTHONPATH=scripts. Each
file is `{"pod": …, "events": […]}`, or `{"refusal": {"status", "message"}}`; fields that change with every run and tell
nothing are left out.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed import api, layout
from testbed.errors import BedError
from testbed.wait import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    Json = dict[str, Any]

NAMESPACE = "recorded"
PATIENCE = 120.0
HOG = "x=$(head -c 200000000 /dev/zero | tr '\\0' a); echo ${#x}"


def pod(name: str, command: str = "sleep 600", **changes: Any) -> Json:
    """A pod with one container, named as the driver names that of a build."""
    container = {
        "name": "build",
        "image": changes.pop("image", layout.TOOLS_IMAGE),
        "command": ["sh", "-c", command],
        "resources": changes.pop("resources", {"requests": {"cpu": "50m"}, "limits": {"memory": "64Mi"}}),
        **changes.pop("container", {}),
    }
    spec = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [container], **changes}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec}


def mounted(volume: Json, path: str) -> Json:
    """What a pod with one more volume has."""
    return {"volumes": [volume], "container": {"volumeMounts": [{"name": volume["name"], "mountPath": path}]}}


def scheduled(found: Json) -> bool:
    """Whether the scheduler has said no."""
    return any(one.get("reason") == "Unschedulable" for one in found["status"].get("conditions", ()))


def waiting(reason: str) -> Callable[[Json], bool]:
    """Whether the container waits for this reason."""
    return lambda found: any(
        one["state"].get("waiting", {}).get("reason") == reason for one in found["status"].get("containerStatuses", ())
    )


def failed(found: Json) -> bool:
    """Whether the pod is over."""
    return found["status"]["phase"] in {"Failed", "Succeeded"}


def running(found: Json) -> bool:
    """Whether its container runs."""
    return bool(found["status"]["phase"] == "Running")


STORIES: dict[str, tuple[Json, Callable[[Json], bool]]] = {
    "no-matching-node": (pod("p", nodeSelector={"tenant": "nobody"}), scheduled),
    "too-large": (
        pod("p", nodeSelector={"tenant": "a"}, resources={"requests": {"cpu": "100", "memory": "1Ti"}}),
        scheduled,
    ),
    "too-large-storage": (pod("p", resources={"requests": {"ephemeral-storage": "100Ti"}}), scheduled),
    "image-not-found": (pod("p", image=f"{layout.REGISTRY}/library/nothing:1"), waiting("ErrImagePull")),
    "image-back-off": (pod("p", image=f"{layout.REGISTRY}/library/nothing:2"), waiting("ImagePullBackOff")),
    "image-unreachable": (pod("p", image=f"{layout.HOST_ADDRESS}:5/library/busybox:1"), waiting("ErrImagePull")),
    "image-dns": (pod("p", image="registry.invalid/library/busybox:1"), waiting("ErrImagePull")),
    "image-tls": (
        pod("p", image=f"{layout.HOST_ADDRESS}:{layout.API_PORT}/library/busybox:1"),
        waiting("ErrImagePull"),
    ),
    "image-invalid-name": (pod("p", image="Not/An:Image!"), waiting("InvalidImageName")),
    "image-never": (
        pod("p", image="example.com/never:1", container={"imagePullPolicy": "Never"}),
        waiting("ErrImageNeverPull"),
    ),
    "secret-missing": (
        pod("p", container={"envFrom": [{"secretRef": {"name": "nothing"}}]}),
        waiting("CreateContainerConfigError"),
    ),
    "command-missing": (pod("p", container={"command": ["/nothing"]}), failed),
    "out-of-memory": (pod("p", HOG), failed),
    "out-of-memory-succeeded": (pod("p", f"sh -c '{HOG}' || true; sleep 1; exit 0"), failed),
    "disk-limit-volume": (
        pod(
            "p",
            "dd if=/dev/zero of=/builds/x bs=1M count=60; sleep 600",
            **mounted({"name": "builds", "emptyDir": {"sizeLimit": "20Mi"}}, "/builds"),
        ),
        failed,
    ),
    "disk-limit-container": (
        pod(
            "p", "dd if=/dev/zero of=/x bs=1M count=60; sleep 600", resources={"limits": {"ephemeral-storage": "20Mi"}}
        ),
        failed,
    ),
    "deadline": (pod("p", activeDeadlineSeconds=3), failed),
    "ended": (pod("p", "exit 7"), failed),
    "killed": (pod("p", "kill -9 $$; sleep 1; kill -9 1; exit 137"), failed),
}
BY_EVENTS: dict[str, tuple[Json, str]] = {
    "volume-secret-missing": (
        pod("p", **mounted({"name": "v", "secret": {"secretName": "nothing"}}, "/v")),
        "FailedMount",
    ),
    "volume-host-path": (
        pod("p", **mounted({"name": "v", "hostPath": {"path": "/nothing", "type": "Directory"}}, "/v")),
        "FailedMount",
    ),
    "sandbox-failed": (pod("p", runtimeClassName="broken"), "FailedCreatePodSandBox"),
}


def events() -> list[Json]:
    """The namespace's events of the pod, without what changes with every run."""
    kept = ("type", "reason", "message", "count", "reportingComponent")
    found = [one for one in api.items("Event", NAMESPACE) if one["involvedObject"]["name"] == "p"]
    return [{name: one[name] for name in kept if one.get(name)} for one in found]


def told(reason: str) -> Callable[[Json], bool]:
    """Whether an event with this reason is there."""
    return lambda _: any(one["reason"] == reason for one in events())


def delete() -> None:
    """End the pod and its events."""
    with suppress(api.ApiError):
        api.request("DELETE", f"{api.path_of('Pod', 'p', NAMESPACE)}?gracePeriodSeconds=0")
    wait_for("the end of the pod", lambda: api.get("Pod", "p", NAMESPACE) is None, PATIENCE)
    api.request("DELETE", api.path_of("Event", namespace=NAMESPACE))


def seen() -> Json | None:
    """The pod now, cleaned of what only fills files."""
    found = api.get("Pod", "p", NAMESPACE)
    if found is not None:
        for name in ("managedFields", "uid", "resourceVersion"):
            found["metadata"].pop(name, None)
        found["status"].pop("qosClass", None)
    return found


def write(folder: Path, name: str, what: Json) -> None:
    """Keep one recording."""
    (folder / f"{name}.json").write_text(json.dumps(what, indent=1, sort_keys=True) + "\n")
    sys.stderr.write(f"{name}\n")


def record(folder: Path, name: str, manifest: Json, is_it: Callable[[Json], bool]) -> None:
    """Make a pod and keep it as it is when it has come to what it shall show."""
    api.request("POST", api.path_of("Pod", namespace=NAMESPACE), manifest)
    wait_for(name, lambda: is_it(seen() or manifest | {"status": {"phase": ""}}), PATIENCE)
    time.sleep(1.0)  # not what the recording waits for: reasons may follow states by a moment
    write(folder, name, {"pod": seen(), "events": events()})
    delete()


def record_removals(folder: Path) -> None:
    """Pods that are taken away under their containers."""
    ways: dict[str, Callable[[], object]] = {
        "deleted": lambda: api.request("DELETE", api.path_of("Pod", "p", NAMESPACE)),
        "drained": lambda: api.request(
            "POST",
            f"{api.path_of('Pod', 'p', NAMESPACE)}/eviction",
            {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p", "namespace": NAMESPACE}},
        ),
        "tainted": lambda: api.request(
            "PATCH",
            api.path_of("Node", "node2"),
            {"spec": {"taints": [{"key": "recorded", "effect": "NoExecute"}]}},
            "application/merge-patch+json",
        ),
    }
    for name, take_away in ways.items():
        manifest = pod("p", "trap 'sleep 4; exit 0' TERM; while :; do sleep 0.1; done", nodeSelector={"tenant": "b"})
        manifest["spec"]["terminationGracePeriodSeconds"] = 10
        api.request("POST", api.path_of("Pod", namespace=NAMESPACE), manifest)
        wait_for("its start", lambda: running(seen() or {"status": {"phase": ""}}), PATIENCE)
        take_away()
        wait_for(name, lambda: (seen() or {"metadata": {}})["metadata"].get("deletionTimestamp"), PATIENCE)
        going = seen()
        if name == "tainted":
            api.request(
                "PATCH", api.path_of("Node", "node2"), {"spec": {"taints": None}}, "application/merge-patch+json"
            )
        wait_for("its end", lambda: seen() is None, PATIENCE)
        write(folder, name, {"pod": going, "events": events()})
        delete()


def record_refusals(folder: Path) -> None:
    """What the API server refuses to create, in its words."""
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q", "namespace": NAMESPACE}}
    limits = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "l", "namespace": NAMESPACE}}
    strict = {"pod-security.kubernetes.io/enforce": "restricted"}
    refused("service-account", pod("p", serviceAccountName="nobody"), folder)
    refused("priority-class", pod("p", priorityClassName="nothing"), folder)
    refused("runtime-class", pod("p", runtimeClassName="nothing"), folder)
    refused("invalid", pod("p", nodeSelector={"a": "not a label!"}), folder)
    api.apply({**limits, "spec": {"limits": [{"type": "Container", "max": {"cpu": "1"}}]}})
    refused("limit-range", pod("p", resources={"limits": {"cpu": "4"}}), folder)
    api.request("DELETE", api.path_of("LimitRange", "l", NAMESPACE))
    api.apply({**quota, "spec": {"hard": {"limits.memory": "1Gi"}}})
    wait_for("the quota", lambda: (api.get("ResourceQuota", "q", NAMESPACE) or {})["status"].get("used"), PATIENCE)
    refused("quota-unset", pod("p", resources={}), folder)
    refused("quota", pod("p", resources={"limits": {"memory": "2Gi"}}), folder)
    api.request("DELETE", api.path_of("ResourceQuota", "q", NAMESPACE))
    api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": strict}})
    refused("pod-security", pod("p"), folder)


def refused(name: str, manifest: Json, folder: Path) -> None:
    """Keep a refusal."""
    try:
        api.request("POST", api.path_of("Pod", namespace=NAMESPACE), manifest)
    except api.ApiError as error:
        body = json.loads(str(error).partition(f"{error.status} ")[2])
        write(folder, f"refused-{name}", {"refusal": {"status": error.status, "message": body["message"]}})
    else:
        raise BedError(f"{name} was not refused")


def main(folder: Path) -> None:
    """Record everything."""
    folder.mkdir(parents=True, exist_ok=True)
    api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    broken = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "broken"}, "handler": "none"}
    with suppress(api.ApiError):
        api.request("POST", "/apis/node.k8s.io/v1/runtimeclasses", broken)
    try:
        wait_for("its account", lambda: api.get("ServiceAccount", "default", NAMESPACE), PATIENCE)
        for name, (manifest, is_it) in STORIES.items():
            record(folder, name, manifest, is_it)
        for name, (manifest, reason) in BY_EVENTS.items():
            record(folder, name, manifest, told(reason))
        record_removals(folder)
        record_refusals(folder)
    finally:
        api.request("DELETE", "/apis/node.k8s.io/v1/runtimeclasses/broken")
        api.request("DELETE", api.path_of("Namespace", NAMESPACE))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
