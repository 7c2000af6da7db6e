"""Everything that [pod] can ask for is understood by a real API server, and lies within Pod Security "baseline"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from executor.cache.use import Use
from executor.pod.manifest import PodRequest, render
from executor.settings.model import Tenant
from executor.settings.podmodel import Pod
from executor.settings.reader import TomlFile, build, hints_of
from testbed import api
from testbed.wait import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMESPACE = "options"
SPREAD = {"topologyKey": "topology.kubernetes.io/zone", "maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway"}
CONTAINER = {
    "add_capabilities": ["MKNOD", "SYS_CHROOT"],
    "drop_capabilities": ["SETFCAP"],
    "allow_privilege_escalation": True,
    "post_start": ["/bin/true"],
    "pre_stop": ["/bin/true"],
}
SOURCES: dict[str, Any] = {
    "secret": "maven-settings",
    "config_map": "company-ca",
    "claim": "sources",
    "empty_dir": {"size": "1Gi", "medium": "Memory"},
    "csi": {"driver": "csi.example.com", "fs_type": "ext4", "attributes": {"a": "b"}, "secret": "csi"},
}
POD: dict[str, Any] = {
    "labels": {"cost-centre": "4711"},
    "annotations": {"example.com/note": "$HOME $(X)"},
    "service_account": "default",
    "priority_class": "system-node-critical",
    "runtime_class": "options",
    "scheduler": "batch",
    "host_users": False,
    "termination_grace": "1m",
    "node_selector": {"disk": "ssd"},
    "node_requirements": [
        {"key": "arch", "operator": "NotIn", "values": ["arm"]},
        {"key": "gpu", "operator": "DoesNotExist"},
        {"key": "cores", "operator": "Gt", "values": ["7"]},
    ],
    "node_preferences": [{"weight": 5, "match": [{"key": "zone", "operator": "Exists"}]}],
    "affinity": [
        {"relation": "together", "weight": 5, "labels": {"a": "b"}},
        {"relation": "apart", "topology_key": "zone"},
    ],
    "host_aliases": [{"ip": "10.0.0.20", "hostnames": ["mirror.example.com"]}],
    "volumes": [
        {"name": name.replace("_", "-"), name: source, "mounts": [{"path": f"/mnt/{name}", "sub_path": "a/b"}]}
        for name, source in SOURCES.items()
    ],
    "dns": {"policy": "none", "nameservers": ["10.0.0.10"], "searches": ["example.com."], "options": {"ndots": "2"}},
    "security": {
        "seccomp_profile": "localhost/kaniko.json",
        "apparmor_profile": "RuntimeDefault",
        "selinux_type": "container_t",
        "fs_group": 0,
        "supplemental_groups": [5],
        "sysctls": {"net.ipv4.tcp_keepalive_time": "60"},
    },
    "build": CONTAINER,
    "helper": CONTAINER,
    "service": CONTAINER,
    "patch": {"topologySpreadConstraints": [SPREAD], "containers": [{"name": "build", "env": [{"name": "A"}]}]},
}


def pod(options: dict[str, Any]) -> dict[str, Any]:
    """Render the job pod of a tenant with these options."""
    document = {
        "cluster": {"namespace": NAMESPACE},
        "nodes": {"labels": {"tenant": ["a"]}},
        "images": {"kaniko": "registry.example.com/kaniko:1", "helper": "registry.example.com/helper:1"},
        "pod": options,
    }
    file = TomlFile("tenant.toml", "")
    values = file.flat(Tenant, document) | {("name",): NAMESPACE}
    assert file.problems == []
    request = PodRequest(
        name="kaniko-job-1-options",
        attempt="a",
        job_id=1,
        project_id=1,
        annotations={},
        build_image="registry.example.com/kaniko:1",
        cache=Use(mode="read-write", prefix="p"),
        deadline=60,
        delete_after=1,
    )
    return render(build(Tenant, values, []), request)


@pytest.fixture(scope="module")
def namespace(_bed: None) -> Iterator[None]:
    """A namespace that holds pods to "baseline", with the class that pods need to name."""
    labels = {"pod-security.kubernetes.io/enforce": "baseline"}
    api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}})
    wait_for("the default account", lambda: api.get("ServiceAccount", "default", NAMESPACE), 180)
    runtime_class = "/apis/node.k8s.io/v1/runtimeclasses"
    made = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "options"}, "handler": "x"}
    api.request("POST", runtime_class, made)
    yield
    api.request("DELETE", f"{runtime_class}/options")
    api.request("DELETE", api.path_of("Namespace", NAMESPACE))


@pytest.mark.usefixtures("namespace")
@pytest.mark.parametrize("option", [*POD, "all of them"])
def test_a_pod_with_an_option_is_valid_and_within_baseline(option: str) -> None:
    options = POD if option == "all of them" else {option: POD[option]}
    # Strict: a field that the API server does not know is an error and not a warning.
    path = f"{api.path_of('Pod', namespace=NAMESPACE)}?dryRun=All&fieldValidation=Strict"
    made = api.request("POST", path, pod(options))
    assert made["metadata"]["name"] == "kaniko-job-1-options"


def test_no_option_is_left_out() -> None:
    assert POD.keys() == hints_of(Pod).keys()
