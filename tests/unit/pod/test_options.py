"""Each `[pod]` setting is in the pod where it belongs, and a pod without them is as before."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from executor.pod.manifest import render
from executor.settings.podmodel import Pod
from tests.support.tenants import CACHE, POD_REQUEST, tenant


def manifest(**pod: Any) -> dict[str, Any]:
    return render(tenant(cache=CACHE, pod=pod), POD_REQUEST)


def spec(**pod: Any) -> dict[str, Any]:
    found: dict[str, Any] = manifest(**pod)["spec"]
    return found


def container(name: str, **pod: Any) -> dict[str, Any]:
    found: dict[str, Any] = {one["name"]: one for one in spec(**pod)["containers"]}[name]
    return found


PLAIN = manifest()
MOUNT = {"path": "/etc/company", "containers": ["build", "helper"]}


def test_labels_and_annotations_are_added_literally() -> None:
    metadata = manifest(labels={"team": "a"}, annotations={"example.com/note": "$HOME $(X) ${Y}"})["metadata"]
    assert metadata["labels"] == PLAIN["metadata"]["labels"] | {"team": "a"}
    assert metadata["annotations"]["example.com/note"] == "$HOME $(X) ${Y}"


@pytest.mark.parametrize(
    ("setting", "value", "field", "rendered"),
    [
        ("service_account", "kaniko-build", "serviceAccountName", "kaniko-build"),
        ("priority_class", "builds", "priorityClassName", "builds"),
        ("runtime_class", "gvisor", "runtimeClassName", "gvisor"),
        ("scheduler", "batch", "schedulerName", "batch"),
        ("host_users", False, "hostUsers", False),
        ("termination_grace", "1m", "terminationGracePeriodSeconds", 60),
        ("node_selector", {"size": "l"}, "nodeSelector", {"size": "l"}),
        ("dns", {"policy": "default"}, "dnsPolicy", "Default"),
        (
            "dns",
            {"nameservers": ["10.0.0.1"], "searches": ["example.com"], "options": {"ndots": "2", "edns0": ""}},
            "dnsConfig",
            {
                "nameservers": ["10.0.0.1"],
                "searches": ["example.com"],
                "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}],
            },
        ),
        (
            "host_aliases",
            [{"ip": "10.0.0.2", "hostnames": ["mirror.example.com"]}],
            "hostAliases",
            [{"ip": "10.0.0.2", "hostnames": ["mirror.example.com"]}],
        ),
        (
            "security",
            {
                "seccomp_profile": "localhost/kaniko.json",
                "apparmor_profile": "RuntimeDefault",
                "selinux_type": "container_t",
                "fs_group": 0,
                "supplemental_groups": [5, 6],
                "sysctls": {"net.ipv4.tcp_syncookies": "1"},
            },
            "securityContext",
            {
                "seccompProfile": {"type": "Localhost", "localhostProfile": "kaniko.json"},
                "appArmorProfile": {"type": "RuntimeDefault"},
                "seLinuxOptions": {"type": "container_t"},
                "fsGroup": 0,
                "supplementalGroups": [5, 6],
                "sysctls": [{"name": "net.ipv4.tcp_syncookies", "value": "1"}],
            },
        ),
    ],
)
def test_a_field_of_the_pod_is_set_and_no_other(setting: str, value: Any, field: str, rendered: Any) -> None:
    found = spec(**{setting: value})
    assert found[field] == rendered
    assert {key: value for key, value in found.items() if key != field} == {
        key: value for key, value in PLAIN["spec"].items() if key != field
    }


def test_a_pod_without_options_has_only_what_every_pod_has() -> None:
    assert PLAIN["spec"]["securityContext"] == {"seccompProfile": {"type": "RuntimeDefault"}}
    assert PLAIN["spec"]["terminationGracePeriodSeconds"] == 10
    for field in ("serviceAccountName", "hostUsers", "dnsPolicy", "dnsConfig", "hostAliases", "nodeSelector"):
        assert field not in PLAIN["spec"]


class TestNodes:
    REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"

    def test_requirements_go_into_the_one_term_of_the_tenants_labels(self) -> None:
        requirements = [{"key": "gpu", "operator": "DoesNotExist"}, {"key": "cores", "operator": "Gt", "values": ["7"]}]
        node = spec(node_requirements=requirements)["affinity"]["nodeAffinity"]
        # Terms are alternatives: a second one would be a way around the tenant's nodes.
        (term,) = node[self.REQUIRED]["nodeSelectorTerms"]
        assert term["matchExpressions"] == [
            {"key": "tenant", "operator": "In", "values": ["a"]},
            {"key": "gpu", "operator": "DoesNotExist"},
            {"key": "cores", "operator": "Gt", "values": ["7"]},
        ]

    def test_preferences_are_weighed(self) -> None:
        match = [{"key": "zone", "values": ["x"]}, {"key": "spot", "operator": "DoesNotExist"}]
        node = spec(node_preferences=[{"weight": 5, "match": match}])["affinity"]["nodeAffinity"]
        (preference,) = node["preferredDuringSchedulingIgnoredDuringExecution"]
        assert preference["weight"] == 5
        assert [one["key"] for one in preference["preference"]["matchExpressions"]] == ["zone", "spot"]
        assert node[self.REQUIRED] == PLAIN["spec"]["affinity"]["nodeAffinity"][self.REQUIRED]

    def test_pods_stay_together_or_apart_within_the_namespace(self) -> None:
        affinity = spec(
            affinity=[
                {"relation": "together", "weight": 7},
                {"relation": "apart", "topology_key": "topology.kubernetes.io/zone", "labels": {"app": "x"}},
            ]
        )["affinity"]
        (together,) = affinity["podAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
        assert together == {
            "weight": 7,
            "podAffinityTerm": {
                "topologyKey": "kubernetes.io/hostname",
                "labelSelector": {"matchLabels": {"kaniko-driver/tenant": "tenant-a"}},
            },
        }
        (apart,) = affinity["podAntiAffinity"][self.REQUIRED]
        assert apart == {
            "topologyKey": "topology.kubernetes.io/zone",
            "labelSelector": {"matchLabels": {"app": "x"}},
        }


class TestVolumes:
    @pytest.mark.parametrize(
        ("source", "rendered"),
        [
            (
                {"secret": "maven", "items": {"settings.xml": "settings.xml"}},
                {"secret": {"secretName": "maven", "items": [{"key": "settings.xml", "path": "settings.xml"}]}},
            ),
            ({"config_map": "ca"}, {"configMap": {"name": "ca"}}),
            ({"claim": "data"}, {"persistentVolumeClaim": {"claimName": "data"}}),
            (
                {"empty_dir": {"size": "1Gi", "medium": "Memory"}},
                {"emptyDir": {"sizeLimit": "1Gi", "medium": "Memory"}},
            ),
            (
                {"csi": {"driver": "secrets.example.com", "attributes": {"a": "b"}, "fs_type": "ext4", "secret": "s"}},
                {
                    "csi": {
                        "driver": "secrets.example.com",
                        "fsType": "ext4",
                        "volumeAttributes": {"a": "b"},
                        "nodePublishSecretRef": {"name": "s"},
                        "readOnly": True,
                    }
                },
            ),
        ],
    )
    def test_each_source_is_a_volume(self, source: dict[str, Any], rendered: dict[str, Any]) -> None:
        volumes = spec(volumes=[{"name": "builds", "mounts": [MOUNT], **source}])["volumes"]
        # The driver has a volume of the same name; the prefix keeps them apart.
        assert volumes == [*PLAIN["spec"]["volumes"], {"name": "tenant-builds", **rendered}]

    def test_mounts_are_in_the_containers_that_are_named(self) -> None:
        mounts = [MOUNT, {"path": "/data", "sub_path": "a/b", "read_only": False}]
        volumes = [{"name": "x", "config_map": "x", "mounts": mounts}]
        added = {
            name: container(name, volumes=volumes)["volumeMounts"][len(container(name)["volumeMounts"]) :]
            for name in ("tools", "build", "helper", "cache-registry")
        }
        first = {"name": "tenant-x", "mountPath": "/etc/company", "readOnly": True}
        second = {"name": "tenant-x", "mountPath": "/data", "subPath": "a/b"}
        assert added == {"tools": [], "build": [first, second], "helper": [first], "cache-registry": []}


class TestContainers:
    @pytest.mark.parametrize("name", ["build", "helper"])
    def test_options_are_of_one_container(self, name: str) -> None:
        options = {
            "add_capabilities": ["MKNOD"],
            "drop_capabilities": ["CHOWN"],
            "allow_privilege_escalation": True,
            "post_start": ["/bin/true", "$X"],
            "pre_stop": ["/bin/sync"],
        }
        changed, before = container(name, **{name: options}), container(name)
        security = changed["securityContext"]
        assert security["allowPrivilegeEscalation"] is True
        capabilities = before["securityContext"]["capabilities"]
        assert security["capabilities"]["drop"] == ["ALL"]
        assert set(security["capabilities"]["add"]) == (set(capabilities["add"]) | {"MKNOD"}) - {"CHOWN"}
        assert changed["lifecycle"] == {
            "postStart": {"exec": {"command": ["/bin/true", "$X"]}},
            "preStop": {"exec": {"command": ["/bin/sync"]}},
        }
        for other in {"tools", "build", "helper", "cache-registry"} - {name}:
            assert container(other, **{name: options}) == container(other)


def test_no_setting_of_the_pod_is_without_a_test() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    for field in fields(Pod):
        if field.name not in {"patch", "service"}:  # their own test files
            assert f'"{field.name}"' in text or f"{field.name}=" in text, field.name
