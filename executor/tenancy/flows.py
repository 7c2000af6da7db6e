"""Which connections NetworkPolicies allow, computed from the objects alone. Pure: no I/O.

Answers "may this pod open a connection to that address?" before a cluster is asked, by the rules of Kubernetes: a pod
that no policy selects for a direction is open in that direction; one that is selected may do only what some rule of
some selecting policy allows; a connection needs the leave of both ends. Whether a cluster's network plug-in does what
is computed here, no object can tell.
Source: https://kubernetes.io/docs/concepts/services-networking/network-policies/ and k8s.io/api/networking/v1/types.go.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Labels = Mapping[str, str]

Direction = Literal["Ingress", "Egress"]
LAST_PORT = 65535


@dataclass(frozen=True, kw_only=True)
class Pod:
    """A pod as far as policies look at it."""

    name: str
    namespace: str
    labels: Labels = field(default_factory=dict)
    addresses: tuple[str, ...] = ()
    ports: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """(name, protocol) of a container port -> its number."""
    host_network: bool = False
    """It has its node's addresses, and no policy can tell it from its node."""
    node: str = ""
    """Its node's address, from which it may always be reached: probes come from there."""


End = Pod | str
"""One end of a connection: a pod, or the address of anything else."""


def pod(manifest: Mapping[str, Any]) -> Pod:
    """Read a pod as the API server returns it."""
    spec, status = manifest["spec"], manifest.get("status") or {}
    containers = [*spec.get("containers", ()), *spec.get("initContainers", ())]
    ports = [port for container in containers for port in container.get("ports") or () if port.get("name")]
    return Pod(
        name=manifest["metadata"]["name"],
        namespace=manifest["metadata"]["namespace"],
        labels=manifest["metadata"].get("labels") or {},
        addresses=tuple(one["ip"] for one in status.get("podIPs") or ()),
        ports={(port["name"], port.get("protocol") or "TCP"): port["containerPort"] for port in ports},
        host_network=bool(spec.get("hostNetwork")),
        node=status.get("hostIP") or "",
    )


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Ports of one protocol, both ends inclusive; with a name, the destination pod's port of that name."""

    protocol: str
    first: int = 1
    last: int = LAST_PORT
    name: str = ""

    def take_in(self, end: End, port: int, protocol: str) -> bool:
        """Tell whether a port of a destination is one of these."""
        if protocol != self.protocol:
            return False
        if self.name:
            return isinstance(end, Pod) and end.ports.get((self.name, protocol)) == port
        return self.first <= port <= self.last


@dataclass(frozen=True, kw_only=True)
class Block:
    """A range of addresses without some.

    Kubernetes leaves open whether pods' addresses count; here they do, since a fence must hold where they do.
    """

    cidr: str
    without: tuple[str, ...] = ()

    def takes_in(self, end: End) -> bool:
        """Tell whether one of the end's addresses is in the range."""
        addresses = end.addresses if isinstance(end, Pod) else (end,)
        return any(_in(one, self.cidr) and not any(_in(one, out) for out in self.without) for one in addresses)


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """Pods chosen by labels; `namespace` is the policy's own, or None where namespaces are chosen by labels too."""

    namespace: str | None
    namespaces: Mapping[str, Any]
    pods: Mapping[str, Any]

    def takes_in(self, end: End, known: Mapping[str, Labels]) -> bool:
        """Tell whether the end is such a pod; `known` is namespace -> labels."""
        if not isinstance(end, Pod) or end.host_network:
            return False
        if self.namespace is not None and end.namespace != self.namespace:
            return False
        if self.namespace is None and not matches(self.namespaces, known.get(end.namespace, {})):
            return False
        return matches(self.pods, end.labels)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule of one direction; no peers: everybody, no ports: all ports of all protocols."""

    peers: tuple[Block | Chosen, ...]
    ports: tuple[Ports, ...]


@dataclass(frozen=True, kw_only=True)
class Policy:
    """One NetworkPolicy."""

    name: str
    namespace: str
    pods: Mapping[str, Any]
    rules: Mapping[Direction, tuple[Rule, ...]]
    """Only the directions that the policy closes; without a rule nothing is allowed there."""

    def selects(self, end: End, direction: Direction) -> bool:
        """Tell whether the policy has a say in this direction for this pod."""
        return (
            isinstance(end, Pod)
            and not end.host_network
            and end.namespace == self.namespace
            and direction in self.rules
            and matches(self.pods, end.labels)
        )


def policy(manifest: Mapping[str, Any]) -> Policy:
    """Read a NetworkPolicy.

    Raises:
        ValueError: it holds something that is not known here, so that nothing could be said about it.
    """
    spec, namespace = manifest["spec"], manifest["metadata"]["namespace"]
    closes = spec.get("policyTypes") or ["Ingress", *(["Egress"] if spec.get("egress") else [])]
    parts: dict[Direction, tuple[str, str]] = {"Ingress": ("ingress", "from"), "Egress": ("egress", "to")}
    return Policy(
        name=manifest["metadata"]["name"],
        namespace=namespace,
        pods=spec.get("podSelector") or {},
        rules={
            direction: tuple(_rule(rule, peers, namespace) for rule in spec.get(rules) or ())
            for direction, (rules, peers) in parts.items()
            if direction in closes
        },
    )


class Flows:
    """What a set of policies allows."""

    def __init__(self, policies: Iterable[Policy], namespaces: Mapping[str, Labels]) -> None:
        """Take all policies of a cluster, and of each namespace its labels."""
        self._policies = tuple(policies)
        self._namespaces = namespaces

    def allowed(self, source: End, destination: End, port: int, protocol: str = "TCP") -> bool:
        """Tell whether a connection from one end to a port of the other is let through at both ends."""
        # No pod can be kept from itself, nor a node from its pods.
        if source == destination or (isinstance(destination, Pod) and destination.node and source == destination.node):
            return True
        return self._lets(source, "Egress", destination, (destination, port, protocol)) and self._lets(
            destination, "Ingress", source, (destination, port, protocol)
        )

    def rules(self, end: Pod, direction: Direction) -> tuple[Rule, ...] | None:
        """Return what a pod may do in a direction, or None where it may do everything."""
        selecting = [one for one in self._policies if one.selects(end, direction)]
        return tuple(rule for one in selecting for rule in one.rules[direction]) if selecting else None

    def peer(self, peer: Block | Chosen, end: End) -> bool:
        """Tell whether a peer of a rule takes an end in."""
        return peer.takes_in(end) if isinstance(peer, Block) else peer.takes_in(end, self._namespaces)

    def _lets(self, end: End, direction: Direction, other: End, to: tuple[End, int, str]) -> bool:
        rules = self.rules(end, direction) if isinstance(end, Pod) else None
        if rules is None:
            return True
        return any(
            (not rule.peers or any(self.peer(peer, other) for peer in rule.peers))
            and (not rule.ports or any(ports.take_in(*to) for ports in rule.ports))
            for rule in rules
        )


def matches(selector: Mapping[str, Any], labels: Labels) -> bool:
    """Tell whether labels meet a LabelSelector; an empty one takes everything.

    Raises:
        ValueError: an operator that Kubernetes does not have.
    """
    wanted = selector.get("matchLabels") or {}
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    return all(_meets(expression, labels) for expression in selector.get("matchExpressions") or ())


def _meets(expression: Mapping[str, Any], labels: Labels) -> bool:
    key, operator, values = expression["key"], expression["operator"], expression.get("values") or ()
    if operator == "In":
        return key in labels and labels[key] in values
    if operator == "NotIn":
        return key not in labels or labels[key] not in values
    if operator == "Exists":
        return key in labels
    if operator == "DoesNotExist":
        return key not in labels
    raise ValueError(f"a label selector has the operator {operator!r}")


def _rule(rule: Mapping[str, Any], peers: str, namespace: str) -> Rule:
    return Rule(
        peers=tuple(_peer(peer, namespace) for peer in rule.get(peers) or ()),
        ports=tuple(_ports(port) for port in rule.get("ports") or ()),
    )


def _peer(peer: Mapping[str, Any], namespace: str) -> Block | Chosen:
    if strange := peer.keys() - {"ipBlock", "namespaceSelector", "podSelector"}:
        raise ValueError(f"a peer of a NetworkPolicy has the unknown field {min(strange)!r}")
    if block := peer.get("ipBlock"):
        return Block(cidr=block["cidr"], without=tuple(block.get("except") or ()))
    chosen = peer.get("namespaceSelector")
    return Chosen(
        namespace=namespace if chosen is None else None, namespaces=chosen or {}, pods=peer.get("podSelector") or {}
    )


def _ports(port: Mapping[str, Any]) -> Ports:
    protocol, number = port.get("protocol") or "TCP", port.get("port")
    if number is None:
        return Ports(protocol=protocol)
    if isinstance(number, str):
        return Ports(protocol=protocol, name=number)
    return Ports(protocol=protocol, first=number, last=port.get("endPort") or number)


def _in(address: str, cidr: str) -> bool:
    one, block = ip_address(address), ip_network(cidr, strict=False)
    return one.version == block.version and one in block
