"""Checks of the layer cache's S3 with the tenant's own keys: what they must open, and what they must not."""

from __future__ import annotations

import secrets
from functools import partial
from typing import TYPE_CHECKING, Any

from executor.cache import generation
from executor.operate.checkup.findings import good, problem, skipped, warning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from executor.cache.bucket import Bucket
    from executor.operate.checkup.findings import Finding
    from executor.settings.model import Tenant

_DENIED = frozenset({401, 403})
_HOW = "docs/en/how-to/layer-cache.md has the policy for the keys."


def storage(tenant: Tenant, others: list[Tenant], *, kubeconfig: str, context: str) -> Iterator[Finding]:
    """Read, write and list in the tenant's own place, and see everything else refused.

    Args:
        tenant: whose keys are tried; they are read from its Secret with the operator's rights.
        others: tenants whose caches must be closed to it.
        kubeconfig: of the operator.
        context: of that kubeconfig.
    """
    from executor.cache.bucket import failures
    from executor.operate.cache_access import bucket_of

    if tenant.cache.mode == "off":
        yield skipped("s3", "the tenant has no layer cache")
        return
    if not tenant.cache.secret:
        yield skipped("s3", "its pods get their keys from the cloud, so they can be tried from a pod only")
        return
    bucket = bucket_of(tenant, tenant_keys=True, kubeconfig=kubeconfig, context=context)
    with failures(bucket.name):
        yield from _own(bucket, generation.folder(tenant.cache.prefix, tenant.name))
        yield from _foreign(bucket, tenant, others)


def _own(bucket: Bucket, folder: str) -> Iterator[Finding]:
    """Try the place that the tenant's jobs use; what is written there is taken away again."""
    key = f"{folder}/kaniko-driver-doctor-{secrets.token_hex(4)}"
    client, content = bucket.client, b"doctor"
    client.list_objects_v2(Bucket=bucket.name, Prefix=f"{folder}/", MaxKeys=1)
    client.put_object(Bucket=bucket.name, Key=key, Body=content)
    found = client.get_object(Bucket=bucket.name, Key=key)["Body"].read()
    # Keys without the right to delete are fine: whole generations expire by the bucket's own rules.
    refused = _refused(lambda: client.delete_object(Bucket=bucket.name, Key=key))
    if found != content:
        yield problem("s3", f"{bucket.name} gave back another object than was written", "Look at the S3 server.")
    else:
        left = f"; {key} is left, for the keys may not delete" if refused else ""
        yield good("s3", f"the tenant's keys list, write and read below {folder}/ in {bucket.name}{left}")


def _foreign(bucket: Bucket, tenant: Tenant, others: list[Tenant]) -> Iterator[Finding]:
    """Try places of others: what is not refused is open to every build that finds the keys."""
    client = bucket.client
    tries: list[tuple[str, Callable[[], Any]]] = []
    for other in others:
        if other.cache.mode == "off" or other.cache.endpoint != tenant.cache.endpoint:
            continue
        name, folder = other.cache.bucket, generation.folder(other.cache.prefix, other.name)
        key = f"{folder}/kaniko-driver-doctor-{secrets.token_hex(4)}"
        tries += [
            (f"list {folder}/ in {name}", partial(_listed, client, name, folder)),
            (f"write below {folder}/ in {name}", partial(_written, client, name, key)),
        ]
    stranger = f"{generation.folder(tenant.cache.prefix, 'kaniko-driver-doctor')}/{secrets.token_hex(4)}"
    tries.append((f"write beside its own folder in {bucket.name}", partial(_written, client, bucket.name, stranger)))
    opened = [what for what, attempt in tries if not _refused(attempt)]
    beside = [what for what in opened if what.startswith("write beside")]
    worse = [what for what in opened if what not in beside]
    if worse:
        yield problem("s3-closed", f"the tenant's keys also {', '.join(worse)}", f"Limit them to its own place. {_HOW}")
    elif beside and any(other.cache.bucket == tenant.cache.bucket for other in others):
        yield problem("s3-closed", f"the tenant's keys also {beside[0]}, which others share", f"Limit them. {_HOW}")
    elif beside:
        yield warning(
            "s3-closed",
            f"the tenant's keys open the whole of {bucket.name}, which is fine while the bucket is its alone",
            f"Limit them to its own place before anybody shares the bucket. {_HOW}",
        )
    else:
        yield good("s3-closed", "the tenant's keys are refused everywhere else that was tried")


def _listed(client: Any, bucket: str, folder: str) -> None:
    client.list_objects_v2(Bucket=bucket, Prefix=f"{folder}/", MaxKeys=1)


def _written(client: Any, bucket: str, key: str) -> None:
    client.put_object(Bucket=bucket, Key=key, Body=b"doctor")
    client.delete_object(Bucket=bucket, Key=key)


def _refused(attempt: Callable[[], Any]) -> bool:
    """Tell whether S3 says no, and nothing else: a bucket that does not exist is closed, too."""
    from botocore.exceptions import ClientError

    try:
        attempt()
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        code = error.response.get("Error", {}).get("Code")
        if status in _DENIED or code == "NoSuchBucket":
            return True
        raise
    return False
