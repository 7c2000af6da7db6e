"""Who a tenant's pods may talk to, as NetworkPolicies. Pure.

They do something only where the cluster's network plug-in enforces them. Policies only ever add up, so what must stay
out of reach is left out of every rule.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from executor.settings.network import PURPOSES, kept_out

if TYPE_CHECKING:
    from executor.settings.model import Tenant
    from executor.settings.placemodel import Destination, Network

_EVERY_POD: dict[str, Any] = {}
_FOR_RUNNER = ("dns", "gitlab", "s3", "api_server")


def deny() -> dict[str, Any]:
    """Return the spec of the policy that closes every pod of the namespace, both ways."""
    return {"podSelector": _EVERY_POD, "policyTypes": ["Ingress", "Egress"]}


def allow(tenant: Tenant) -> dict[str, Any]:
    """Return the spec of the policy that opens what [network] lists, outwards only."""
    return _allow(tenant.network, PURPOSES)


def allow_runner(tenant: Tenant) -> dict[str, Any]:
    """Return the spec of the policy for the tenant's runner: GitLab, S3 and the API server, but no registry."""
    return _allow(tenant.network, _FOR_RUNNER)


def _allow(network: Network, purposes: tuple[str, ...]) -> dict[str, Any]:
    rules = [_rule(destination, network) for purpose in purposes for destination in getattr(network, purpose)]
    return {"podSelector": _EVERY_POD, "policyTypes": ["Egress"], "egress": rules}


def _rule(destination: Destination, network: Network) -> dict[str, Any]:
    ends = {"endPort": destination.end_port} if destination.end_port else {}
    if destination.ports:
        ports = [
            {"protocol": protocol, "port": port, **ends}
            for protocol in destination.protocols
            for port in destination.ports
        ]
    else:
        # All ports, but not all protocols.
        ports = [{"protocol": protocol} for protocol in destination.protocols]
    return {"to": [_peer(destination, network)], "ports": ports}


def _peer(destination: Destination, network: Network) -> dict[str, Any]:
    if destination.cidr:
        out = kept_out(destination, network)
        return {"ipBlock": {"cidr": destination.cidr, **({"except": list(out)} if out else {})}}
    chosen = {"podSelector": {"matchLabels": destination.pods}} if destination.pods else {}
    # The name as a label is put there by the API server, so nobody can pretend to be that namespace.
    namespace = {"matchLabels": {"kubernetes.io/metadata.name": destination.namespace}}
    return {"namespaceSelector": namespace, **chosen}
