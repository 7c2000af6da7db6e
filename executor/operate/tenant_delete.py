"""tenant delete: say what goes and what stays, ask, and remove it; the fence goes last."""

from __future__ import annotations

import json
import time
from functools import partial
from typing import TYPE_CHECKING

import click

from executor.cluster.admin import Admin, Reference
from executor.errors import ClusterUnreachable
from executor.operate.shown import agreed
from executor.operate.tenant_apply import check_namespace
from executor.pod import names
from executor.settings.load import load
from executor.tenancy import login, objects

if TYPE_CHECKING:
    from collections.abc import Callable

    from executor.settings.model import Tenant

_PATIENCE = 180.0
"""Seconds for a namespace to go; pods have their grace period, and the cluster its own pace."""
_LOOK_EVERY = 1.0
_ENDED = ("Succeeded", "Failed")


def delete_tenant(
    name: str, *, settings: str, rights: tuple[str, str], yes: bool, keep_namespace: bool, output: str
) -> None:
    """Carry out the command; `rights` are kubeconfig and context of the operator. JSON comes last, words to stderr.

    Raises:
        ClusterRefused: a right is missing.
        ClusterUnreachable: a namespace does not go.
    """
    tenant = load(settings, name).tenant
    admin = Admin(kubeconfig=rights[0], context=rights[1])
    check_namespace(admin, tenant)
    beside = (names.runner_namespace(name), names.images_namespace(name))
    homes = [*map(_namespace, beside), _namespace(tenant.cluster.namespace)]
    manifests = [*objects.render(tenant), login.anchor(name, tenant.cluster.namespace)]
    own = [*homes[:-1], *map(Reference.of, manifests)]
    there = [one for one in own if _is_its(admin, one, name) and not (keep_namespace and one == homes[-1])]
    say = partial(click.echo, err=output == "json")
    if there:
        _say_what_goes(tenant, admin, there, homes, say)
        if not yes:
            agreed(f"Delete {name} from {admin.server.url}?")
        _delete(admin, there, [home for home in homes if home in there], say)
    else:
        say(f"There is nothing of {name} in {admin.server.url}.")
    left = _what_stays(tenant, settings)
    if output == "json":
        rows = [{"kind": one.kind, "name": one.name, "namespace": one.namespace} for one in there]
        report = {"name": name, "server": admin.server.url, "deleted": rows, "left": left}
        click.echo(json.dumps(report, indent=2, ensure_ascii=False))
    elif there:
        say(f"Left for you: {', '.join(left)}.")


def _say_what_goes(
    tenant: Tenant, admin: Admin, there: list[Reference], homes: list[Reference], say: Callable[[str], None]
) -> None:
    for reference in there:
        say(f"to delete {reference}")
    for home in homes:
        if home in there:
            say(_what_goes_with(admin, home))
    layers = f"the layer cache in bucket {tenant.cache.bucket}" if tenant.cache.bucket else "data in S3"
    say(f"Not touched: {layers}, images in registries, the settings file, the runner in GitLab.")


def _namespace(name: str) -> Reference:
    return Reference(version="v1", kind="Namespace", name=name)


def _is_its(admin: Admin, reference: Reference, tenant: str) -> bool:
    """Tell whether there is such an object, made for this tenant; what merely has the name is somebody else's."""
    found = admin.get(reference) if admin.serves(reference) else None
    return found is not None and found["metadata"].get("labels", {}).get(names.TENANT_LABEL) == tenant


def _what_goes_with(admin: Admin, home: Reference) -> str:
    pods = admin.list(Reference(version="v1", kind="Pod", namespace=home.name))
    running = [pod for pod in pods if pod.get("status", {}).get("phase") not in _ENDED]
    secrets = admin.list(Reference(version="v1", kind="Secret", namespace=home.name))
    return (
        f"With namespace {home.name} go {len(running)} running and {len(pods) - len(running)} ended pods, "
        f"{len(secrets)} Secrets, and whatever else is in it."
    )


def _delete(admin: Admin, there: list[Reference], homes: list[Reference], say: Callable[[str], None]) -> None:
    # The namespaces first, the tenant's own last: while there are pods and tokens, the policy must hold.
    for home in homes:
        admin.delete(home)
    for home in homes:
        _wait_until_gone(admin, home)
        say(f"deleted {home}")
    gone = {home.name for home in homes}
    for reference in there:
        if reference not in homes and reference.namespace not in gone:
            admin.delete(reference)
            say(f"deleted {reference}")


def _wait_until_gone(admin: Admin, home: Reference) -> None:
    end = time.monotonic() + _PATIENCE
    while (found := admin.get(home)) is not None:
        if time.monotonic() > end:
            conditions = found.get("status", {}).get("conditions", ())
            raise ClusterUnreachable(
                f"The namespace {home.name} is being deleted, and is not gone after {_PATIENCE:.0f} s.",
                why="\n".join(one["message"] for one in conditions if one.get("status") == "True"),
                remedy="See what holds it, and run this again: it goes on from here.",
            )
        time.sleep(_LOOK_EVERY)


def _what_stays(tenant: Tenant, settings: str) -> list[str]:
    stays = (
        f"{settings}/tenants/{tenant.name}.toml",
        tenant.cluster.kubeconfig,
        "its [[runners]] section in config.toml",
        "its runner in GitLab",
        f"bucket {tenant.cache.bucket} below {tenant.cache.prefix}/{tenant.name}" if tenant.cache.bucket else "",
    )
    return [one for one in stays if one]
