"""The registry logins that a build starts with: the job's own over the tenant's.

The wrapper in the pod lays what the script itself sets over them: DOCKER_AUTH_CONFIG, then its config.json.
"""

from __future__ import annotations

import json
from base64 import b64encode
from typing import TYPE_CHECKING, Any

from executor.errors import SettingsInvalid

if TYPE_CHECKING:
    from collections.abc import Iterable

    from executor.runner.response import RegistryLogin


def merged_logins(tenant: str, job: Iterable[RegistryLogin]) -> str:
    """Return a docker config.json, or nothing where there are no logins.

    Args:
        tenant: text of the tenant's config.json; may be empty.
        job: `credentials` of the job response.

    Raises:
        SettingsInvalid: the tenant's text is no config.json.
    """
    document = _parsed(tenant)
    auths = dict(document.get("auths") or {})
    for login in job:
        auths[login.url] = {"auth": b64encode(f"{login.username}:{login.password}".encode()).decode()}
    if not auths and not document:
        return ""
    return json.dumps(document | {"auths": auths})


def _parsed(text: str) -> dict[str, Any]:
    if not text.strip():
        return {}
    try:
        document = json.loads(text)
        if not isinstance(document, dict) or not isinstance(document.get("auths") or {}, dict):
            raise ValueError
    except ValueError:
        # Not the parser's own words: they may quote a password.
        raise SettingsInvalid(
            "The tenant's registry logins are no docker config.json.",
            remedy="The operator must correct the file named in registry.logins_file.",
        ) from None
    return document
