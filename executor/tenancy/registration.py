"""The tenant's runner: what GitLab must know of it, and its section of GitLab Runner's config.toml. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from executor.settings.model import Tenant

NO_TOKEN = "glrt-REPLACE-ME"  # noqa: S105 - says that there is none yet
NO_URL = "https://gitlab.example.com"
_REQUESTS_AT_ONCE = 4
_START_SLACK = 300
_GRACE_SLACK = 30
_SECONDS = 60


def tags(tenant: Tenant) -> tuple[str, ...]:
    """Return the tags by which GitLab gives jobs to this tenant's runner and to no other."""
    return tenant.runner.tags or (tenant.name,)


def api_form(tenant: Tenant) -> dict[str, str]:
    """Return what GitLab's API wants for a new runner (POST /user/runners), the owner's id apart."""
    return {
        "description": f"kaniko-driver for {tenant.name}",
        "tag_list": ",".join(tags(tenant)),
        "run_untagged": "false",
        "locked": "true",
        "access_level": "ref_protected" if tenant.runner.protected else "not_protected",
        "maximum_timeout": str(tenant.runner.longest_job.seconds),
    }


def section(tenant: Tenant, *, command: str, settings: str, token: str = NO_TOKEN) -> dict[str, Any]:
    """Return one entry of `[[runners]]`.

    Args:
        tenant: whose runner it is.
        command: absolute path of kaniko-driver on the runner's host.
        settings: absolute path of the settings' folder there.
        token: of the runner, from GitLab.
    """
    timeouts = tenant.timeouts
    # Longer than the driver's own budgets, so that its words come before the runner's.
    start = timeouts.schedule.seconds + timeouts.start.seconds + _START_SLACK
    return {
        "name": tenant.name,
        "url": tenant.gitlab.url or NO_URL,
        "token": token,
        "executor": "custom",
        "limit": tenant.capacity.jobs,
        "request_concurrency": _REQUESTS_AT_ONCE,
        "custom": {
            "config_exec": command,
            "config_args": ["config", "--settings", settings, "--tenant", tenant.name],
            "config_exec_timeout": 60,
            "prepare_exec": command,
            "prepare_args": ["prepare"],
            "prepare_exec_timeout": start,
            "run_exec": command,
            "run_args": ["run"],
            "cleanup_exec": command,
            "cleanup_args": ["cleanup"],
            "cleanup_exec_timeout": 120,
            # A cancelled script gets stop_grace from the driver, the driver this from the runner.
            "graceful_kill_timeout": max(_SECONDS, timeouts.stop_grace.seconds + _GRACE_SLACK),
            "force_kill_timeout": 10,
        },
        **_cache(tenant),
    }


def toml(tenant: Tenant, *, command: str, settings: str, token: str = NO_TOKEN) -> str:
    """Write that entry as text for config.toml."""
    return "[[runners]]\n" + _table(section(tenant, command=command, settings=settings, token=token), "runners", "  ")


def _cache(tenant: Tenant) -> dict[str, Any]:
    runner, layers = tenant.runner, tenant.cache
    if not runner.cache_bucket:
        return {}
    scheme, _, rest = layers.endpoint.partition("://")
    s3 = {
        "ServerAddress": runner.cache_server or rest.partition("/")[0] or "s3.amazonaws.com",
        "BucketName": runner.cache_bucket,
        "BucketLocation": runner.cache_region or layers.region,
        "AccessKey": "REPLACE-ME",
        "SecretKey": "REPLACE-ME",
        **({"Insecure": True} if scheme == "http" and not runner.cache_server else {}),
        **({"PathStyle": True} if layers.path_style else {}),
    }
    # The path is the tenant's own, and the key must reach nothing else: jobs choose their cache keys themselves.
    return {"cache": {"Type": "s3", "Path": tenant.name, "Shared": False, "s3": s3}}


def _table(table: dict[str, Any], path: str, indent: str) -> str:
    """Write a table, its own keys first. JSON's strings, numbers, booleans and lists are TOML's too."""
    own = [f"{indent}{key} = {_value(value)}\n" for key, value in table.items() if not isinstance(value, dict)]
    below = [
        f"\n{indent}[{path}.{key}]\n{_table(value, f'{path}.{key}', indent + '  ')}"
        for key, value in table.items()
        if isinstance(value, dict)
    ]
    return "".join([*own, *below])


def _value(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
