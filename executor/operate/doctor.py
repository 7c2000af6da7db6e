"""doctor: every assumption that jobs rest on, checked as the identity that will rest on it."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import threading
from collections import Counter
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import click

from executor.errors import DriverError
from executor.operate.shown import (
    DEFAULT_SETTINGS,
    complete_tenant,
    context_option,
    failures_in_words,
    kubeconfig_option,
    output_option,
    settings_option,
    tenants_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from executor.cluster.admin import Admin
    from executor.job import Connection
    from executor.operate.checkup.findings import Check, Finding
    from executor.operate.checkup.inside import Plan
    from executor.settings.model import Tenant
    from executor.settings.survey import Survey

_MARKS = {"good": ("+", "green"), "warning": ("!", "yellow"), "problem": ("x", "red"), "skipped": ("-", "cyan")}


@click.command()
@click.argument("tenants", nargs=-1, metavar="[TENANT]...", shell_complete=complete_tenant)
@settings_option
@kubeconfig_option
@context_option
@click.option("--runner-program", default="gitlab-runner", show_default=True, help="GitLab Runner's program.")
@click.option(
    "--runner-config",
    type=click.Path(),
    default="/etc/gitlab-runner/config.toml",
    show_default=True,
    help="GitLab Runner's configuration.",
)
@click.option("--no-pod", is_flag=True, help="Make no trial pod, so that nothing at all is created.")
@click.option(
    "--reach", multiple=True, metavar="URL", help="Also to be reached from a pod of the tenant; repeat it for several."
)
@click.option(
    "--silence",
    type=click.IntRange(1, 3600),
    default=8,
    show_default=True,
    help="Seconds for which a stream is left quiet, to find proxies that cut it.",
)
@click.option(
    "--wait",
    type=click.IntRange(1, 3600),
    default=120,
    show_default=True,
    help="Seconds until the trial pod must be ready; more where nodes are made on demand.",
)
@click.option("--fix", is_flag=True, help="Print a shell script that mends what was found, and run nothing.")
@output_option
def doctor(
    *,
    tenants: tuple[str, ...],
    settings: str,
    kubeconfig: str,
    context: str,
    runner_program: str,
    runner_config: str,
    no_pod: bool,
    reach: tuple[str, ...],
    silence: int,
    wait: int,
    fix: bool,
    output: str,
) -> None:
    """Check everything that jobs of TENANT need, or of all tenants, and say what to do about the rest.

    As the tenant's driver: the API server, its version and clock, each right that a job needs and none beyond, and one
    short-lived job pod, from which GitLab, registries and the layer cache are tried and which is deleted at once. As
    you (--kubeconfig): objects, nodes with their room for the tenant's jobs, images. On this host: GitLab Runner's
    version and configuration, the operator log, registry logins.

    \b
    kaniko-driver doctor                     all tenants, in a quarter of a minute
    kaniko-driver doctor team-blue --silence 90
    kaniko-driver doctor --fix > fix.sh      read it, then run it

    Run it as the user that GitLab Runner runs as. Nothing is changed, the trial pod apart.

    Exit codes: 0 ready (there may be warnings), 1 a problem that keeps jobs from running or tenants from being apart,
    or not all was checked because of Ctrl-C, 2 wrong usage.
    """
    from executor.operate.checkup import remedies
    from executor.operate.checkup.findings import run
    from executor.operate.checkup.inside import Plan
    from executor.settings.survey import survey

    stop = threading.Event()
    # A closed terminal as well: in each case the trial pod is deleted first.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    plan = None if no_pod else Plan(reach=reach, silence=silence, wait=wait, stop=stop)
    with failures_in_words():
        names = tenants_of(settings, tenants)
        found = survey(settings)
        with tempfile.TemporaryDirectory(prefix="kaniko-driver-") as folder:
            admin = _administrator(kubeconfig, context)
            checks = _of_host(settings, found, runner_program, runner_config)
            for name in names:
                checks += _of_tenant(name, settings, found, (admin, kubeconfig, context), plan, folder)
            given = {"--settings": "" if settings == DEFAULT_SETTINGS else settings}
            given |= {"--kubeconfig": kubeconfig, "--context": context}
            whole = click.get_current_context().find_root().command
            findings = _shown(_completed(run(checks), given, whole), live=output == "text" and not fix)
    if stop.is_set():
        raise click.ClickException("interrupted: not all was checked, so this is no verdict")
    if fix:
        for line in remedies.script(findings):
            click.echo(line)
    elif output == "json":
        click.echo(json.dumps(_report(names, findings), indent=2, ensure_ascii=False))
    else:
        _conclude(names, findings)
    sys.exit(1 if any(one.verdict == "problem" for one in findings) else 0)


def _administrator(kubeconfig: str, context: str) -> Admin | None:
    from executor.operate.checkup.place import administrator

    return administrator(kubeconfig, context)


def _of_host(folder: str, found: Survey, program: str, config: str) -> list[Check]:
    from executor.operate.checkup import host
    from executor.operate.checkup.findings import Check
    from executor.settings.load import log_file

    tenants = found.tenants
    return [
        Check(name="runner-version", tenant="", make=lambda: host.runner_version(program, tenants.values())),
        Check(name="runner-config", tenant="", make=lambda: host.runner_config(config, tenants, folder)),
        Check(name="operator-log", tenant="", make=lambda: host.operator_log(log_file(folder))),
    ]


def _of_tenant(
    name: str, folder: str, found: Survey, rights: tuple[Admin | None, str, str], plan: Plan | None, temporary: str
) -> list[Check]:
    from executor.operate.checkup import access, logins, place, storage
    from executor.operate.checkup.findings import Check, of_error, skipped
    from executor.operate.checkup.trial import trial
    from executor.settings.load import load

    checks = [Check(name="settings", tenant=name, make=lambda: _settings(name, found))]
    if name not in found.tenants or name in found.broken:
        return checks
    tenant = found.tenants[name]
    settings = load(folder, name)

    def check(check_name: str, make: Any) -> None:
        checks.append(Check(name=check_name, tenant=name, make=make))

    connection = _connection(tenant, temporary)
    if not isinstance(connection, DriverError):
        foreign = tuple(other.cluster.namespace for other in found.tenants.values() if _is_foreign(tenant, other))
        check("cluster", lambda: access.server(tenant, connection))
        check("login", lambda: access.login(tenant, connection))
        check("rights", lambda: access.rights(tenant, connection, (*foreign, "kube-system")))
    else:
        renew = f"kaniko-driver tenant kubeconfig {name}"
        check("cluster", lambda: [replace(of_error("cluster", connection), commands=(renew,))])
    admin, kubeconfig, context = rights
    others = [other for other in found.tenants.values() if other.name != name]
    if admin is not None:
        check("s3", lambda: storage.storage(tenant, others, kubeconfig=kubeconfig, context=context))
        check("objects", lambda: place.objects(admin, folder, settings))
        check("nodes", lambda: place.nodes(admin, tenant))
    else:
        check("objects", lambda: place.without_administrator("objects"))
        check("nodes", lambda: place.without_administrator("nodes"))
        check("s3", lambda: place.without_administrator("s3"))
    check("registry-login", lambda: logins.logins(tenant))
    if plan is None:
        check("trial-pod", lambda: [skipped("trial-pod", "none was wanted (--no-pod)")])
    elif not isinstance(connection, DriverError):
        check("trial-pod", lambda: trial(tenant, connection, plan))
    return checks


def _is_foreign(tenant: Tenant, other: Tenant) -> bool:
    return other.cluster.namespace != tenant.cluster.namespace


def _settings(name: str, found: Survey) -> Iterator[Finding]:
    """What `validate` says of this tenant."""
    from executor.operate import apart
    from executor.operate.checkup.findings import good, problem, warning

    own = f"{name}.toml"
    apart.compare(found, {})
    mine = [one for one in sorted(found.problems) if os.path.basename(one.file) in {own, "driver.toml"}]
    if mine:
        yield problem(
            "settings", "; ".join(map(str, mine)), "Correct them; jobs cannot start.", "kaniko-driver validate"
        )
    else:
        yield good("settings", "complete and valid")
    for one in sorted(found.warnings):
        if os.path.basename(one.file) == own or f"{name} has" in one.text:
            check = "shared-tag" if "has the tag" in one.text else "apart"
            yield warning(check, str(one), "Tenants should share nothing: correct one of the two files.")


def _connection(tenant: Tenant, temporary: str) -> Connection | DriverError:
    from executor.cluster import kubeconfig

    try:
        return kubeconfig.connect(
            path=tenant.cluster.kubeconfig,
            context=tenant.cluster.context,
            namespace=tenant.cluster.namespace,
            # A folder for each: their credentials have the same file names.
            folder=tempfile.mkdtemp(dir=temporary),
        )
    except DriverError as error:
        return error


def _completed(findings: Iterable[Finding], given: dict[str, str], whole: click.Command) -> Iterator[Finding]:
    """Make the commands of findings such that they mend this place and no other."""
    from executor.operate.checkup.remedies import completed

    for one in findings:
        yield replace(one, commands=tuple(completed(command, given, whole) for command in one.commands))


def _shown(findings: Iterable[Finding], *, live: bool) -> list[Finding]:
    """Return all findings; show each as soon as it is there."""
    kept: list[Finding] = []
    for one in findings:
        if live:
            if not kept or kept[-1].tenant != one.tenant:
                click.secho(one.tenant or "this host", bold=True)
            mark, colour = _MARKS[one.verdict]
            click.echo(f"  {click.style(mark, fg=colour, bold=True)} {one.check}: {one.what}")
            if one.remedy and one.verdict != "good":
                click.echo(f"      {one.remedy}")
            for command in one.commands:
                click.echo(f"      $ {command}")
        kept.append(one)
    return kept


def _conclude(names: list[str], findings: list[Finding]) -> None:
    for name in names:
        problems = [one for one in findings if one.verdict == "problem" and one.tenant in {"", name}]
        warnings = [one for one in findings if one.verdict == "warning" and one.tenant in {"", name}]
        if problems:
            verdict, colour = f"not ready: {_counted(len(problems), 'problem')}", "red"
        else:
            verdict, colour = "ready for jobs", "green"
        noted = f", {_counted(len(warnings), 'warning')}" if warnings else ""
        click.echo(f"{name}: {click.style(verdict, fg=colour, bold=True)}{noted}")


def _counted(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _report(names: list[str], findings: list[Finding]) -> dict[str, Any]:
    ready = {name: not any(one.verdict == "problem" and one.tenant in {"", name} for one in findings) for name in names}
    counts = Counter[str](one.verdict for one in findings)
    return {
        "ready": ready,
        "counts": {verdict: counts[verdict] for verdict in _MARKS},
        "findings": [asdict(one) for one in findings],
    }
