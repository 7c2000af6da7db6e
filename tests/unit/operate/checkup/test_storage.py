"""What S3 itself fails at, while the tenant's keys are tried, is S3's trouble and no defect of the driver."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from executor.cache.bucket import Bucket
from executor.operate import cache_access
from executor.operate.checkup import findings, storage
from tests.support.tenants import tenant

CACHE = {"mode": "read-write", "bucket": "layers", "secret": "keys", "endpoint": "https://s3.example.com"}
IMAGES = {"cache_registry": "r/registry:1"}


class Server:
    """Takes what is the tenant's own, and fails at what is another's."""

    def __init__(self, failure: Exception) -> None:
        self._failure = failure
        self._kept: dict[str, bytes] = {}

    def list_objects_v2(self, *, Prefix: str, **_: Any) -> dict[str, Any]:  # noqa: N803 - S3's words
        return self._own(Prefix)

    def put_object(self, *, Key: str, Body: bytes, **_: Any) -> dict[str, Any]:  # noqa: N803 - S3's words
        self._kept[Key] = Body
        return self._own(Key)

    def get_object(self, *, Key: str, **_: Any) -> dict[str, Any]:  # noqa: N803 - S3's words
        return {"Body": BytesIO(self._kept[Key])}

    def delete_object(self, **_: Any) -> dict[str, Any]:
        return {}

    def _own(self, path: str) -> dict[str, Any]:
        if "/tenant-a/" not in path:
            raise self._failure
        return {}


@pytest.mark.parametrize(
    "failure",
    [
        ClientError({"Error": {"Code": "SlowDown"}, "ResponseMetadata": {"HTTPStatusCode": 503}}, "PutObject"),
        EndpointConnectionError(endpoint_url="https://s3.example.com"),
    ],
)
def test_a_server_that_fails_in_the_middle_is_told_as_such(monkeypatch: pytest.MonkeyPatch, failure: Exception) -> None:
    one = tenant(cache=CACHE, images=IMAGES)
    monkeypatch.setattr(cache_access, "bucket_of", lambda *_, **__: Bucket(one.cache, client=Server(failure)))
    check = findings.Check(
        name="s3", tenant="tenant-a", make=lambda: storage.storage(one, [], kubeconfig="", context="")
    )

    (found,) = findings.run([check])

    assert (found.verdict, found.check) == ("problem", "s3")
    assert found.what.startswith("S3 ")
    assert "defect" not in found.remedy
