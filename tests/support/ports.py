"""Ports for servers that tests start, and whether one listens by now."""

from __future__ import annotations

import socket
from contextlib import closing


def free(host: str) -> int:
    """Return a port of an address that nobody uses."""
    with closing(socket.create_server((host, 0))) as taken:
        port: int = taken.getsockname()[1]
        return port


def listens(host: str, port: int) -> bool:
    """Tell that somebody does; OSError while nobody does."""
    with socket.create_connection((host, port), timeout=5):
        return True
