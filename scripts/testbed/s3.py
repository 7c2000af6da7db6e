"""The bed's S3 server: the process, its root, and one user for each tenant who may reach only the tenant's buckets."""

from __future__ import annotations

import json
import secrets
import socket
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from testbed import layout, programs
from testbed.network import inside
from testbed.pki import write_private
from testbed.process import Service, run

if TYPE_CHECKING:
    from testbed.layout import Tenant

FOLDER = layout.STATE / "s3"
ROOT = "root"
OBJECT_ACTIONS = (
    *("s3:GetObject", "s3:PutObject", "s3:DeleteObject"),
    *("s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"),
)
BUCKET_ACTIONS = ("s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads")


@dataclass(frozen=True)
class Credentials:
    """One user's keys."""

    access_key: str
    secret_key: str


def credentials(user: str) -> Credentials:
    """Return the keys of `root` or of a tenant by its name; made at random on first use."""
    path = FOLDER / "keys" / f"{user}.json"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = Credentials(f"bed-{user}-{secrets.token_hex(4)}", secrets.token_urlsafe(30))
        write_private(path, json.dumps(asdict(fresh)))
    return Credentials(**json.loads(path.read_text()))


def service() -> Service:
    """Return the server."""
    root = credentials(ROOT)
    data, users = FOLDER / "data", FOLDER / "users"
    for folder in (data, users):
        folder.mkdir(parents=True, exist_ok=True)
    address = f"{layout.HOST_ADDRESS}:{layout.S3_PORT}"
    return Service(
        "s3",
        (
            *(str(programs.S3.path), "--port", address, "--region", layout.S3_REGION),
            *("--iam-dir", str(users), "posix", str(data)),
        ),
        # Not among the arguments, which everybody on the machine can read.
        {"ROOT_ACCESS_KEY": root.access_key, "ROOT_SECRET_KEY": root.secret_key},
    )


def ready() -> bool:
    """Whether it answers at all; OSError while it does not listen yet."""
    with inside(), socket.create_connection((layout.HOST_ADDRESS, layout.S3_PORT), timeout=5):
        return True


def client(user: str = ROOT) -> Any:
    """Return a boto3 S3 client; the caller has to be inside the bed's network namespace when using it."""
    import boto3  # slow to import, and `bed up` on a bed that is up does not need it
    from botocore.config import Config

    keys = credentials(user)
    return boto3.client(
        "s3",
        endpoint_url=layout.S3_URL,
        aws_access_key_id=keys.access_key,
        aws_secret_access_key=keys.secret_key,
        region_name=layout.S3_REGION,
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}, connect_timeout=5, read_timeout=60),
    )


def policy(access_key: str, bucket: str) -> dict[str, Any]:
    """Return the bucket policy that lets one user, and nobody else, work with the objects of a bucket."""
    allow = {"Effect": "Allow", "Principal": {"AWS": [access_key]}}
    return {
        "Version": "2012-10-17",
        "Statement": [
            {**allow, "Action": list(BUCKET_ACTIONS), "Resource": f"arn:aws:s3:::{bucket}"},
            {**allow, "Action": list(OBJECT_ACTIONS), "Resource": f"arn:aws:s3:::{bucket}/*"},
        ],
    }


def add_tenant(tenant: Tenant) -> None:
    """Make the tenant's user, buckets and policies. Safe to repeat."""
    keys = credentials(tenant.name)
    if keys.access_key not in _admin("list-users"):
        _admin("create-user", "--access", keys.access_key, "--secret", keys.secret_key, "--role", "user")
    with inside():
        root = client()
        present = {bucket["Name"] for bucket in root.list_buckets()["Buckets"]}
        for bucket in (tenant.cache_bucket, tenant.runner_bucket):
            if bucket not in present:
                root.create_bucket(Bucket=bucket)
            root.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy(keys.access_key, bucket)))


def _admin(*arguments: str) -> str:
    root = credentials(ROOT)
    environment = {
        "PATH": layout.PROGRAM_PATH,
        "ADMIN_ACCESS_KEY": root.access_key,
        "ADMIN_SECRET_KEY": root.secret_key,
    }
    command = (str(programs.S3.path), "admin", "--endpoint-url", layout.S3_URL, "--region", layout.S3_REGION)
    return run((*layout.ENTER, *command, *arguments), environment=environment)
