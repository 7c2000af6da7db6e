"""A server of S3, STS and IAM on this machine's loopback address: moto, in a process of its own.

It asks for signatures and for rights only after `Aws.guard`, and knows roles and lifecycle rules, which the bed's
server does not. What it does not do is to narrow a role's keys by the policy of AssumeRole.
"""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from testbed.wait import wait_for
from tests.support import ports

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEYS = ("AKIAADMINISTRATOR", "s3cret")
REGION = "eu-central-1"
_DRIVER = "arn:aws:iam::123456789012:user/driver"


@dataclass(frozen=True)
class Aws:
    """One that runs."""

    url: str

    def client(self, service: str) -> Any:
        """Return boto3's client of a service, with keys that are good until `guard`."""
        import boto3

        access, secret = KEYS
        return boto3.client(
            service, endpoint_url=self.url, region_name=REGION, aws_access_key_id=access, aws_secret_access_key=secret
        )

    def role(self, name: str, actions: list[str], resources: list[str]) -> str:
        """Make a role that the user `driver` may take on; returns its ARN."""
        iam = self.client("iam")
        trust = {"Effect": "Allow", "Principal": {"AWS": _DRIVER}, "Action": "sts:AssumeRole"}
        made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=_policy(trust))["Role"]["Arn"]
        allowed = {"Effect": "Allow", "Action": actions, "Resource": resources}
        iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=_policy(allowed))
        return str(made)

    def driver(self) -> tuple[str, str]:
        """Make that user; returns keys."""
        iam, name = self.client("iam"), _DRIVER.rpartition("/")[2]
        iam.create_user(UserName=name)
        allowed = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}
        iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=_policy(allowed))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return key["AccessKeyId"], key["SecretAccessKey"]

    def guard(self, *, after: int = 0) -> None:
        """After so many requests from now every one needs a right signature, and the right to what it asks for."""
        self._tell("reset-auth", str(after).encode())

    def forget(self) -> None:
        """Begin anew, without a guard."""
        self._tell("reset", b"")
        self._tell("reset-auth", b"1000")

    def _tell(self, what: str, body: bytes) -> None:
        # A form, urllib's usual kind of body, is none to it.
        plain = {"Content-Type": "text/plain"}
        request = urllib.request.Request(f"{self.url}/moto-api/{what}", body, plain, method="POST")  # noqa: S310 - ours
        with urllib.request.urlopen(request, timeout=10):  # noqa: S310 - the same
            pass


def _policy(statement: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@contextmanager
def aws(folder: Path) -> Iterator[Aws]:
    """Run it for the block; its log is in the folder."""
    port = ports.free("127.0.0.1")
    environment = {"PATH": "/usr/bin:/bin", "INITIAL_NO_AUTH_ACTION_COUNT": "1000"}
    with (folder / "aws.log").open("wb") as log:
        command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        wait_for("moto's server", lambda: ports.listens("127.0.0.1", port), 180)
        yield Aws(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait(10)
