"""Which addresses a tenant's pods may never reach, and what that makes of a destination that an operator lists.

Pure. One place for the rule, since the settings are checked by it and the network policies are rendered by it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from ipaddress import IPv4Network, IPv6Network

    from executor.settings.placemodel import Destination, Network
    from executor.settings.reader import Path

    Range = IPv4Network | IPv6Network

METADATA = (
    "169.254.169.254/32",  # AWS, Google, Azure, OpenStack, and most others
    "169.254.170.2/32",  # AWS, credentials of tasks
    "168.63.129.16/32",  # Azure, certificates and keys of the node
    "100.100.100.200/32",  # Alibaba
    "fd00:ec2::254/128",  # AWS
)
"""Where clouds hand the node's identity to whoever asks."""

PURPOSES = ("dns", "registry", "s3", "gitlab", "extra")
"""The lists of [network] that allow something."""

_LAST_PORT = 65535


def kept_out(destination: Destination, network: Network) -> tuple[str, ...]:
    """Return the addresses inside a destination's range that stay out of reach."""
    if not destination.cidr:
        return ()
    own = _range(destination.cidr)
    return tuple(str(one) for one in _forbidden(destination, network) if one != own and _covers(own, one))


def check(network: Network, complain: Callable[[Path, str], None]) -> None:
    """Complain of every destination that is no destination, or that lies within what must stay out of reach."""
    entries = {
        ("network", purpose, str(number)): one
        for purpose in (*PURPOSES, "api_server")
        for number, one in enumerate(getattr(network, purpose))
    }
    mistakes = {path: _mistake(one, server=path[1] == "api_server") for path, one in entries.items()}
    if not any(mistakes.values()):
        mistakes = {path: _trespass(one, network) for path, one in entries.items() if path[1] != "api_server"}
    for path, mistake in mistakes.items():
        if mistake:
            complain(path, mistake)


def reaches(network: Network, address: str, port: int) -> str:
    """Return the name of the list by which a tenant's pods could open a TCP connection to an address, or nothing."""
    wanted = _range(address)
    for purpose in PURPOSES:
        for destination in getattr(network, purpose):
            if not destination.cidr or not _overlap(_ports(destination), [(port, port)]):
                continue
            ranges = [destination.cidr, *kept_out(destination, network)]
            # The destination's own range, and none of what is kept out of it.
            if [_covers(_range(one), wanted) for one in ranges] == [True] + [False] * (len(ranges) - 1):
                return purpose
    return ""


def _mistake(destination: Destination, *, server: bool) -> str:
    if server and not destination.cidr:
        return "the API server is named by its addresses, so each entry needs a cidr"
    if bool(destination.cidr) == bool(destination.namespace):
        return "each entry needs either a cidr or a namespace"
    if destination.cidr and destination.pods:
        return "pods are chosen in a namespace, and not by a cidr"
    if destination.cidr:
        try:
            _range(destination.cidr)
        except ValueError as error:
            return f"{destination.cidr!r} is no range of addresses: {error}"
    if destination.end_port and (len(destination.ports) != 1 or destination.ports[0] >= destination.end_port):
        return "end_port needs one port that is below it"
    return "" if destination.protocols else "protocols must not be empty"


def _trespass(destination: Destination, network: Network) -> str:
    if not destination.cidr:
        return ""
    own = _range(destination.cidr)
    within = next((one for one in _forbidden(destination, network) if _covers(one, own)), None)
    if within is None:
        return ""
    return (
        f"{destination.cidr} lies within {within}: cloud metadata and the API server (network.api_server) stay out of "
        "a tenant's reach"
    )


def _forbidden(destination: Destination, network: Network) -> list[Range]:
    """Return the ranges that the destination must not open."""
    ports = _ports(destination)
    servers = [server.cidr for server in network.api_server if _overlap(_ports(server), ports)]
    return [_range(one) for one in (*METADATA, *servers) if one]


def _covers(outer: Range, inner: Range) -> bool:
    return outer.version == inner.version and inner.subnet_of(outer)  # type: ignore[arg-type] # of one version


def _ports(destination: Destination) -> list[tuple[int, int]]:
    """Return first and last of each range of TCP ports."""
    if "TCP" not in destination.protocols:
        return []
    if not destination.ports:
        return [(1, _LAST_PORT)]
    return [(port, destination.end_port or port) for port in destination.ports]


def _overlap(one: list[tuple[int, int]], other: list[tuple[int, int]]) -> bool:
    return any(first <= other_last and other_first <= last for first, last in one for other_first, other_last in other)


def _range(cidr: str) -> Range:
    # Imported here: `config` reads the settings of each job, and most tenants' jobs need no look at addresses.
    from ipaddress import ip_network

    return ip_network(cidr)
