"""tenant: make a tenant's place in a cluster, and look after it. Each command's work is in a module of its own.

What a command needs beyond click is imported when it runs, since the help of all of them must not wait for it.
"""

from __future__ import annotations

import click

from executor.operate.shown import (
    complete_tenant,
    context_option,
    failures_in_words,
    kubeconfig_option,
    settings_option,
)

_FORMAT = click.option(
    "--output",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="For people or scripts.",
)
_RUNNER = click.option(
    "--runner", is_flag=True, help="With the tenant's GitLab Runner inside the cluster: [runner.pod] of its settings."
)
_YES = click.option("--yes", is_flag=True, help="Do not ask.")


@click.group(short_help="Make, change and remove tenants.")
def tenant() -> None:
    """Make, change and remove tenants: one settings file each, and the cluster objects that follow from it.

    \b
    A new tenant, in this order:
      kaniko-driver tenant init NAME          a settings file to start from; fill it in
      kaniko-driver validate                  is it right?
      kaniko-driver tenant apply NAME         make its namespace, rights, quota and policies
      kaniko-driver tenant kubeconfig NAME    give the driver its way in
      kaniko-driver tenant register NAME      what to tell GitLab and GitLab Runner
    The settings file stays the truth: change it and apply again.

    Exit codes: 0 done, 1 something was refused or failed (the message says what), 2 wrong usage; --diff has its own.
    """


@tenant.command("list")
@settings_option
@_FORMAT
def list_(settings: str, output: str) -> None:
    """List the tenants that have a settings file, with namespace, nodes and jobs at once.

    Example: kaniko-driver tenant list --output json | jq -r '.[].name'
    """
    from executor.operate.tenant_files import show_list

    with failures_in_words():
        show_list(settings, output=output)


@tenant.command()
@click.argument("name")
@settings_option
@click.option("--namespace", default="", help="Its namespace. Without it the tenant's name.")
@click.option("--jobs", default=20, show_default=True, type=click.IntRange(1), help="Jobs at once.")
@click.option("--print", "print_only", is_flag=True, help="Print the file, write nothing.")
@click.option("--offline", is_flag=True, help="Do not ask the cluster where its API server answers.")
@kubeconfig_option
@context_option
@_FORMAT
def init(
    name: str,
    *,
    settings: str,
    namespace: str,
    jobs: int,
    print_only: bool,
    offline: bool,
    kubeconfig: str,
    context: str,
    output: str,
) -> None:
    """Write a settings file for a new tenant.

    Nothing is asked: what has a good default is filled in, the rest is explained in the file. When a cluster can be
    reached, it is asked for the addresses of its API server, which builds must not reach.

    \b
    Example:
      kaniko-driver tenant init team-blue --jobs 10
      $EDITOR /etc/kaniko-driver/tenants/team-blue.toml

    Exit codes: 0 written, 1 the file is there already or cannot be written, 2 wrong usage.
    """
    from executor.operate.tenant_files import start

    with failures_in_words():
        start(
            name,
            settings=settings,
            namespace=namespace or name,
            jobs=jobs,
            print_only=print_only,
            ask=None if offline else (kubeconfig, context),
            output=output,
        )


@tenant.command()
@click.argument("name", shell_complete=complete_tenant)
@settings_option
@_RUNNER
@click.option(
    "--output",
    type=click.Choice(["yaml", "json"]),
    default="yaml",
    show_default=True,
    help="yaml for kubectl apply and for reading, json for scripts.",
)
def render(name: str, *, settings: str, runner: bool, output: str) -> None:
    """Print the tenant's cluster objects, without a look at any cluster.

    For review, for a repository that something else applies from, or for someone who has the rights:

    \b
      kaniko-driver tenant render team-blue | kubectl diff -f -
    """
    from executor.operate.tenant_files import show_objects

    with failures_in_words():
        show_objects(name, settings=settings, output=output, with_runner=runner)


@tenant.command()
@click.argument("name", shell_complete=complete_tenant)
@settings_option
@kubeconfig_option
@context_option
@_RUNNER
@click.option("--diff", is_flag=True, help="Show what would change, change nothing; exit code 2 when something would.")
@_YES
@_FORMAT
def apply(
    name: str, *, settings: str, kubeconfig: str, context: str, runner: bool, diff: bool, yes: bool, output: str
) -> None:
    """Bring the cluster to what the tenant's settings say; says of each object what became of it.

    May be repeated at any time. Running jobs go on: limits and the admission policy count for pods made from then on,
    network policies for running ones too. Fields that somebody changed by hand are set back.

    \b
    Example:
      kaniko-driver tenant apply team-blue --diff     look first
      kaniko-driver tenant apply team-blue            asks before it changes anything; --yes does not

    Needs the rights of a cluster administrator: namespaces and admission policies belong to the whole cluster.
    """
    from executor.operate.tenant_apply import apply_tenant

    with failures_in_words():
        apply_tenant(
            name,
            settings=settings,
            rights=(kubeconfig, context),
            with_runner=runner,
            diff=diff,
            yes=yes,
            output=output,
        )


@tenant.command("kubeconfig")
@click.argument("name", shell_complete=complete_tenant)
@settings_option
@kubeconfig_option
@context_option
@click.option("--duration", default="2160h", show_default=True, help="How long it shall be valid.")
@click.option(
    "--file", "path", type=click.Path(), default="", help="Where to; - prints. Without it cluster.kubeconfig."
)
@click.option("--server", default="", help="Address of the API server as the runner's host sees it. Without it yours.")
@click.option("--revoke", is_flag=True, help="End all earlier ones first, and the jobs that use them with them.")
@_FORMAT
def kubeconfig_(
    name: str,
    *,
    settings: str,
    kubeconfig: str,
    context: str,
    duration: str,
    path: str,
    server: str,
    revoke: bool,
    output: str,
) -> None:
    """Write the driver's kubeconfig: rights in the tenant's namespace only, valid for a time.

    Run it again before that time is over: the file is replaced at once, and jobs that run keep the token that they
    began with. The cluster may grant less time than asked for; what it granted is said.

    \b
    Example:
      kaniko-driver tenant kubeconfig team-blue --duration 720h
      chown gitlab-runner /etc/kaniko-driver/team-blue.kubeconfig

    A runner inside the cluster needs none, and neither does a host whose kubeconfig calls a credential plugin. JSON
    tells where the file is and when it ends, and nothing that is secret.

    Exit codes: 0 written, 1 the tenant was not applied yet, a right is missing or the file cannot be written, 2 wrong
    usage.
    """
    from executor.operate.tenant_login import write_login

    if path == "-" and output == "json":
        raise click.UsageError("with `--file -` the kubeconfig itself is on stdout; --output json has no place there")
    with failures_in_words():
        write_login(
            name,
            settings=settings,
            rights=(kubeconfig, context),
            duration=duration,
            path=path,
            server=server,
            revoke=revoke,
            output=output,
        )


@tenant.command()
@click.argument("name", shell_complete=complete_tenant)
@settings_option
@click.option("--command", default="", help="Path of kaniko-driver on the runner's host. Without it the one that runs.")
@_FORMAT
def register(name: str, *, settings: str, command: str, output: str) -> None:
    """Print what GitLab and GitLab Runner must be told: the runner's tags and limits, and its config.toml section.

    Nothing is sent. The runner's token comes from GitLab and is written into config.toml by you.

    \b
    Example:
      kaniko-driver tenant register team-blue
      kaniko-driver tenant register team-blue --output json | jq -r .config_toml

    Exit codes: 0 printed, 1 the settings cannot be used or another tenant has one of the tags, 2 wrong usage.
    """
    from executor.operate.tenant_files import show_registration

    with failures_in_words():
        show_registration(name, settings=settings, command=command, output=output)


@tenant.command()
@click.argument("name", shell_complete=complete_tenant)
@settings_option
@kubeconfig_option
@context_option
@_YES
@click.option("--keep-namespace", is_flag=True, help="Delete the driver's own objects only, and nothing else in there.")
@_FORMAT
def delete(
    name: str, *, settings: str, kubeconfig: str, context: str, yes: bool, keep_namespace: bool, output: str
) -> None:
    """Remove a tenant from the cluster, after a list of what that is.

    The namespace goes with everything in it: running jobs, Secrets, whatever else is there. Not touched are the
    settings file, the buckets in S3, images in registries, and the runner in GitLab; the last lines say how to remove
    those.

    \b
    Example:
      kaniko-driver tenant delete team-blue
      kaniko-driver tenant delete team-blue --yes --output json | jq -r '.deleted[].name'

    Exit codes: 0 done (also when there was nothing), 1 not agreed to, refused or not all of it gone, 2 wrong usage.
    """
    from executor.operate.tenant_delete import delete_tenant

    with failures_in_words():
        delete_tenant(
            name,
            settings=settings,
            rights=(kubeconfig, context),
            yes=yes,
            keep_namespace=keep_namespace,
            output=output,
        )
