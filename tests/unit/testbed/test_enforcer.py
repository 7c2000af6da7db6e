"""What the enforcer writes into a node; that packets obey is shown in the cluster tests."""

from __future__ import annotations

from typing import Any

from executor.tenancy.flows import Flows, Pod, policy
from testbed.enforcer import rules

NODE = "10.77.0.11"
JOB = Pod(name="job", namespace="a", labels={"app": "job"}, addresses=("10.78.1.5", "fd00::5"), node=NODE)
SERVER = Pod(
    name="server",
    namespace="b",
    labels={"app": "server"},
    addresses=("10.78.2.6",),
    ports={("web", "TCP"): 8080},
    node="10.77.0.12",
)


def written(*specs: dict[str, Any], here: tuple[Pod, ...] = (JOB,)) -> list[str]:
    manifests = [{"metadata": {"name": "p", "namespace": "a"}, "spec": spec} for spec in specs]
    allowed = Flows(map(policy, manifests), {"a": {}, "b": {"team": "b"}})
    text = rules(allowed, here, [JOB, SERVER])
    assert (text[0], text[-1]) == ("*filter", "COMMIT")
    return [line for line in text if "EGRESS" in line or "INGRESS" in line]


def test_a_pod_that_no_policy_selects_has_no_rules() -> None:
    assert written(here=(JOB, SERVER)) == []
    assert written({"podSelector": {}}, here=(SERVER,)) == []


def test_a_closed_direction_ends_in_a_drop_after_what_is_allowed() -> None:
    block = {"ipBlock": {"cidr": "10.0.0.0/30", "except": ["10.0.0.1/32", "10.0.0.2/31"]}}
    rule = {"to": [block], "ports": [{"port": 80, "endPort": 90}, {"protocol": "UDP"}]}
    spec = {"podSelector": {}, "policyTypes": ["Egress"], "egress": [rule]}
    assert written(spec) == [
        ":BED-EGRESS-0 - [0:0]",
        "-A BED-POLICIES -s 10.78.1.5 -j BED-EGRESS-0",
        "-A BED-EGRESS-0 -d 10.0.0.0/32 -p tcp --dport 80:90 -j RETURN",
        "-A BED-EGRESS-0 -d 10.0.0.0/32 -p udp --dport 1:65535 -j RETURN",
        "-A BED-EGRESS-0 -j DROP",
    ]


def test_chosen_pods_become_their_addresses_and_named_ports_their_numbers() -> None:
    rule = {"to": [{"namespaceSelector": {"matchLabels": {"team": "b"}}}], "ports": [{"port": "web"}, {"port": "no"}]}
    (allowed,) = [line for line in written({"podSelector": {}, "egress": [rule]}) if "-d 10.78.2.6" in line]
    assert allowed == "-A BED-EGRESS-0 -d 10.78.2.6 -p tcp --dport 8080:8080 -j RETURN"


def test_only_its_node_reaches_a_pod_whose_ingress_is_closed() -> None:
    assert written({"podSelector": {}}) == [
        ":BED-INGRESS-0 - [0:0]",
        "-A BED-POLICIES -d 10.78.1.5 -j BED-INGRESS-0",
        f"-A BED-INGRESS-0 -s {NODE} -j RETURN",
        "-A BED-INGRESS-0 -j DROP",
    ]


def test_a_rule_without_peers_and_ports_lets_everything_through() -> None:
    assert "-A BED-EGRESS-0 -d 0.0.0.0/0 -j RETURN" in written({"podSelector": {}, "egress": [{}]})
