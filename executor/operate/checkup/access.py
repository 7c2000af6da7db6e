"""Checks of the way to the cluster, as the tenant's driver: the server, the clock, each right, and no right more."""

from __future__ import annotations

import base64
import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from executor.cluster import credentials
from executor.cluster.inquiry import ask
from executor.operate.checkup.findings import good, problem, skipped, warning
from executor.tenancy.rights import rules

if TYPE_CHECKING:
    from collections.abc import Iterator

    from executor.job import Connection
    from executor.operate.checkup.findings import Finding
    from executor.settings.model import Tenant

_LEAST, _WITH_POLICIES = (1, 29), (1, 30)
_SKEW_WARNING, _SKEW_PROBLEM = 30.0, 300.0
"""Seconds. S3 servers refuse signatures at 900, and short-lived tokens are checked to the second."""
_DAY = 86_400
_RENEW_DAYS = 14
_FORBIDDEN, _UNAUTHORIZED = 403, 401
_BAD_REQUEST = 400
_REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_TOO_MUCH = (
    ("", "secrets", "", "get"),
    ("", "secrets", "", "list"),
    ("", "configmaps", "", "list"),
    ("rbac.authorization.k8s.io", "rolebindings", "", "create"),
)
"""Group, resource, subresource, verb in its own namespace: no job needs them, and a stolen token could use them."""


def server(tenant: Tenant, connection: Connection) -> Iterator[Finding]:
    """Is the API server there, new enough, and does its clock agree with ours?"""
    answer = ask(connection, "/version")
    if answer.status == _UNAUTHORIZED:
        yield problem(
            "cluster",
            f"{connection.server} does not take the driver's credentials",
            "Make new ones.",
            f"kaniko-driver tenant kubeconfig {tenant.name}",
        )
        return
    if answer.status >= _BAD_REQUEST:
        # Some clusters tell their version to nobody.
        yield warning(
            "cluster",
            f"{connection.server} does not tell its version: {answer.message}",
            "Make sure that it is Kubernetes 1.29 or later.",
        )
    else:
        yield _version(answer.body, answer.seconds, connection)
    if answer.skew is None:
        yield skipped("clock", "the API server's answer has no date")
    elif abs(answer.skew) > _SKEW_WARNING:
        ahead = f"{abs(answer.skew):.0f} s {'behind' if answer.skew > 0 else 'ahead of'} the API server's"
        make = problem if abs(answer.skew) > _SKEW_PROBLEM else warning
        yield make(
            "clock",
            f"this machine's clock is {ahead}",
            "Let both be set by NTP: tokens and S3 signatures are refused when clocks differ.",
            "timedatectl set-ntp true",
        )
    else:
        yield good("clock", f"differs from the API server's by {abs(answer.skew):.0f} s")


def _version(body: dict[str, object], seconds: float, connection: Connection) -> Finding:
    shown = str(body.get("gitVersion") or "unknown")
    match = re.match(r"v(\d+)\.(\d+)", shown)
    version = (int(match[1]), int(match[2])) if match else (0, 0)
    if version < _LEAST:
        return problem(
            "cluster",
            f"Kubernetes {shown} at {connection.server}",
            "Kubernetes 1.29 is the least: upgrade the cluster.",
        )
    if version < _WITH_POLICIES:
        return warning(
            "cluster",
            f"Kubernetes {shown} at {connection.server} has no admission policies",
            "With 1.30 or later the cluster itself refuses pods that are made with a stolen driver's token.",
        )
    return good("cluster", f"Kubernetes {shown} at {connection.server} answers in {seconds * 1000:.0f} ms")


def login(tenant: Tenant, connection: Connection) -> Iterator[Finding]:
    """How long do the driver's credentials last?"""
    if connection.exec_plugin or not connection.token_file or not tenant.cluster.kubeconfig:
        yield good("login", "credentials are renewed by themselves, or are a certificate")
        return
    token = credentials.authorization(connection)["Authorization"].partition(" ")[2]
    expiry = _expiry(token)
    if expiry is None:
        yield warning(
            "login",
            "the kubeconfig's token does not tell until when it is valid",
            "A token for a time is safer.",
            f"kaniko-driver tenant kubeconfig {tenant.name}",
        )
        return
    days = (expiry - time.time()) / _DAY
    shown = time.strftime("%Y-%m-%d", time.gmtime(expiry))
    if days < _RENEW_DAYS:
        make = problem if days < 0 else warning
        yield make(
            "login",
            f"the kubeconfig's token {'was' if days < 0 else 'is'} valid until {shown}",
            "Renew it; running jobs go on.",
            f"kaniko-driver tenant kubeconfig {tenant.name}",
        )
    else:
        yield good("login", f"the kubeconfig's token is valid until {shown}")


def _expiry(token: str) -> float | None:
    """Read a JSON web token's end (RFC 7519) without believing it: the server decides."""
    try:
        payload = token.split(".")[1]
        document = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return float(document["exp"])
    except (LookupError, ValueError, TypeError):
        return None


def rights(tenant: Tenant, connection: Connection, foreign: tuple[str, ...]) -> Iterator[Finding]:
    """Has the driver each right that a job needs, and none that would reach beyond its tenant?

    Args:
        tenant: whose driver it is.
        connection: with its credentials.
        foreign: namespaces of others, in which it must be able to do nothing.
    """
    own = tenant.cluster.namespace
    needed = [
        (group, *_split(resource), verb)
        for rule in rules(tenant)
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    ]
    wanted = [(own, *right) for right in needed]
    unwanted = [(own, *right) for right in _TOO_MUCH]
    unwanted += [
        (place, *right) for place in foreign for right in (("", "pods", "", "create"), ("", "secrets", "", "get"))
    ]
    unwanted += [("", "", "nodes", "", "patch")]
    with ThreadPoolExecutor(max_workers=8) as pool:
        answers = list(pool.map(lambda one: _allowed(connection, *one), [*wanted, *unwanted]))
    if None in answers:
        yield skipped("rights", "the cluster does not let accounts ask for their own rights")
        return
    missing = [_words(*right) for right, allowed in zip(wanted, answers, strict=False) if not allowed]
    apply = f"kaniko-driver tenant apply {tenant.name}"
    if missing:
        yield problem("rights", f"the driver lacks: {', '.join(missing)}", "Give them to its account.", apply)
    else:
        yield good("rights", f"all {len(wanted)} that jobs need, in {own}")
    too_much = [_words(*right) for right, allowed in zip(unwanted, answers[len(wanted) :], strict=True) if allowed]
    if too_much:
        yield problem(
            "too-many-rights",
            f"whoever gets hold of the driver's credentials may also: {', '.join(too_much)}",
            "Use an account with the rights of `kaniko-driver tenant render` alone; look for other bindings of it.",
            apply,
            f"kaniko-driver tenant kubeconfig {tenant.name} --revoke",
        )
    else:
        yield good("too-many-rights", "none beyond those" + (f", and none in {', '.join(foreign)}" if foreign else ""))


def _split(resource: str) -> tuple[str, str]:
    name, _, below = resource.partition("/")
    return name, below


def _allowed(connection: Connection, namespace: str, group: str, resource: str, below: str, verb: str) -> bool | None:
    attributes = {"namespace": namespace, "group": group, "resource": resource, "subresource": below, "verb": verb}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {key: value for key, value in attributes.items() if value}},
    }
    answer = ask(connection, _REVIEW, body=review)
    if answer.status == _FORBIDDEN:
        return None
    return bool((answer.body.get("status") or {}).get("allowed"))


def _words(namespace: str, group: str, resource: str, below: str, verb: str) -> str:
    name = f"{resource}/{below}" if below else resource
    return f"{verb} {name}{f'.{group}' if group else ''}{f' in {namespace}' if namespace else ''}"
