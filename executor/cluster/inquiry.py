"""Single questions to the API server with the driver's own credentials, each over a connection of its own.

For operator commands that look at the way itself: they want to know status, time and the server's clock, may ask side
by side, and never try again.
"""

from __future__ import annotations

import email.utils
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from executor.cluster import credentials
from executor.cluster.wire import Wire
from executor.errors import ClusterUnreachable

if TYPE_CHECKING:
    from executor.job import Connection

_SECONDS = 10.0
_LARGEST = 50_000_000


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back."""

    status: int
    body: dict[str, Any]
    seconds: float
    """From sending the request to its answer."""
    skew: float | None
    """Seconds that the server's clock is ahead of ours, to about a second; None when it did not say."""

    @property
    def message(self) -> str:
        """The server's own words about a refusal."""
        return str(self.body.get("message") or f"HTTP {self.status}")


def ask(connection: Connection, path: str, *, body: dict[str, Any] | None = None) -> Answer:
    """Ask once; with a body it is a POST.

    Raises:
        ClusterUnreachable: there is no answer.
        CredentialsInvalid: they cannot be read.
    """
    headers = {
        "Accept": "application/json",
        "Content-Type": "application/json",
        "User-Agent": "kaniko-driver",
        **credentials.authorization(connection),
    }
    prefix = urlsplit(connection.server).path
    data = b"" if body is None else json.dumps(body).encode()
    try:
        opened = Wire(connection, credentials.tls_context(connection), seconds=_SECONDS)
        try:
            began, sent = time.monotonic(), time.time()
            response = opened.request("GET" if body is None else "POST", prefix + path, headers.items(), data)
            seconds = time.monotonic() - began
            text = response.read(_LARGEST)
        finally:
            opened.close()
    except OSError as error:
        raise ClusterUnreachable(
            f"The Kubernetes API server does not answer ({connection.server}).",
            why=f"{type(error).__name__}: {error}",
            remedy="Check the address in the kubeconfig, the network, certificates, and proxies in between.",
        ) from error
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = {}
    return Answer(
        status=response.status,
        body=document if isinstance(document, dict) else {},
        seconds=seconds,
        skew=_skew(response.headers.get("date", ""), sent, seconds),
    )


def _skew(date: str, sent: float, seconds: float) -> float | None:
    try:
        # Whole seconds, cut: half of one is more likely than none.
        server = email.utils.parsedate_to_datetime(date).timestamp() + 0.5
    except ValueError:
        return None
    return server - (sent + seconds / 2)
