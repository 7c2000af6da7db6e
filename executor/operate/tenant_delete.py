"""tenant delete: say what goes and what stays, ask, and remove it; the fence goes last."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from executor.cluster.admin import Admin, Reference
from executor.errors import ClusterUnreachable
from executor.operate.tenant_apply import check_namespace
from executor.settings.load import load
from executor.tenancy import login, objects

if TYPE_CHECKING:
    from executor.settings.model import Tenant

_PATIENCE = 180.0
"""Seconds for the namespace to go; pods have their grace period, and the cluster its own pace."""
_LOOK_EVERY = 1.0
_ENDED = ("Succeeded", "Failed")


def delete_tenant(name: str, *, settings: str, rights: tuple[str, str], yes: bool, keep_namespace: bool) -> None:
    """Carry out the command; `rights` are kubeconfig and context of the operator.

    Raises:
        ClusterRefused: a right is missing.
        ClusterUnreachable: the namespace does not go.
    """
    tenant = load(settings, name).tenant
    admin = Admin(kubeconfig=rights[0], context=rights[1])
    check_namespace(admin, tenant)
    manifests = [*objects.render(tenant), login.anchor(tenant.cluster.namespace)]
    there = [reference for reference in map(Reference.of, manifests) if _is_there(admin, reference)]
    home = Reference(version="v1", kind="Namespace", name=tenant.cluster.namespace)
    if keep_namespace:
        there = [reference for reference in there if reference != home]
    if not there:
        click.echo(f"There is nothing of {name} in {admin.server.url}.")
        return
    _show(admin, tenant, there, home)
    if not yes:
        click.confirm(f"Delete {name} from {admin.server.url}?", abort=True, err=True)
    _delete(admin, there, home)
    _say_what_stays(tenant, settings)


def _is_there(admin: Admin, reference: Reference) -> bool:
    return admin.serves(reference) and admin.get(reference) is not None


def _show(admin: Admin, tenant: Tenant, there: list[Reference], home: Reference) -> None:
    for reference in there:
        click.echo(f"to delete {reference}")
    pods = admin.list(Reference(version="v1", kind="Pod", namespace=home.name)) if home in there else []
    running = [pod for pod in pods if pod.get("status", {}).get("phase") not in _ENDED]
    if home in there:
        secrets = admin.list(Reference(version="v1", kind="Secret", namespace=home.name))
        click.echo(
            f"With the namespace go {len(running)} running and {len(pods) - len(running)} ended pods, "
            f"{len(secrets)} Secrets, and whatever else is in it."
        )
    layers = f"the layer cache in bucket {tenant.cache.bucket}" if tenant.cache.bucket else "data in S3"
    click.echo(f"Not touched: {layers}, images in registries, the settings file, the runner in GitLab.")


def _delete(admin: Admin, there: list[Reference], home: Reference) -> None:
    # The namespace first: while there are pods and tokens, the policy must hold.
    for reference in sorted(there, key=lambda one: (one != home, not one.namespace)):
        if reference.namespace == home.name and home in there:
            continue
        admin.delete(reference)
        if reference == home:
            _wait_until_gone(admin, home)
        click.echo(f"deleted {reference}")


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


def _say_what_stays(tenant: Tenant, settings: str) -> None:
    click.echo(
        f"Left for you: {settings}/tenants/{tenant.name}.toml"
        + (f", {tenant.cluster.kubeconfig}" if tenant.cluster.kubeconfig else "")
        + ", its [[runners]] section in config.toml, its runner in GitLab"
        + (f", bucket {tenant.cache.bucket} below {tenant.cache.prefix}/{tenant.name}" if tenant.cache.bucket else "")
        + "."
    )
