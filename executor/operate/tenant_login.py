"""tenant kubeconfig: a token of the driver's service account, in a file that only its reader can read."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
import yaml

from executor.cluster.admin import Admin, Reference
from executor.errors import SettingsInvalid
from executor.operate.shown import told_settings
from executor.settings.load import load
from executor.settings.units import Duration
from executor.tenancy import login

if TYPE_CHECKING:
    from executor.settings.model import Tenant

_SHORT = 0.9
"""Part of the time asked for, below which the cluster has cut it."""


def write_login(
    name: str,
    *,
    settings: str,
    rights: tuple[str, str],
    duration: str,
    path: str,
    server: str,
    revoke: bool,
    output: str,
) -> None:
    """Carry out the command; `rights` are kubeconfig and context of the operator.

    Raises:
        click.BadParameter: the duration is none.
        SettingsInvalid: no place for the file is known, or it cannot be written.
        ClusterRefused: a right is missing, or the tenant was not applied yet.
    """
    tenant = load(settings, name).tenant
    target = path or tenant.cluster.kubeconfig
    if not target:
        raise SettingsInvalid(
            f"{name} names no kubeconfig, because its runner is inside the cluster.",
            remedy="For a runner outside set [cluster] kubeconfig; for a file elsewhere use --file.",
        )
    try:
        seconds = Duration.parse(duration).seconds
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--duration") from error
    admin = Admin(kubeconfig=rights[0], context=rights[1])
    granted = _token(admin, tenant, seconds=seconds, revoke=revoke, settings=settings)
    document = _kubeconfig(admin, tenant, granted["token"], server)
    text = yaml.safe_dump(document, sort_keys=False)
    if target == "-":
        sys.stdout.write(text)
    else:
        _replace(target, text)
    _say(target, granted["expirationTimestamp"], seconds)
    if output == "json":
        report = {
            "name": name,
            "file": target,
            "server": document["clusters"][0]["cluster"]["server"],
            "namespace": tenant.cluster.namespace,
            "expires": granted["expirationTimestamp"],
        }
        click.echo(json.dumps(report, indent=2))


def _token(admin: Admin, tenant: Tenant, *, seconds: int, revoke: bool, settings: str) -> dict[str, Any]:
    namespace = tenant.cluster.namespace
    anchor, account = login.anchor(tenant.name, namespace), Reference.of(login.account(namespace))
    if admin.get(account) is None:
        raise SettingsInvalid(
            f"The driver has no service account in the namespace {namespace} yet.",
            remedy=f"Run first: kaniko-driver tenant apply {tenant.name}{told_settings(settings)}",
        )
    if revoke:
        admin.delete(Reference.of(anchor))
    return admin.token(account, seconds=seconds, bound_to=admin.apply(anchor))


def _kubeconfig(admin: Admin, tenant: Tenant, token: str, server: str) -> dict[str, Any]:
    own = admin.server
    return login.kubeconfig(
        tenant=tenant.name,
        namespace=tenant.cluster.namespace,
        token=token,
        url=server or own.url,
        authority=own.authority,
        options={
            "tls-server-name": own.tls_server_name,
            "insecure-skip-tls-verify": own.insecure,
            "proxy-url": own.proxy,
        },
    )


def _replace(path: str, text: str) -> None:
    """Write the file beside and rename it: a job that starts now finds the old one or the new one."""
    temporary = f"{path}.{os.getpid()}"
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                _keep_owner(path, file.fileno())
                file.write(text)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise SettingsInvalid(
            f"{path} cannot be written: {error.strerror}",
            remedy="Run this as root or as the user whose file it is, or name another file by --file.",
        ) from error


def _keep_owner(path: str, descriptor: int) -> None:
    # gitlab-runner's user owns it since somebody said so; a renewal by root must not take it away.
    try:
        before = os.stat(path)
    except FileNotFoundError:
        return
    if before.st_uid != os.getuid():
        os.fchown(descriptor, before.st_uid, before.st_gid)


def _say(target: str, expires: str, asked: int) -> None:
    end = datetime.fromisoformat(expires)
    left = (end - datetime.now(UTC)).total_seconds()
    click.echo(f"valid until {end:%Y-%m-%d %H:%M} UTC; run this again before then", err=True)
    if left < asked * _SHORT:
        click.echo(
            f"The cluster grants no more than {left / 3600:.0f} hours. For a host outside it, a kubeconfig with a "
            "credential plugin of the cloud renews itself; inside the cluster the runner needs no kubeconfig at all.",
            err=True,
        )
    if target != "-":
        click.echo(f"wrote {target}; it must be readable for gitlab-runner's user and for nobody else", err=True)
