"""Configuration of the cache registry: Distribution v3 on the pod's loopback address, storing in S3.

Source of the keys: registry/storage/driver/s3-aws/s3.go and configuration/configuration.go of Distribution 3.1.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.settings.model import Cache

REPOSITORY = "layers"


def address(cache: Cache) -> str:
    """Return host and port of the cache registry inside the pod."""
    return f"127.0.0.1:{cache.port}"


def configuration(cache: Cache, prefix: str) -> str:
    """Return the registry's configuration file; JSON is YAML."""
    s3: dict[str, object] = {
        "bucket": cache.bucket,
        "region": cache.region,
        "rootdirectory": f"/{prefix}",
        "forcepathstyle": cache.path_style,
    }
    if cache.endpoint:
        s3["regionendpoint"] = cache.endpoint
    return json.dumps(
        {
            "version": "0.1",
            "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {
                "s3": s3,
                # Kaniko would need a way, a name and trust for the S3 server itself.
                "redirect": {"disable": True},
                # It walks all uploads of the tenant, from every pod.
                "maintenance": {"uploadpurging": {"enabled": False}},
                # No `cache.blobdescriptor`: with it a lost layer reads as an empty one, and poisons new manifests.
            },
            "http": {"addr": address(cache), "draintimeout": "5s"},
            "health": {"storagedriver": {"enabled": False}},
        }
    )


def kaniko_flags(cache: Cache) -> tuple[str, ...]:
    """Return the flags that make Kaniko use the cache."""
    return (
        "--cache=true",
        f"--cache-repo={address(cache)}/{REPOSITORY}",
        "--cache-copy-layers=true",
        f"--cache-ttl={cache.generation.text}",
    )
