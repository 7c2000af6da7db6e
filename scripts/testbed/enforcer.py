"""NetworkPolicies as packet filter rules in the nodes: what a network plug-in would do, on demand and for tests only.

The bed's own plug-in, like every plain bridge, ignores policies. `enforce` reads the policies, namespaces and pods that
the API server has at that moment and writes them into the FORWARD and INPUT chains of each node's own network
namespace; the host's are never touched. Nothing is watched: pods that come later are open until it is called again.
Packets that no rule allows vanish, as they do with real plug-ins. IPv4 only, as the bed is.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from ipaddress import IPv4Network, ip_network
from typing import TYPE_CHECKING

from executor.tenancy import flows
from testbed import api, layout, nodes
from testbed.errors import BedError
from testbed.process import run

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from executor.tenancy.flows import Block, Chosen, Direction, Flows, Pod, Ports, Rule
    from testbed.layout import Node

CHAIN = "BED-POLICIES"
# INPUT: what a pod sends to its own node, kubelet and all, is not forwarded.
HOOKS = ("FORWARD", "INPUT")
END: dict[Direction, str] = {"Egress": "-s", "Ingress": "-d"}
OTHER_END: dict[Direction, str] = {"Egress": "-d", "Ingress": "-s"}


@contextmanager
def enforced() -> Iterator[None]:
    """Enforce the policies of this moment for the block."""
    enforce()
    try:
        yield
    finally:
        remove()


def enforce() -> None:
    """Write the policies of this moment into every node, in place of earlier ones.

    Raises:
        BedError: a node does not run, or its kernel does not take the rules.
    """
    namespaces = {one["metadata"]["name"]: one["metadata"].get("labels") or {} for one in api.items("Namespace")}
    policies = [flows.policy(one) for one in api.items("NetworkPolicy")]
    pods = [flows.pod(one) for one in api.items("Pod")]
    for node in layout.NODES:
        # Two pods of one node meet on its bridge; without this no rule would see their packets.
        nodes.in_node(node, "sysctl", "-q", "-w", "net.bridge.bridge-nf-call-iptables=1")
        here = [pod for pod in pods if pod.node == node.address and not pod.host_network]
        _restore(node, rules(flows.Flows(policies, namespaces), here, pods))
        for hook in HOOKS:
            _unhook(node, hook)
            nodes.in_node(node, "iptables", "-w", "-I", hook, "-j", CHAIN)


def remove() -> None:
    """Take everything away again. Safe to repeat."""
    for node in layout.NODES:
        for hook in HOOKS:
            _unhook(node, hook)
        # One transaction: what refers to the chains goes with them.
        _restore(node, ["*filter", *_emptied(node), "COMMIT"])
        for chain in _chains(node):
            nodes.in_node(node, "iptables", "-w", "-X", chain)


def dropped() -> int:
    """Return how many packets the rules have swallowed so far."""
    lines = [line for node in layout.NODES for line in _listed(node)]
    return sum(int(line.split()[0]) for line in lines if " DROP " in line)


def rules(allowed: Flows, here: Sequence[Pod], everybody: Sequence[Pod]) -> list[str]:
    """Return the input of iptables-restore for a node with the pods `here`; `everybody` are the cluster's pods."""
    chains, lines = [CHAIN], [f"-A {CHAIN} -m conntrack --ctstate ESTABLISHED,RELATED -j RETURN"]
    for number, pod in enumerate(here):
        for direction in ("Egress", "Ingress"):
            found = allowed.rules(pod, direction)
            if found is None:
                continue
            chain = f"BED-{direction.upper()}-{number}"
            chains.append(chain)
            lines += [f"-A {CHAIN} {END[direction]} {address} -j {chain}" for address in _addresses(pod)]
            lines += [f"-A {chain} {match} -j RETURN" for match in _matches(allowed, found, direction, pod, everybody)]
            if direction == "Ingress":
                lines.append(f"-A {chain} -s {pod.node} -j RETURN")
            lines.append(f"-A {chain} -j DROP")
    return ["*filter", *(f":{chain} - [0:0]" for chain in chains), *lines, "COMMIT"]


def _matches(
    allowed: Flows, found: Iterable[Rule], direction: Direction, pod: Pod, everybody: Sequence[Pod]
) -> Iterator[str]:
    """Say, as matches of iptables, what the rules of a pod let through."""
    for rule in found:
        for address, other in _ends(allowed, rule, everybody):
            destination = other if direction == "Egress" else pod
            for ports in _numbers(rule.ports, destination):
                yield f"{OTHER_END[direction]} {address}{ports}"


def _ends(allowed: Flows, rule: Rule, everybody: Sequence[Pod]) -> Iterator[tuple[str, Pod | None]]:
    """Give the addresses that a rule takes in; with the pod where it has chosen one by its labels."""
    if not rule.peers:
        yield "0.0.0.0/0", None
    for peer in rule.peers:
        if isinstance(peer, flows.Block):
            yield from ((address, None) for address in _without(peer))
        else:
            yield from ((one, pod) for pod in _chosen(allowed, peer, everybody) for one in _addresses(pod))


def _chosen(allowed: Flows, peer: Chosen, everybody: Sequence[Pod]) -> list[Pod]:
    return [pod for pod in everybody if allowed.peer(peer, pod)]


def _without(block: Block) -> list[str]:
    """Write a range without its exceptions as ranges."""
    left = [network] if isinstance(network := ip_network(block.cidr, strict=False), IPv4Network) else []
    for exception in map(ip_network, block.without):
        if isinstance(exception, IPv4Network):
            left = [part for one in left for part in _minus(one, exception)]
    return [str(one) for one in sorted(left)]


def _minus(one: IPv4Network, exception: IPv4Network) -> list[IPv4Network]:
    if not one.overlaps(exception):
        return [one]
    return list(one.address_exclude(exception)) if exception.subnet_of(one) and exception != one else []


def _numbers(ports: Sequence[Ports], destination: Pod | None) -> list[str]:
    if not ports:
        return [""]
    return [_match(one, number) for one in ports for number in _named(one, destination)]


def _named(ports: Ports, destination: Pod | None) -> list[int]:
    """Give the number of a named port, none where there is no such port, and 0 for ports that have no name."""
    if not ports.name:
        return [0]
    number = destination.ports.get((ports.name, ports.protocol)) if destination else None
    return [number] if number else []


def _match(ports: Ports, number: int) -> str:
    first, last = (number, number) if number else (ports.first, ports.last)
    return f" -p {ports.protocol.lower()} --dport {first}:{last}"


def _addresses(pod: Pod) -> list[str]:
    return [one for one in pod.addresses if ":" not in one]


def _restore(node: Node, lines: Iterable[str]) -> None:
    text = "\n".join(lines) + "\n"
    run((*nodes.enter_command(node), "iptables-restore", "-w", "--noflush"), stdin=text)


def _unhook(node: Node, hook: str) -> None:
    with suppress(BedError):
        nodes.in_node(node, "iptables", "-w", "-D", hook, "-j", CHAIN)


def _chains(node: Node) -> list[str]:
    return [line.split()[1] for line in nodes.in_node(node, "iptables", "-w", "-S").splitlines() if "-N BED-" in line]


def _emptied(node: Node) -> list[str]:
    return [f":{chain} - [0:0]" for chain in _chains(node)]


def _listed(node: Node) -> list[str]:
    return [
        line
        for chain in _chains(node)
        for line in nodes.in_node(node, "iptables", "-w", "-n", "-x", "-v", "-L", chain).splitlines()
    ]
