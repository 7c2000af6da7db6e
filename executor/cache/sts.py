"""S3 keys for one job, by STS: they end with the job, and open the tenant's own prefix alone.

Of the stages only `config` comes here, and only for a tenant whose [cache] credentials are "sts": boto3 costs a third
of a second. What goes wrong makes the build cold and never fails it.
Source: AssumeRole of the STS API; its session policies are cut with what the role itself may do.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from executor.cache import generation
from executor.cache.bucket import BucketFailed, Keys
from executor.values import dataclass

if TYPE_CHECKING:
    from executor.settings.model import Cache, Tenant

SHORTEST, LONGEST = 900, 43_200
"""Seconds that AssumeRole takes."""
CHAINED = 3_600
"""The most that it takes where the caller's own keys are a role's."""
_CONNECT_SECONDS, _READ_SECONDS = 3, 5
_STATIC = frozenset({"env", "shared-credentials-file", "config-file", "explicit"})
"""Where boto3 finds keys that are no role's; a session token says that they are one's all the same."""


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What a look at a tenant's way to keys by STS has shown."""

    problem: str = ""
    """Why no job gets keys; empty where they do."""
    warnings: tuple[str, ...] = ()


def policy(cache: Cache, folder: str, *, read_only: bool) -> str:
    """Return the session policy: one tenant's folder and nothing else. STS takes 2,048 characters."""
    # arn:aws-cn:…, arn:aws-us-gov:… in other parts of AWS.
    words = cache.role.split(":")
    bucket = f"arn:{words[1] if len(words) > 1 else 'aws'}:s3:::{cache.bucket}"
    actions = ["s3:GetObject"] if read_only else ["s3:GetObject", "s3:PutObject"]
    within = {"StringLike": {"s3:prefix": [folder, f"{folder}/*"]}}
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Action": actions, "Resource": f"{bucket}/{folder}/*"},
                {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": bucket, "Condition": within},
            ],
        },
        separators=(",", ":"),
    )


def assume(tenant: Tenant, *, session: str, seconds: int, read_only: bool) -> Keys:
    """Get keys.

    Args:
        tenant: whose they are.
        session: a name for the records of STS, such as the pod's.
        seconds: that the job may take, uploads included.
        read_only: the keys shall not write.

    Raises:
        BucketFailed: STS refuses or does not answer, or cannot give keys that last as long as the job.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    cache = tenant.cache
    asker = _session(cache)
    try:
        given = _client(asker, cache).assume_role(
            RoleArn=cache.role,
            RoleSessionName=re.sub(r"[^\w+=,.@-]", "-", session, flags=re.ASCII)[:64],
            Policy=policy(cache, generation.folder(cache.prefix, tenant.name), read_only=read_only),
            DurationSeconds=_duration(tenant, seconds, LONGEST if not chained(asker) else CHAINED),
        )["Credentials"]
    except ClientError as error:
        told = error.response.get("Error", {})
        why = f"{told.get('Code')}: {told.get('Message')}"
        raise BucketFailed("STS refused keys for the layer cache.", why=why) from error
    except BotoCoreError as error:
        raise BucketFailed("STS could not be asked for keys for the layer cache.", why=str(error)) from error
    return Keys(access=given["AccessKeyId"], secret=given["SecretAccessKey"], token=given.get("SessionToken", ""))


def _duration(tenant: Tenant, seconds: int, most: int) -> int:
    """Return how long keys shall last: the job, and the wait for its pod where there is room for it.

    Raises:
        BucketFailed: they would end before the job.
    """
    if seconds > most:
        raise BucketFailed(
            "No keys for the layer cache last as long as this job.",
            why=f"It may take {seconds} s, uploads included, and STS gives keys for {most} s at the most"
            + (" to somebody whose own keys are a role's (role chaining)." if most == CHAINED else "."),
        )
    return min(max(seconds + tenant.timeouts.until_ready, SHORTEST), most)


def check(tenant: Tenant) -> Findings:
    """Try it, for `doctor`: as the user that runs this, with the longest job that the tenant may have."""
    seconds = tenant.runner.longest_job.seconds + tenant.timeouts.after_job.seconds
    warnings: tuple[str, ...] = ()
    try:
        if seconds > CHAINED and chained(_session(tenant.cache)):
            chain = "the keys that ask STS are a role's themselves (role chaining)"
            warnings = (
                f"{chain}: it gives keys for {CHAINED} s then. Jobs may take {seconds} s; longer ones build uncached",
            )
            seconds = SHORTEST
        assume(tenant, session="kaniko-driver-doctor", seconds=seconds, read_only=True)
    except BucketFailed as error:
        return Findings(problem=f"{error.what} {error.why}".strip(), warnings=warnings)
    return Findings(warnings=warnings)


def chained(session: Any) -> bool:
    """Tell whether a session's keys are a role's: then STS gives out keys for an hour at the most."""
    keys = session.get_credentials()
    return keys is not None and (bool(keys.token) or keys.method not in _STATIC)


def _session(cache: Cache) -> Any:
    import boto3
    from botocore.exceptions import BotoCoreError

    try:
        return boto3.Session(profile_name=cache.sts_profile or None)
    except BotoCoreError as error:
        raise BucketFailed("There are no keys to ask STS with.", why=str(error)) from error


def _client(session: Any, cache: Cache) -> Any:
    from botocore.config import Config

    if session.get_credentials() is None:
        raise BucketFailed(
            "There are no keys to ask STS with.",
            why="Neither cache.sts_profile nor the environment or ~/.aws of the runner's user has any.",
        )
    return session.client(
        "sts",
        endpoint_url=cache.sts_endpoint or None,
        region_name=cache.region,
        verify=cache.ca_file or None,
        # One try: the job waits for it, and can do without.
        config=Config(connect_timeout=_CONNECT_SECONDS, read_timeout=_READ_SECONDS, retries={"total_max_attempts": 1}),
    )
