"""What the API server's answers, and its silence, mean: one error of ours for each.

Pure, beside the look-up of a refusal's remedy.
"""

from __future__ import annotations

from executor.errors import ClusterRefused, ClusterUnreachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_TOO_MANY = 429
_SERVER_ERROR = 500


class Busy(ClusterRefused):
    """An answer that may be another one in a moment: 429, 5xx, and a conflict with somebody else's change."""

    retry_after = 0.0
    """Seconds that the server asked to wait."""


def unreachable(server: str, error: BaseException) -> ClusterUnreachable:
    """Make the error for a server that was not reached, or broke off."""
    return ClusterUnreachable(
        f"The Kubernetes API server does not answer ({server}).",
        why=f"{type(error).__name__}: {error}",
        remedy="This is no fault of the job: run it again. If it stays, the operator of this runner must look: "
        "the server's address, network and certificates, or a proxy in between.",
    )


def refused(status: int, body: dict[str, Any], what: str) -> ClusterRefused:
    """Make the error for a refusal; `body` is the answer's `Status` object, `what` names the request."""
    # Imported here: most requests are granted.
    from executor.diagnosis import refusal

    message = str(body.get("message") or f"HTTP {status}")
    # A conflict on create: the quota was changed by another pod at the same moment.
    busy = status == _TOO_MANY or status >= _SERVER_ERROR or body.get("reason") == "Conflict"
    category, remedy = refusal.of_answer(status, message)
    return (Busy if busy else ClusterRefused)(
        f"The Kubernetes API server refused a request ({what}).",
        status=status,
        reason=str(body.get("reason") or ""),
        why=f"{status} {message}",
        remedy=remedy,
        category=category,
    )
