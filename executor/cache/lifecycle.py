"""The bucket's rules of expiry: those that a tenant's layer cache needs, and those that would break it. Pure.

A generation is written for its own length and read for another one, and may be expired whole after that. An object's
age counts from its writing, which for the first ones is the generation's beginning.
Source: PutBucketLifecycleConfiguration of the S3 API.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from executor.cache import generation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from executor.settings.model import Tenant

_DAY = 86_400
_SLACK_DAYS = 2
"""For the job that was running when a generation ended, and because S3 rounds to midnight."""
OWN = "kaniko-driver-"
_COLD = frozenset({"GLACIER", "DEEP_ARCHIVE"})
"""Storage that objects cannot be read from at once."""


def days(tenant: Tenant) -> int:
    """Return after how many days the tenant's objects may go, at the earliest."""
    longest = 2 * tenant.cache.generation.seconds + tenant.runner.longest_job.seconds
    return -(-longest // _DAY) + _SLACK_DAYS


def oldest_read(tenant: Tenant, now: float) -> int:
    """Return the oldest generation that a build may still read, such as one that has run since its own one ended."""
    began = now - tenant.runner.longest_job.seconds - _SLACK_DAYS * _DAY
    return generation.generation(tenant.name, began, tenant.cache.generation.seconds) - 1


def rules(tenant: Tenant, *, versioned: bool) -> list[dict[str, Any]]:
    """Return the rules for one tenant."""
    folder = f"{generation.folder(tenant.cache.prefix, tenant.name)}/"
    rule: dict[str, Any] = {
        "ID": OWN + tenant.name,
        "Status": "Enabled",
        "Filter": {"Prefix": folder},
        "Expiration": {"Days": days(tenant)},
        # The cache registry uploads in one piece; this is for what anybody else leaves.
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
    }
    if versioned:
        # Else nothing that expires or is replaced ever frees its bytes.
        rule["NoncurrentVersionExpiration"] = {"NoncurrentDays": 1}
    return [rule]


def merged(present: Sequence[dict[str, Any]], own: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the bucket's rules with ours in the place of older ones of the same name; S3 replaces them all at once."""
    names = {rule["ID"] for rule in own}
    return [*(rule for rule in present if rule.get("ID") not in names), *own]


def conflicts(tenant: Tenant, present: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Say which rules of others would take objects of a generation that builds still read."""
    folder = f"{generation.folder(tenant.cache.prefix, tenant.name)}/"
    needed = days(tenant)
    for rule in present:
        prefix = _prefix(rule)
        if rule.get("Status") != "Enabled" or rule.get("ID") == OWN + tenant.name or prefix is None:
            continue
        if not (folder.startswith(prefix) or prefix.startswith(folder)):
            continue
        name = f"rule {rule.get('ID') or '(without a name)'} on {prefix or 'the whole bucket'}"
        expiration = rule.get("Expiration", {})
        if "Date" in expiration:
            yield f"{name} expires objects on a day, whatever their age"
        elif (after := expiration.get("Days")) is not None and after < needed:
            yield f"{name} expires objects after {after} days; {folder} is read for {needed}"
        for move in rule.get("Transitions", ()):
            if move.get("StorageClass") in _COLD and move.get("Days", 0) < needed:
                yield f"{name} moves objects to {move['StorageClass']}, from where no build can read them"


def _prefix(rule: dict[str, Any]) -> str | None:
    """Return what a rule is about; None where it is about objects with tags, which ours have not."""
    chosen = rule.get("Filter", {})
    both = chosen.get("And", {})
    if "Tag" in chosen or both.get("Tags"):
        return None
    found: str = chosen.get("Prefix") or both.get("Prefix") or rule.get("Prefix") or ""
    return found
