"""The tenant's runner: what GitLab must know of it, and its section of GitLab Runner's config.toml. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from executor.settings.writer import write
from executor.tenancy.section import section

if TYPE_CHECKING:
    from executor.settings.model import Tenant

NO_TOKEN = "glrt-REPLACE-ME"  # noqa: S105 - says that there is none yet
NO_URL = "https://gitlab.example.com"
NO_KEY = "REPLACE-ME"


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


def toml(tenant: Tenant, *, command: str, settings: str) -> str:
    """Return the tenant's section of config.toml, with words where secrets must be put in.

    Args:
        tenant: whose runner it is.
        command: absolute path of kaniko-driver on the runner's host.
        settings: absolute path of the settings' folder there.
    """
    table = section(tenant, token=NO_TOKEN, program=command, settings=settings)
    table["url"] = table["url"] or NO_URL
    if "cache" in table:
        s3 = {key: value for key, value in table["cache"]["s3"].items() if key != "AuthenticationType" and value}
        table["cache"]["s3"] = s3 | {"AccessKey": NO_KEY, "SecretKey": NO_KEY}
    return write({"runners": [table]})
