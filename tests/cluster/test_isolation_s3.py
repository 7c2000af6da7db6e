"""The tenants' real S3 keys: each opens its own buckets and nothing of the other's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from testbed import layout, s3

if TYPE_CHECKING:
    from collections.abc import Callable

PAIRS = [(layout.TENANTS[0], layout.TENANTS[1]), (layout.TENANTS[1], layout.TENANTS[0])]
NAME = "isolation/probe"


@pytest.mark.parametrize(("own", "other"), PAIRS, ids=["a at b", "b at a"])
@pytest.mark.parametrize("kind", ["cache_bucket", "runner_bucket"])
@pytest.mark.parametrize(
    "attempt",
    [
        lambda client, bucket: client.list_objects_v2(Bucket=bucket),
        lambda client, bucket: client.get_object(Bucket=bucket, Key=NAME),
        lambda client, bucket: client.head_object(Bucket=bucket, Key=NAME),
        lambda client, bucket: client.put_object(Bucket=bucket, Key=NAME, Body=b"forged"),
        lambda client, bucket: client.delete_object(Bucket=bucket, Key=NAME),
        lambda client, bucket: client.create_multipart_upload(Bucket=bucket, Key=NAME),
        lambda client, bucket: client.get_bucket_policy(Bucket=bucket),
        lambda client, bucket: client.put_bucket_policy(Bucket=bucket, Policy="{}"),
    ],
    ids=["list", "get", "head", "put", "delete", "multipart", "read policy", "write policy"],
)
@pytest.mark.usefixtures("_bed")
def test_a_tenants_keys_do_nothing_in_the_others_bucket(
    own: layout.Tenant, other: layout.Tenant, kind: str, attempt: Callable[[Any, str], object]
) -> None:
    owner, bucket = s3.client(other.name), getattr(other, kind)
    owner.put_object(Bucket=bucket, Key=NAME, Body=b"the owner's")
    try:
        with pytest.raises(ClientError) as refused:
            attempt(s3.client(own.name), bucket)
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
        assert owner.get_object(Bucket=bucket, Key=NAME)["Body"].read() == b"the owner's"
    finally:
        owner.delete_object(Bucket=bucket, Key=NAME)


@pytest.mark.parametrize("tenant", layout.TENANTS, ids=[tenant.name for tenant in layout.TENANTS])
@pytest.mark.usefixtures("_bed")
def test_a_tenants_keys_show_only_its_own_buckets(tenant: layout.Tenant) -> None:
    client = s3.client(tenant.name)
    shown = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
    assert shown <= {tenant.cache_bucket, tenant.runner_bucket}
    with pytest.raises(ClientError):
        client.create_bucket(Bucket="mine-now")
