"""Counts a job's API requests in the audit log. Pure."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def count(events: Iterable[dict[str, Any]], begins: Sequence[datetime]) -> list[Counter[str]]:
    """The requests of each job, by verb and resource, when jobs ran one after another.

    Args:
        events: audit events of one user.
        begins: when each job was handed out, and when the last one's requests were over; one more than there are jobs.
    """
    counts: list[Counter[str]] = [Counter() for _ in begins[1:]]
    for event in events:
        received = datetime.fromisoformat(event["requestReceivedTimestamp"])
        before = sum(begin <= received for begin in begins)
        if 0 < before < len(begins):
            counts[before - 1][request(event)] += 1
    return counts


def request(event: dict[str, Any]) -> str:
    """Name a request: `create pods/exec`, `watch pods`, or the path where it is about no resource."""
    target = event.get("objectRef")
    if not target:
        return f"{event['verb']} {event['requestURI'].partition('?')[0]}"
    below = f"/{target['subresource']}" if target.get("subresource") else ""
    return f"{event['verb']} {target['resource']}{below}"
