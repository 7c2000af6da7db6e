"""Configuration of the cache registry on the pod's loopback address, which stores in S3 (cache-registry/)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from executor.cache import generation

if TYPE_CHECKING:
    from executor.cache.use import Use
    from executor.settings.model import Cache

REPOSITORY = "layers"
COMMAND = "/cache-registry"
SPOOL_FOLDER = "/spool"


def address(cache: Cache) -> str:
    """Return host and port of the cache registry inside the pod."""
    return f"127.0.0.1:{cache.port}"


def configuration(cache: Cache, use: Use, *, tenant: str, ca: str, pulse: str, idle: int) -> str:
    """Return the text of the variable LAYER_CACHE, as cache-registry/settings.go reads it.

    Args:
        cache: the tenant's settings.
        use: what the job may do.
        tenant: its name.
        ca: PEM text of authorities beside the system's; may be empty.
        pulse: folder whose time stamp says that the pod is in use.
        idle: seconds without it after which the registry ends.
    """
    length = cache.generation.seconds
    return json.dumps(
        {
            "listen": address(cache),
            "bucket": cache.bucket,
            "region": cache.region,
            "endpoint": cache.endpoint,
            "path_style": cache.path_style,
            "ca": ca,
            "prefix": use.prefix,
            "also_read": use.also_read,
            # The number is computed at the first request: a pod may start long before its job.
            "generation_seconds": length,
            "stagger_seconds": generation.stagger(tenant, length),
            "read_only": use.mode == "read-only",
            "spool": SPOOL_FOLDER,
            "spool_bytes": cache.spool.count,
            "patience_seconds": cache.patience.seconds,
            "pulse": pulse,
            "idle_seconds": idle,
        }
    )


def kaniko_flags(cache: Cache, use: Use) -> tuple[str, ...]:
    """Return the flags that make Kaniko use the cache."""
    return (
        "--cache=true",
        f"--cache-repo={address(cache)}/{REPOSITORY}",
        f"--cache-copy-layers={str(cache.copy_layers).lower()}",
        # As long as an entry is found: the generation before is read, too.
        f"--cache-ttl={2 * cache.generation.seconds}s",
        # The registry refuses writes all the same; this spares Kaniko the work, and the log a warning for each layer.
        *(("--no-push-cache=true",) if use.mode == "read-only" else ()),
    )
