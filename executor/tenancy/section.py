"""A tenant's section of the runner's config.toml: what makes GitLab Runner call the driver. Pure.

As runner-config.toml.example tells operators to write it; secrets are never part of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from executor.settings.model import Tenant

PROGRAM = "/usr/local/bin/kaniko-driver"
SETTINGS = "/etc/kaniko-driver"
_LEAST_PREPARE_TIMEOUT = 1500
_LEAST_KILL_TIMEOUT = 60
_AMAZON = "s3.amazonaws.com"


def section(tenant: Tenant, *, token: str, program: str = PROGRAM, settings: str = SETTINGS) -> dict[str, Any]:
    """Return the `[[runners]]` table.

    Args:
        tenant: whose jobs it takes.
        token: the runner's token, or what stands in its place.
        program: path of `kaniko-driver` where the runner runs.
        settings: folder with driver.toml there.
    """
    cache = _cache(tenant)
    return {
        "name": tenant.name,
        "url": tenant.gitlab.url,
        "token": token,
        "executor": "custom",
        "limit": tenant.capacity.jobs,
        # So that a burst of jobs is fetched at once and not one a poll.
        "request_concurrency": 4,
        "custom": custom(tenant, program=program, settings=settings),
        **({"cache": cache} if cache else {}),
    }


def custom(tenant: Tenant, *, program: str = PROGRAM, settings: str = SETTINGS) -> dict[str, Any]:
    """Return the `[runners.custom]` table: each stage's command, and how long it may take, in seconds."""
    waits = tenant.timeouts
    return {
        "config_exec": program,
        "config_args": ["config", "--settings", settings, "--tenant", tenant.name],
        "config_exec_timeout": 60,
        "prepare_exec": program,
        "prepare_args": ["prepare"],
        # So that the driver's own words about a pod that does not start come first.
        "prepare_exec_timeout": max(_LEAST_PREPARE_TIMEOUT, waits.until_ready + 300),
        "run_exec": program,
        "run_args": ["run"],
        "cleanup_exec": program,
        "cleanup_args": ["cleanup"],
        "cleanup_exec_timeout": 120,
        "graceful_kill_timeout": max(_LEAST_KILL_TIMEOUT, waits.stop_grace.seconds + 30),
        "force_kill_timeout": 10,
    }


def _cache(tenant: Tenant) -> dict[str, Any]:
    runner = tenant.runner
    if not runner.cache_bucket:
        return {}
    scheme, _, server = tenant.cache.endpoint.partition("://")
    s3 = {
        "ServerAddress": runner.cache_server or server.partition("/")[0] or _AMAZON,
        "BucketName": runner.cache_bucket,
        "BucketLocation": runner.cache_region or tenant.cache.region,
        # Without keys here the runner takes those of its environment.
        "AuthenticationType": "iam",
        "Insecure": scheme == "http",
        "PathStyle": tenant.cache.path_style,
    }
    return {"Type": "s3", "Path": tenant.name, "Shared": False, "s3": s3}
