"""Checks of the tenant's registry logins, from this machine, as Kaniko would log in."""

from __future__ import annotations

import base64
import json
import re
import ssl
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from executor.operate.checkup.findings import good, problem, skipped

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import Message

    from executor.operate.checkup.findings import Finding
    from executor.settings.model import Tenant

_SECONDS = 10
_OK, _REFUSED = 200, (401, 403)
_ALIASES = {"https://index.docker.io/v1/": "registry-1.docker.io", "index.docker.io": "registry-1.docker.io"}
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')


def hosts(path: str) -> list[str]:
    """Return the registries that a docker config.json has logins for."""
    return list(_read(path))


def logins(tenant: Tenant) -> Iterator[Finding]:
    """Are the logins in registry.logins_file taken?"""
    found = _read(tenant.registry.logins_file)
    if not found:
        yield skipped("registry-login", "the tenant has no registry logins of its own (registry.logins_file)")
    for host, login in found.items():
        yield _try(host, login)


def _try(host: str, login: str) -> Finding:
    try:
        status, headers = _get(f"https://{host}/v2/", "")
        if status in _REFUSED:
            challenge = headers.get("WWW-Authenticate") or ""
            status = _with_login(host, challenge, login)
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        return skipped(
            "registry-login",
            f"{host} could not be asked from this machine: {reason}",
            "The trial pod tells whether pods reach it; whether the login is taken shows the first push.",
        )
    if status == _OK:
        return good("registry-login", f"{host} takes the tenant's login")
    return problem(
        "registry-login",
        f"{host} refuses the tenant's login (HTTP {status})",
        "Renew it in registry.logins_file.",
    )


def _with_login(host: str, challenge: str, login: str) -> int:
    """Log in as the challenge wants it (distribution's docs/spec/auth/token.md), and return the status."""
    scheme, _, rest = challenge.partition(" ")
    if scheme.lower() != "bearer":
        return _get(f"https://{host}/v2/", f"Basic {login}")[0]
    parameters = dict(_PARAMETER.findall(rest))
    realm = parameters.get("realm", "")
    if not realm.startswith("https://"):
        raise ValueError("it wants the login over a connection that is not encrypted")
    query = urlencode({"service": parameters.get("service", ""), "account": "kaniko-driver"})
    return _get(f"{realm}{'&' if '?' in realm else '?'}{query}", f"Basic {login}")[0]


def _get(url: str, authorization: str) -> tuple[int, Message]:
    headers = {"User-Agent": "kaniko-driver"} | ({"Authorization": authorization} if authorization else {})
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - https alone gets here
    opener = urllib.request.build_opener(_NoRedirect, urllib.request.HTTPSHandler(context=ssl.create_default_context()))
    try:
        with opener.open(request, timeout=_SECONDS) as answer:
            return answer.status, answer.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Never carry a login to another address."""

    def redirect_request(self, *_: object, **__: object) -> None:
        return None


def _read(path: str) -> dict[str, str]:
    """Return registry -> login in base64; what cannot be read is for `validate` to say."""
    if not path:
        return {}
    try:
        with open(path, encoding="utf-8") as file:
            entries = json.load(file)["auths"]
        found = {}
        for name, entry in entries.items():
            login = entry.get("auth") or base64.b64encode(f"{entry['username']}:{entry['password']}".encode()).decode()
            host = _ALIASES.get(name) or name.removeprefix("https://").partition("/")[0]
            found[host] = str(login)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return {}
    return found
