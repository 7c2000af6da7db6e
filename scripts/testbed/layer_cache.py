"""Look into the tenants' layer caches in S3, and empty them, as the bed's administrator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed import s3

if TYPE_CHECKING:
    from testbed.layout import Tenant


def objects(tenant: Tenant) -> list[str]:
    """Every key in the tenant's bucket, also such as do not belong there."""
    pages = s3.client().get_paginator("list_objects_v2").paginate(Bucket=tenant.cache_bucket)
    return [item["Key"] for page in pages for item in page.get("Contents", [])]


def empty(tenant: Tenant) -> int:
    """Delete every object of the tenant's bucket; returns how many there were."""
    client = s3.client()
    keys = objects(tenant)
    for at in range(0, len(keys), 1000):  # the most that one request may name
        batch = [{"Key": key} for key in keys[at : at + 1000]]
        client.delete_objects(Bucket=tenant.cache_bucket, Delete={"Objects": batch, "Quiet": True})
    return len(keys)
