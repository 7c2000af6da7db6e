"""The rules of NetworkPolicies, each by policies written by hand; then what a tenant's own policies allow."""

from __future__ import annotations

from typing import Any

import pytest

from executor.tenancy.flows import Flows, Pod, pod, policy
from executor.tenancy.objects import render
from tests.support.tenants import tenant

NAMESPACES = {
    "tenant-a": {"kubernetes.io/metadata.name": "tenant-a", "team": "a"},
    "tenant-b": {"kubernetes.io/metadata.name": "tenant-b", "team": "b"},
    "kube-system": {"kubernetes.io/metadata.name": "kube-system"},
}
JOB = Pod(name="job", namespace="tenant-a", labels={"app": "job", "tier": "one"}, addresses=("10.78.1.5",))
OTHER_JOB = Pod(name="other", namespace="tenant-a", labels={"app": "other"}, addresses=("10.78.1.6", "fd00::6"))
STRANGER = Pod(name="stranger", namespace="tenant-b", labels={"app": "job"}, addresses=("10.78.2.5",))
DNS = Pod(
    name="dns",
    namespace="kube-system",
    labels={"k8s-app": "kube-dns"},
    addresses=("10.78.9.9",),
    ports={("dns", "UDP"): 53, ("web", "TCP"): 8080},
)
NODE_AGENT = Pod(
    name="agent", namespace="tenant-a", labels={"app": "job"}, addresses=("10.77.0.11",), host_network=True
)
NETWORK: dict[str, Any] = {
    "registry": [{"cidr": "10.77.0.1/32", "ports": [5000]}],
    "s3": [{"cidr": "10.77.0.1/32", "ports": [7070]}],
    "gitlab": [{"cidr": "10.77.0.0/24", "ports": [8929]}],
    "extra": [{"cidr": "0.0.0.0/0", "ports": [443, 6443]}, {"namespace": "tenant-b", "ports": [9000]}],
    "api_server": [{"cidr": "10.77.0.1/32", "ports": [6443]}, {"cidr": "10.79.0.1/32", "ports": [443]}],
}
EGRESS, INGRESS = ["Egress"], ["Ingress"]


def flows(*specs: dict[str, Any], namespace: str = "tenant-a") -> Flows:
    manifests = [
        {"metadata": {"name": f"p{number}", "namespace": namespace}, "spec": spec} for number, spec in enumerate(specs)
    ]
    return Flows([policy(manifest) for manifest in manifests], NAMESPACES)


def to(*peers: dict[str, Any], ports: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    """A policy for all pods that allows one thing outwards."""
    return {"podSelector": {}, "policyTypes": EGRESS, "egress": [{"to": list(peers), "ports": list(ports)}]}


def test_without_policies_everything_is_open() -> None:
    assert flows().allowed(JOB, "8.8.8.8", 53, "UDP")
    assert flows().allowed("8.8.8.8", JOB, 1)


class TestDirections:
    def test_a_selected_pod_may_do_nothing_that_no_rule_allows(self) -> None:
        closed = flows({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]})
        assert not closed.allowed(JOB, "8.8.8.8", 53)
        assert not closed.allowed(JOB, OTHER_JOB, 53)
        assert not closed.allowed(STRANGER, JOB, 53)
        assert closed.allowed(STRANGER, DNS, 53)

    def test_a_direction_that_no_policy_closes_is_open(self) -> None:
        assert flows({"podSelector": {}, "policyTypes": INGRESS}).allowed(JOB, "8.8.8.8", 53)
        assert flows({"podSelector": {}, "policyTypes": EGRESS}).allowed(STRANGER, JOB, 53)

    def test_without_types_a_policy_closes_ingress_and_egress_only_where_it_has_rules_for_it(self) -> None:
        assert not flows({"podSelector": {}}).allowed(STRANGER, JOB, 1)
        assert flows({"podSelector": {}}).allowed(JOB, "8.8.8.8", 1)
        with_egress = flows({"podSelector": {}, "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]})
        assert not with_egress.allowed(JOB, "8.8.8.8", 1)
        assert not with_egress.allowed(STRANGER, JOB, 1)

    def test_both_ends_have_a_say(self) -> None:
        opened = flows(to({"podSelector": {"matchLabels": {"app": "other"}}}), {"podSelector": {}})
        assert not opened.allowed(JOB, OTHER_JOB, 1)
        both = flows(to({"podSelector": {}}), {"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}]}]})
        assert both.allowed(JOB, OTHER_JOB, 1)

    def test_policies_add_up(self) -> None:
        assert flows({"podSelector": {}, "policyTypes": EGRESS}, to({"ipBlock": {"cidr": "8.8.8.8/32"}})).allowed(
            JOB, "8.8.8.8", 53
        )

    def test_a_rule_without_peers_and_ports_opens_the_direction(self) -> None:
        assert flows({"podSelector": {}, "policyTypes": EGRESS, "egress": [{}]}).allowed(JOB, "1.2.3.4", 5, "SCTP")

    def test_a_pod_reaches_itself_and_its_node_reaches_it(self) -> None:
        closed = flows({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]})
        there = Pod(name="job", namespace="tenant-a", addresses=("10.78.1.5",), node="10.77.0.11")
        assert closed.allowed(there, there, 5000)
        assert closed.allowed("10.77.0.11", there, 5000)
        assert not closed.allowed("10.77.0.12", there, 5000)

    def test_policies_of_another_namespace_and_of_other_labels_do_not_count(self) -> None:
        assert flows({"podSelector": {}, "policyTypes": EGRESS}, namespace="tenant-b").allowed(JOB, "8.8.8.8", 53)
        chosen = {"podSelector": {"matchLabels": {"app": "other"}}, "policyTypes": EGRESS}
        assert flows(chosen).allowed(JOB, "8.8.8.8", 53)
        assert not flows(chosen).allowed(OTHER_JOB, "8.8.8.8", 53)

    def test_pods_of_the_nodes_network_are_beyond_policies(self) -> None:
        closed = flows({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]})
        assert closed.allowed(NODE_AGENT, "8.8.8.8", 53)
        assert not flows(to({"podSelector": {}})).allowed(JOB, NODE_AGENT, 1)


class TestPeers:
    @pytest.mark.parametrize(
        ("block", "address", "allowed"),
        [
            ({"cidr": "10.1.0.0/16"}, "10.1.2.3", True),
            ({"cidr": "10.1.0.0/16"}, "10.2.2.3", False),
            ({"cidr": "10.1.0.0/16", "except": ["10.1.2.0/24"]}, "10.1.2.3", False),
            ({"cidr": "10.1.0.0/16", "except": ["10.1.2.0/24"]}, "10.1.3.3", True),
            ({"cidr": "0.0.0.0/0", "except": ["169.254.169.254/32"]}, "169.254.169.254", False),
            ({"cidr": "0.0.0.0/0"}, "fd00::1", False),
            ({"cidr": "fd00::/8"}, "fd00::1", True),
        ],
    )
    def test_addresses_are_in_the_range_and_in_none_of_its_exceptions(
        self, block: dict[str, Any], address: str, *, allowed: bool
    ) -> None:
        assert flows(to({"ipBlock": block})).allowed(JOB, address, 443) is allowed

    def test_a_range_takes_pods_in_by_any_of_their_addresses(self) -> None:
        assert flows(to({"ipBlock": {"cidr": "fd00::/8"}})).allowed(JOB, OTHER_JOB, 1)
        assert not flows(to({"ipBlock": {"cidr": "10.79.0.0/16"}})).allowed(JOB, OTHER_JOB, 1)

    def test_pods_alone_are_those_of_the_policys_own_namespace(self) -> None:
        own = flows(to({"podSelector": {"matchLabels": {"app": "job"}}}))
        assert not own.allowed(OTHER_JOB, STRANGER, 1)
        assert own.allowed(OTHER_JOB, JOB, 1)

    def test_namespaces_alone_take_in_all_their_pods(self) -> None:
        opened = flows(to({"namespaceSelector": {"matchLabels": {"team": "b"}}}))
        assert opened.allowed(JOB, STRANGER, 1)
        assert not opened.allowed(JOB, OTHER_JOB, 1)
        assert not opened.allowed(JOB, "10.78.2.5", 1)

    def test_an_empty_choice_of_namespaces_is_all_of_them(self) -> None:
        assert flows(to({"namespaceSelector": {}})).allowed(JOB, STRANGER, 1)

    def test_namespaces_and_pods_in_one_peer_must_both_fit(self) -> None:
        both = {"namespaceSelector": {"matchLabels": {"team": "b"}}, "podSelector": {"matchLabels": {"app": "no"}}}
        assert not flows(to(both)).allowed(JOB, STRANGER, 1)
        assert flows(to(both | {"podSelector": {"matchLabels": {"app": "job"}}})).allowed(JOB, STRANGER, 1)

    def test_two_peers_are_alternatives(self) -> None:
        opened = flows(to({"namespaceSelector": {"matchLabels": {"team": "b"}}}, {"podSelector": {}}))
        assert opened.allowed(JOB, STRANGER, 1)
        assert opened.allowed(JOB, OTHER_JOB, 1)

    @pytest.mark.parametrize(
        ("expression", "allowed"),
        [
            ({"key": "app", "operator": "In", "values": ["job", "x"]}, True),
            ({"key": "app", "operator": "In", "values": ["x"]}, False),
            ({"key": "none", "operator": "In", "values": ["x"]}, False),
            ({"key": "app", "operator": "NotIn", "values": ["job"]}, False),
            ({"key": "none", "operator": "NotIn", "values": ["job"]}, True),
            ({"key": "app", "operator": "Exists"}, True),
            ({"key": "none", "operator": "Exists"}, False),
            ({"key": "app", "operator": "DoesNotExist"}, False),
            ({"key": "none", "operator": "DoesNotExist"}, True),
        ],
    )
    def test_expressions_of_selectors(self, expression: dict[str, Any], *, allowed: bool) -> None:
        selector = {"matchLabels": {"tier": "one"}, "matchExpressions": [expression]}
        assert flows(to({"podSelector": selector})).allowed(OTHER_JOB, JOB, 1) is allowed

    def test_what_is_not_known_is_no_matter_to_guess_about(self) -> None:
        with pytest.raises(ValueError, match="'fqdn'"):
            flows(to({"fqdn": "example.com"}))
        strange = {"matchExpressions": [{"key": "a", "operator": "Matches"}]}
        with pytest.raises(ValueError, match="'Matches'"):
            flows(to({"podSelector": strange})).allowed(JOB, OTHER_JOB, 1)


class TestPorts:
    @pytest.mark.parametrize(
        ("ports", "port", "protocol", "allowed"),
        [
            ({"port": 443}, 443, "TCP", True),
            ({"port": 443}, 443, "UDP", False),
            ({"port": 443}, 444, "TCP", False),
            ({"port": 53, "protocol": "UDP"}, 53, "UDP", True),
            ({"protocol": "UDP"}, 9999, "UDP", True),
            ({"protocol": "UDP"}, 9999, "TCP", False),
            ({"port": 8000, "endPort": 8010}, 8010, "TCP", True),
            ({"port": 8000, "endPort": 8010}, 8011, "TCP", False),
            ({"port": 8000, "endPort": 8010}, 7999, "TCP", False),
            ({"port": "web"}, 8080, "TCP", True),
            ({"port": "web"}, 8081, "TCP", False),
            ({"port": "dns"}, 53, "TCP", False),
            ({"port": "dns", "protocol": "UDP"}, 53, "UDP", True),
            ({"port": "absent"}, 8080, "TCP", False),
        ],
    )
    def test_numbers_ranges_and_names(self, ports: dict[str, Any], port: int, protocol: str, *, allowed: bool) -> None:
        assert flows(to({"namespaceSelector": {}}, ports=(ports,))).allowed(JOB, DNS, port, protocol) is allowed

    def test_a_name_means_nothing_at_an_address(self) -> None:
        assert not flows(to({"ipBlock": {"cidr": "0.0.0.0/0"}}, ports=({"port": "web"},))).allowed(JOB, "1.2.3.4", 8080)


def test_a_pod_is_read_as_the_api_server_gives_it() -> None:
    read = pod(
        {
            "metadata": {"name": "dns", "namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}},
            "spec": {
                "containers": [{"ports": [{"name": "web", "containerPort": 8080}, {"containerPort": 9}]}, {}],
                "initContainers": [{"ports": [{"name": "dns", "protocol": "UDP", "containerPort": 53}]}],
            },
            "status": {"podIPs": [{"ip": "10.78.9.9"}], "hostIP": "10.77.0.12"},
        }
    )
    assert (read.labels, read.addresses, read.node) == (DNS.labels, DNS.addresses, "10.77.0.12")
    assert read.ports == DNS.ports
    assert not read.host_network


@pytest.fixture(scope="module")
def ours() -> Flows:
    """A tenant with a registry, an S3 server and GitLab, in a cluster whose API server is in the same range."""
    objects = render(tenant(network=NETWORK))
    return Flows([policy(one) for one in objects if one["kind"] == "NetworkPolicy"], NAMESPACES)


class TestRendered:
    @pytest.mark.parametrize(
        ("destination", "port", "protocol"),
        [
            ("10.77.0.1", 5000, "TCP"),
            ("10.77.0.1", 7070, "TCP"),
            ("10.77.0.1", 8929, "TCP"),
            ("151.101.1.1", 443, "TCP"),
            (DNS, 53, "UDP"),
            (DNS, 53, "TCP"),
            (STRANGER, 9000, "TCP"),
        ],
    )
    def test_what_the_settings_list_is_reached(self, ours: Flows, destination: Any, port: int, protocol: str) -> None:
        assert ours.allowed(JOB, destination, port, protocol)

    @pytest.mark.parametrize(
        ("destination", "port", "protocol"),
        [
            # Cloud metadata and the API server, though a listed range covers them.
            ("169.254.169.254", 443, "TCP"),
            ("169.254.169.254", 80, "TCP"),
            ("10.77.0.1", 6443, "TCP"),
            ("10.79.0.1", 443, "TCP"),
            # Neighbours on the same address, and other services.
            ("10.77.0.1", 22, "TCP"),
            ("10.77.0.1", 5000, "UDP"),
            ("10.77.0.11", 10250, "TCP"),
            ("10.77.0.11", 5000, "TCP"),
            ("8.8.8.8", 53, "UDP"),
            ("151.101.1.1", 80, "TCP"),
            (OTHER_JOB, 5407, "TCP"),
            (STRANGER, 5407, "TCP"),
            (DNS, 8080, "TCP"),
        ],
    )
    def test_nothing_else_is(self, ours: Flows, destination: Any, port: int, protocol: str) -> None:
        assert not ours.allowed(JOB, destination, port, protocol)

    @pytest.mark.parametrize("source", [STRANGER, OTHER_JOB, DNS, "10.77.0.1", "8.8.8.8"])
    def test_nobody_reaches_a_job_pod(self, ours: Flows, source: Any) -> None:
        assert not any(ours.allowed(source, JOB, port) for port in (22, 443, 5407, 8080))

    def test_a_job_pod_cannot_get_rid_of_the_policies_by_its_labels(self, ours: Flows) -> None:
        for labels in ({}, {"app": "free"}, {"kaniko-driver/tenant": "tenant-b"}, {"k8s-app": "kube-dns"}):
            assert not ours.allowed(Pod(name="x", namespace="tenant-a", labels=labels), "10.77.0.1", 22)
