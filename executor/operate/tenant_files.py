"""tenant list, init, render, register: what needs the settings only."""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
from pathlib import PurePath
from typing import Any

import click

from executor.errors import DriverError, SettingsInvalid
from executor.operate.shown import told_settings
from executor.operate.tenant_objects import rendered
from executor.settings.load import TENANT_FILE, load, tenant_names
from executor.tenancy import registration, starter


def show_list(settings: str, *, output: str) -> None:
    """Print one line a tenant; a broken file is one of them."""
    rows = [_row(settings, name) for name in tenant_names(settings)]
    if output == "json":
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    for row in rows:
        click.echo(
            f"{row['name']}: {row['problem']}"
            if "problem" in row
            else f"{row['name']}: namespace {row['namespace']}, {row['jobs']} jobs, nodes {row['nodes']}, "
            f"tags {', '.join(row['tags'])}, layer cache {row['cache']}"
        )
    if not rows:
        click.echo(f"There is no tenant in {settings}/tenants; `kaniko-driver tenant init NAME` makes one.", err=True)


def _row(settings: str, name: str) -> dict[str, Any]:
    try:
        tenant = load(settings, name).tenant
    except SettingsInvalid as error:
        return {"name": name, "problem": f"{error.what} `kaniko-driver validate` says why."}
    return {
        "name": name,
        "namespace": tenant.cluster.namespace,
        "jobs": tenant.capacity.jobs,
        "nodes": " and ".join(f"{key}={'|'.join(values)}" for key, values in tenant.nodes.labels.items()),
        "tags": list(registration.tags(tenant)),
        "cache": tenant.cache.mode,
    }


def start(
    name: str,
    *,
    settings: str,
    namespace: str,
    jobs: int,
    print_only: bool,
    ask: tuple[str, str] | None,
    output: str,
) -> None:
    """Write a new tenant's file; `ask` is kubeconfig and context of the cluster to ask.

    Raises:
        SettingsInvalid: the name is none, or the file is there already.
    """
    path = os.path.join(settings, "tenants", f"{name}.toml")
    _check_new(name, path, settings)
    known = _defaults(settings)
    network = known.get("network", {})
    api_server = () if ask is None else _api_server(*ask)
    text = starter.text(
        starter.Start(
            name=name,
            namespace=namespace,
            kubeconfig=os.path.join(os.path.abspath(settings), f"{name}.kubeconfig"),
            jobs=jobs,
            images_known={"kaniko", "helper"} <= known.get("images", {}).keys(),
            destinations_known={"registry", "gitlab"} <= network.keys(),
            api_server=api_server,
        )
    )
    if not print_only:
        _write_new(path, text)
    if output == "json":
        asked = [{"address": address, "port": port} for address, port in api_server]
        report = {"name": name, "file": None if print_only else path, "api_server": asked, "text": text}
        click.echo(json.dumps(report, indent=2, ensure_ascii=False))
    elif print_only:
        click.echo(text, nl=False)
    else:
        click.echo(f"wrote {path}\nFill in what it explains, above all [network]; then:")
        click.echo(f"  kaniko-driver tenant apply {name}{told_settings(settings)}")


def _write_new(path: str, text: str) -> None:
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "x", encoding="utf-8") as file:
            # Nobody else may change it, whatever the umask: the driver refuses such files.
            os.fchmod(file.fileno(), 0o644)
            file.write(text)
    except OSError as error:
        raise SettingsInvalid(
            f"{error.filename} cannot be written: {error.strerror}",
            remedy="Run this as a user who may change the settings, or name another folder by --settings.",
        ) from error


def show_objects(name: str, *, settings: str, output: str, with_runner: bool) -> None:
    """Print the tenant's objects as one stream of YAML documents, or as one List."""
    shown = rendered(settings, load(settings, name), with_runner=with_runner)
    if output == "json":
        click.echo(json.dumps({"apiVersion": "v1", "kind": "List", "items": shown}, indent=2, ensure_ascii=False))
        return
    # Imported here: the other commands of this module need no YAML.
    import yaml

    # A copy without shared parts: they would become aliases, which are correct YAML, and unreadable.
    apart = json.loads(json.dumps(shown))
    click.echo(yaml.safe_dump_all(apart, sort_keys=False, allow_unicode=True, width=120), nl=False)


def show_registration(name: str, *, settings: str, command: str, output: str) -> None:
    """Print GitLab's side and the runner's.

    Raises:
        SettingsInvalid: the settings cannot be used, or another tenant has one of the tags.
    """
    tenant = load(settings, name).tenant
    url = tenant.gitlab.url or registration.NO_URL
    form = registration.api_form(tenant)
    own = set(registration.tags(tenant))
    same = [other.name for other in _others(settings, name) if own & set(registration.tags(other))]
    if same:
        raise SettingsInvalid(
            f"{name} shares a tag with {', '.join(same)}: GitLab would give either the other's jobs.",
            remedy="Give each tenant tags of its own: [runner] tags.",
        )
    program = command or _own_command()
    section = registration.toml(tenant, command=program, settings=os.path.abspath(settings))
    if not command and (closed := _closed_folder(program, sys.executable)):
        click.echo(
            f"{program}: can GitLab Runner's user run it? Others may not enter {closed}. Install it where all may, as "
            "docs/en/how-to/install.md says, or name another by --command.",
            err=True,
        )
    if output == "json":
        report = {"name": name, "gitlab": url, "runner": {"runner_type": "group_type", **form}, "config_toml": section}
        click.echo(json.dumps(report, indent=2, ensure_ascii=False))
        return
    shown = {
        "tags": form["tag_list"],
        "run untagged jobs": "no",
        "protected": "yes, jobs of protected branches and tags only" if tenant.runner.protected else "no",
        "locked to its group": "yes",
        "maximum job timeout": f"{form['maximum_timeout']} s",
    }
    data = " ".join(f"--data-urlencode '{key}={value}'" for key, value in form.items())
    say = click.echo
    say(f"# 1. In GitLab ({url}), in the group of {name}: Build > Runners > New group runner, with")
    for key, value in shown.items():
        say(f"#      {key}: {value}")
    say("#    or by the API, with a token of an owner of the group and the group's number:")
    say(f'#      curl --request POST --header "PRIVATE-TOKEN: $TOKEN" {url}/api/v4/user/runners \\')
    say(f"#        --data runner_type=group_type --data group_id=GROUP_NUMBER {data}")
    say("#    GitLab answers with the runner's token, which begins with glrt-.")
    say("#")
    say("# 2. In config.toml of GitLab Runner: `concurrent` at the top at least the sum of all `limit`s, and this")
    say("#    section, with the token in place of glrt-REPLACE-ME. The runner reads it by itself.")
    say(section, nl=False)


def _own_command() -> str:
    return shutil.which("kaniko-driver") or os.path.abspath(sys.argv[0])


def _closed_folder(*programs: str) -> str:
    """Return the first folder on the way to these programs that only some users may enter; empty where all may."""
    for program in programs:
        for path in (os.path.abspath(program), os.path.realpath(program)):
            folders = [str(one) for one in reversed(PurePath(path).parents)]
            if closed := next((one for one in folders if not os.stat(one).st_mode & stat.S_IXOTH), ""):
                return closed
    return ""


def _others(settings: str, name: str) -> list[Any]:
    found = []
    for other in tenant_names(settings):
        try:
            if other != name:
                found.append(load(settings, other).tenant)
        except SettingsInvalid:
            # Its own commands say so.
            continue
    return found


def _check_new(name: str, path: str, settings: str) -> None:
    if not TENANT_FILE.fullmatch(f"{name}.toml"):
        raise SettingsInvalid(
            f"{name!r} cannot be a tenant's name.",
            why="It becomes a label, a namespace and a path in S3: lower-case letters, digits and hyphens, 40 at most.",
        )
    if os.path.exists(path):
        raise SettingsInvalid(
            f"{path} is there already.", remedy=f"Change it, and then run: kaniko-driver tenant apply {name}"
        )
    if not os.path.isdir(settings):
        raise SettingsInvalid(
            f"There is no folder {settings}.",
            remedy="Copy config/ of kaniko-driver's repository there, or name another folder by --settings.",
        )


def _defaults(settings: str) -> dict[str, Any]:
    """Return `[defaults]` of driver.toml as it stands there; what is wrong with it is for `validate` to say."""
    import tomllib

    try:
        with open(os.path.join(settings, "driver.toml"), "rb") as file:
            defaults = tomllib.load(file).get("defaults", {})
    except (OSError, ValueError):
        return {}
    return defaults if isinstance(defaults, dict) else {}


def _api_server(kubeconfig: str, context: str) -> tuple[tuple[str, int], ...]:
    # Imported here: it brings the Kubernetes client.
    from executor.cluster.admin import Admin
    from executor.operate.tenant_apply import api_server_of

    try:
        found, _ = api_server_of(Admin(kubeconfig=kubeconfig, context=context))
    except DriverError as error:
        click.echo(f"The cluster was not asked for its API server's addresses: {error.what} {error.why}", err=True)
        return ()
    return tuple(sorted(found))
