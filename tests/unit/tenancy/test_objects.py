"""What a tenant is in a cluster, read as an auditor would read it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from executor.pod import names
from executor.tenancy.objects import render
from executor.tenancy.sample import usual
from tests.support.tenants import CACHE, tenant

NODES = {
    "labels": {"tenant": ["a"], "example.com/zone": ["x", "y"]},
    "tolerations": [{"key": "tenant", "value": "a", "effect": "NoSchedule"}],
}


def objects(**tables: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    rendered = render(tenant(**{"cache": CACHE} | tables))
    by_name = {(one["kind"], one["metadata"]["name"]): one for one in rendered}
    assert len(by_name) == len(rendered)
    return by_name


OBJECTS = objects()


def spec(kind: str, name: str, **tables: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = objects(**tables)[kind, name]["spec"]
    return found


def test_the_namespace_comes_first_and_json_can_carry_everything() -> None:
    rendered = render(tenant())
    assert rendered[0]["kind"] == "Namespace"
    assert json.loads(json.dumps(rendered)) == rendered


def test_every_object_says_whose_it_is_and_lies_in_the_tenants_namespace_or_in_none() -> None:
    cluster_wide = {"Namespace", "PriorityClass", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}
    for (kind, _), one in objects(capacity={"priority": 5}).items():
        assert one["metadata"]["labels"][names.TENANT_LABEL] == "tenant-a"
        assert one["metadata"].get("namespace") == (None if kind in cluster_wide else "tenant-a")


def test_two_tenants_share_no_object() -> None:
    other = render(tenant(cluster={"namespace": "tenant-b"}))
    here = {(one["kind"], one["metadata"]["name"], one["metadata"].get("namespace")) for one in OBJECTS.values()}
    there = {(one["kind"], one["metadata"]["name"], one["metadata"].get("namespace")) for one in other}
    # Cluster-wide objects carry the tenant's name, which is the same here.
    assert {kind for kind, _, _ in here & there} == {
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    }


class TestRights:
    def test_the_driver_works_with_pods_and_nothing_else(self) -> None:
        rules = OBJECTS["Role", "kaniko-driver"]["rules"]
        assert {resource for rule in rules for resource in rule["resources"]} == {
            "pods",
            "pods/exec",
            "events",
            "secrets",
        }
        assert "*" not in json.dumps(rules)
        assert all(rule["apiGroups"] == [""] for rule in rules)

    def test_logs_of_services_may_be_read_where_there_may_be_services(self) -> None:
        rules = objects(services={"allowed": ["*"]})["Role", "kaniko-driver"]["rules"]
        assert {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]} in rules

    def test_the_role_is_the_drivers_alone(self) -> None:
        binding = OBJECTS["RoleBinding", "kaniko-driver"]
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "kaniko-driver", "namespace": "tenant-a"}]
        assert (binding["roleRef"]["kind"], binding["roleRef"]["name"]) == ("Role", "kaniko-driver")
        assert len([kind for kind, _ in OBJECTS if kind == "RoleBinding"]) == 1

    def test_nothing_is_given_in_the_whole_cluster(self) -> None:
        assert not [kind for kind, _ in OBJECTS if kind.startswith("ClusterRole")]

    @pytest.mark.parametrize("account", ["kaniko-driver", "kaniko-build"])
    def test_no_account_puts_its_token_into_pods(self, account: str) -> None:
        assert OBJECTS["ServiceAccount", account]["automountServiceAccountToken"] is False

    def test_pod_security_is_enforced(self) -> None:
        labels = OBJECTS["Namespace", "tenant-a"]["metadata"]["labels"]
        assert labels["pod-security.kubernetes.io/enforce"] == "baseline"


class TestNetwork:
    def test_without_a_list_pods_reach_name_servers_only(self) -> None:
        assert spec("NetworkPolicy", "kaniko-driver-deny") == {
            "podSelector": {},
            "policyTypes": ["Ingress", "Egress"],
        }
        (rule,) = spec("NetworkPolicy", "kaniko-driver-allow")["egress"]
        assert rule["to"] == [
            {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
                "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
            }
        ]
        assert rule["ports"] == [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]

    def test_every_list_opens_what_it_names_and_no_more(self) -> None:
        lists = {
            "dns": [],
            "registry": [{"cidr": "192.0.2.0/28", "ports": [443, 5000]}],
            "s3": [{"namespace": "minio"}],
            "gitlab": [{"cidr": "2001:db8::/64", "ports": [8000], "end_port": 8100}],
            "extra": [{"cidr": "192.0.2.64/26", "protocols": ["UDP"]}],
        }
        egress = spec("NetworkPolicy", "kaniko-driver-allow", network=lists)["egress"]
        assert egress == [
            {
                "to": [{"ipBlock": {"cidr": "192.0.2.0/28"}}],
                "ports": [{"protocol": "TCP", "port": 443}, {"protocol": "TCP", "port": 5000}],
            },
            {
                "to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "minio"}}}],
                "ports": [{"protocol": "TCP"}],
            },
            {
                "to": [{"ipBlock": {"cidr": "2001:db8::/64"}}],
                "ports": [{"protocol": "TCP", "port": 8000, "endPort": 8100}],
            },
            {"to": [{"ipBlock": {"cidr": "192.0.2.64/26"}}], "ports": [{"protocol": "UDP"}]},
        ]

    def test_metadata_and_the_api_server_are_cut_out(self) -> None:
        api = [{"cidr": "10.96.0.1/32", "ports": [443]}]
        lists = {"dns": [], "registry": [{"cidr": "0.0.0.0/0", "ports": [443]}], "api_server": api}
        (rule,) = spec("NetworkPolicy", "kaniko-driver-allow", network=lists)["egress"]
        assert {"169.254.169.254/32", "10.96.0.1/32"} <= set(rule["to"][0]["ipBlock"]["except"])


class TestPriority:
    def test_none_is_made_without_the_setting(self) -> None:
        assert not [kind for kind, _ in OBJECTS if kind == "PriorityClass"]
        assert "priorityClassName" not in usual(tenant())["spec"]

    def test_pods_name_the_class_that_is_made_and_never_preempt(self) -> None:
        settings = {"priority": 100}
        made = objects(capacity=settings)["PriorityClass", "kaniko-driver-tenant-a"]
        assert (made["value"], made["preemptionPolicy"]) == (100, "Never")
        assert usual(tenant(capacity=settings))["spec"]["priorityClassName"] == made["metadata"]["name"]


class TestAdmission:
    """That the expressions mean what they say is shown on a real API server, in tests/cluster."""

    def test_it_binds_in_the_tenants_namespace_only_and_fails_closed(self) -> None:
        binding = spec("ValidatingAdmissionPolicyBinding", "kaniko-driver-tenant-a")
        assert binding["policyName"] == "kaniko-driver-tenant-a"
        assert "Deny" in binding["validationActions"]
        assert binding["matchResources"]["namespaceSelector"]["matchLabels"] == {
            "kubernetes.io/metadata.name": "tenant-a"
        }
        assert spec("ValidatingAdmissionPolicy", "kaniko-driver-tenant-a")["failurePolicy"] == "Fail"

    def test_it_sees_every_way_to_a_pod(self) -> None:
        (rule,) = spec("ValidatingAdmissionPolicy", "kaniko-driver-tenant-a")["matchConstraints"]["resourceRules"]
        assert set(rule["operations"]) == {"CREATE", "UPDATE"}
        assert set(rule["resources"]) == {"pods", "pods/ephemeralcontainers", "pods/resize"}

    def test_every_refusal_names_the_tenant(self) -> None:
        rules = spec("ValidatingAdmissionPolicy", "kaniko-driver-tenant-a")["validations"]
        assert all(rule["message"].startswith("tenant-a: ") for rule in rules)
        assert len({rule["message"] for rule in rules}) == len(rules)

    @pytest.mark.parametrize("letter", ['"', "'", "\\", "$", "ä"])
    def test_no_setting_breaks_out_of_its_expression(self, letter: str) -> None:
        # The settings' own forms refuse most of these; this must hold without them.
        image = f"registry.example.com/a{letter}b:1"
        odd = tenant()
        odd = replace(odd, images=replace(odd.images, tools=image))
        rules = next(one for one in render(odd) if one["kind"] == "ValidatingAdmissionPolicy")["spec"]["validations"]
        (rule,) = [rule for rule in rules if "c.image in" in rule["expression"]]
        assert json.dumps(image, ensure_ascii=False) in rule["expression"]
