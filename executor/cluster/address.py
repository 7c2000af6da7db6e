"""Addresses taken apart and put together, as far as the job path needs it. Pure.

`urllib.parse` does all of this and more, and importing it costs each stage 4 of some 45 ms of CPU. Proxies, which few
have, are left to it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_HTTPS = 443
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
"""What stands for itself everywhere: the unreserved characters of RFC 3986."""


def place(address: str) -> str:
    """Return host and port of `https://host:port/path` as they stand there, for the Host header."""
    return _parts(address)[0]


def host_and_port(address: str) -> tuple[str, int]:
    """Return host and port, 443 where there is none; an IPv6 address without its brackets."""
    text = place(address)
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":")
    else:
        host, _, port = text.partition(":")
    return host.lower(), int(port or _HTTPS)


def path(address: str) -> str:
    """Return the path, without what may follow it."""
    return _parts(address)[1].partition("?")[0].partition("#")[0]


def quoted(text: str) -> str:
    """Percent-encode all but letters, digits and `-._~`."""
    return "".join(chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in text.encode())


def query(pairs: Iterable[tuple[str, object]]) -> str:
    """Write the part of an address behind its question mark."""
    return "&".join(f"{quoted(name)}={quoted(str(value))}" for name, value in pairs)


def _parts(address: str) -> tuple[str, str]:
    rest = address.partition("://")[2] if "://" in address else address
    netloc, slash, behind = rest.partition("/")
    return netloc.rpartition("@")[2], slash + behind
