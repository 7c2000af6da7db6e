"""The tenant's bucket, for operator commands. Beside sts.py the only module that imports boto3, and only then.

Listings are streams of pages: ten million objects pass through, and are never in memory together.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from executor.categories import Category
from executor.errors import DriverError
from executor.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator

    from executor.settings.model import Cache

_CONNECT_SECONDS, _READ_SECONDS = 5, 60
_ATTEMPTS = 4
_ABORT = "AbortIncompleteMultipartUpload"
_NOT_IMPLEMENTED = 501
_NOT_UNDERSTOOD = frozenset({400, _NOT_IMPLEMENTED})
_BATCH = 1000
"""The most objects that one request may delete."""


class BucketFailed(DriverError):
    """S3 did not do what an operator's command asked for."""

    category = Category.SETTINGS


@dataclass(frozen=True, kw_only=True)
class Keys:
    """A key pair, with a session's token where it has one."""

    access: str
    secret: str
    token: str = ""

    def __repr__(self) -> str:
        return "Keys(…)"


class Bucket:
    """One bucket on one server."""

    def __init__(self, cache: Cache, keys: Keys | None = None, *, client: Any = None) -> None:
        """Make ready to ask; nothing is sent yet.

        Args:
            cache: says which bucket, on which server.
            keys: None: what boto3 finds by itself (environment, ~/.aws, the machine's role).
            client: in place of boto3's own.

        Raises:
            BucketFailed: there are no keys.
        """
        self.name = cache.bucket
        self.client = client or _client(cache, keys)

    def objects(self, prefix: str) -> Iterator[dict[str, Any]]:
        """Yield `Key`, `Size` and `LastModified` of every object below a prefix, in the order of their names.

        Raises:
            BucketFailed: S3 refuses, or cannot be reached.
        """
        with failures(self.name):
            for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix):
                yield from page.get("Contents", ())

    def read(self, key: str) -> bytes | None:
        """Return an object's content; None where there is none."""
        from botocore.exceptions import ClientError

        with failures(self.name):
            try:
                content: bytes = self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
            except ClientError as error:
                if error.response["Error"]["Code"] in {"NoSuchKey", "404"}:
                    return None
                raise
            return content

    def delete(self, keys: Iterator[str]) -> Iterator[int]:
        """Delete objects as their names come; yields how many each request took."""
        batch: list[str] = []
        for key in keys:
            batch.append(key)
            if len(batch) == _BATCH:
                yield self._delete(batch)
                batch = []
        if batch:
            yield self._delete(batch)

    def _delete(self, batch: list[str]) -> int:
        with failures(self.name):
            wanted = {"Objects": [{"Key": key} for key in batch], "Quiet": True}
            left = self.client.delete_objects(Bucket=self.name, Delete=wanted).get("Errors", [])
        if left:
            raise BucketFailed(
                f"{len(left)} objects of {self.name} could not be deleted.",
                why=f"{left[0].get('Key')}: {left[0].get('Message') or left[0].get('Code')}",
                remedy="The keys need s3:DeleteObject. What was deleted before is gone; the command may be repeated.",
            )
        return len(batch)

    def rules(self) -> list[dict[str, Any]]:
        """Return the bucket's lifecycle rules."""
        from botocore.exceptions import ClientError

        with failures(self.name):
            try:
                found: list[dict[str, Any]] = self.client.get_bucket_lifecycle_configuration(Bucket=self.name)["Rules"]
            except ClientError as error:
                if error.response["Error"]["Code"] == "NoSuchLifecycleConfiguration":
                    return []
                if error.response["ResponseMetadata"]["HTTPStatusCode"] == _NOT_IMPLEMENTED:
                    raise BucketFailed(
                        f"The server of the bucket {self.name} knows no lifecycle rules.",
                        remedy="Let a timer call `kaniko-driver cache purge TENANT --expired --yes` once a day.",
                    ) from error
                raise
            return found

    def versioned(self) -> bool:
        """Tell whether the bucket keeps old versions of its objects."""
        with failures(self.name):
            return bool(self.client.get_bucket_versioning(Bucket=self.name).get("Status") == "Enabled")

    def write_rules(self, rules: list[dict[str, Any]], own: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Replace the bucket's lifecycle rules; returns our own as they were written.

        MinIO and servers like it take no rule for unfinished uploads (they end those by themselves).
        """
        from botocore.exceptions import ClientError

        with failures(self.name):
            try:
                self._write(rules)
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] not in _NOT_UNDERSTOOD:
                    raise
                own = [{key: value for key, value in rule.items() if key != _ABORT} for rule in own]
                names = {rule["ID"] for rule in own}
                self._write([*(rule for rule in rules if rule.get("ID") not in names), *own])
        return own

    def _write(self, rules: list[dict[str, Any]]) -> None:
        self.client.put_bucket_lifecycle_configuration(Bucket=self.name, LifecycleConfiguration={"Rules": rules})


def _client(cache: Cache, keys: Keys | None) -> Any:
    # Imported here: half a second, and only these commands need it.
    import boto3
    from botocore.config import Config

    session = boto3.Session(
        aws_access_key_id=keys.access if keys else None,
        aws_secret_access_key=keys.secret if keys else None,
        aws_session_token=(keys.token or None) if keys else None,
    )
    if session.get_credentials() is None:
        raise BucketFailed(
            "There are no keys for S3.",
            why="Neither the environment (AWS_ACCESS_KEY_ID, AWS_PROFILE) nor ~/.aws has any.",
            remedy="Set them, or give --tenant-keys to use those of the tenant's Secret in the cluster.",
        )
    return session.client(
        "s3",
        endpoint_url=cache.endpoint or None,
        region_name=cache.region,
        verify=cache.ca_file or None,
        config=Config(
            s3={"addressing_style": "path" if cache.path_style else "auto"},
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=_READ_SECONDS,
            retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
            # Other servers than AWS know no newer checksums.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


@contextmanager
def failures(bucket: str) -> Iterator[None]:
    """Put what boto3 raises into words.

    Raises:
        BucketFailed: in its place.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        told = error.response.get("Error", {})
        raise BucketFailed(
            f"S3 refused a request for the bucket {bucket}.",
            why=f"{error.operation_name}: {told.get('Code')}: {told.get('Message')}",
            remedy="Check [cache] bucket, and that the keys have the rights that docs/en/how-to/layer-cache.md lists.",
        ) from error
    except BotoCoreError as error:
        raise BucketFailed(
            f"S3 could not be asked about the bucket {bucket}.",
            why=str(error),
            remedy="Check [cache] endpoint, region and ca_file, and that this host may reach the server.",
        ) from error
