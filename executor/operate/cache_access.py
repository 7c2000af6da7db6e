"""How the commands about the layer cache get at a tenant's bucket, and how they show that they are at work."""

from __future__ import annotations

import sys
from base64 import b64decode
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from executor.errors import SettingsInvalid
from executor.operate.shown import context_option, kubeconfig_option, settings_option
from executor.settings.load import load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from executor.cache.bucket import Bucket, Keys
    from executor.settings.model import Tenant

    Command = TypeVar("Command", bound=Callable[..., Any])

NO_CACHE = "No tenant has a layer cache: cache.mode is off everywhere."
_OPTIONS = (
    settings_option,
    click.option(
        "--tenant-keys",
        is_flag=True,
        help="Use the keys of the tenant's Secret (cache.secret), read from the cluster, and not this machine's own.",
    ),
    kubeconfig_option,
    context_option,
)


def access_options(command: Command) -> Command:
    """Add the options that say how to reach the bucket."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def cached_tenant(settings: str, name: str) -> Tenant:
    """Return a tenant that has a layer cache.

    Raises:
        SettingsInvalid: no such tenant, or it has none.
    """
    tenant = load(settings, name).tenant
    if tenant.cache.mode == "off":
        raise SettingsInvalid(f"{name} has no layer cache: [cache] mode is off.")
    return tenant


def bucket_of(tenant: Tenant, *, tenant_keys: bool, kubeconfig: str, context: str) -> Bucket:
    """Return the tenant's bucket, with keys for it.

    Raises:
        BucketFailed: there are no keys.
        SettingsInvalid: the tenant's Secret has none.
        ClusterRefused: it cannot be read.
    """
    from executor.cache.bucket import Bucket

    return Bucket(tenant.cache, _keys(tenant, kubeconfig, context) if tenant_keys else None)


def _keys(tenant: Tenant, kubeconfig: str, context: str) -> Keys:
    from executor.cache.bucket import Keys
    from executor.cluster.admin import Admin, Reference

    name, namespace = tenant.cache.secret, tenant.cluster.namespace
    secret = Admin(kubeconfig=kubeconfig, context=context).get(
        Reference(version="v1", kind="Secret", name=name, namespace=namespace)
    )
    data = (secret or {}).get("data") or {}
    try:
        access, key = (b64decode(data[one]).decode() for one in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))
    except (KeyError, ValueError) as error:
        raise SettingsInvalid(
            f"The Secret {namespace}/{name} of the layer cache cannot be used.",
            why="It is not there." if secret is None else "It has no AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
            remedy="docs/en/how-to/layer-cache.md says how to make it.",
        ) from error
    return Keys(access=access, secret=key)


@contextmanager
def progress(what: str) -> Iterator[Callable[[int], None]]:
    """Show a count that grows, on a terminal only; yields what to call with how much more was done."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}: {task.completed:,.0f}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda more: bar.update(task, advance=more)


def ticking(items: Iterator[Any], advance: Callable[[int], None], every: int = 1000) -> Iterator[Any]:
    """Pass items on and show how many they were, now and then."""
    count = 0
    for item in items:
        yield item
        count += 1
        if count == every:
            advance(count)
            count = 0
    advance(count)
