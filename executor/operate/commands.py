"""The operator's side of the command line, and the help of the runner's side."""

from __future__ import annotations

import os

import click

from executor import __version__
from executor.operate.cache import cache
from executor.operate.doctor import doctor
from executor.operate.exec import exec_
from executor.operate.gc import gc
from executor.operate.jobs import jobs
from executor.operate.logs import logs
from executor.operate.metrics import metrics
from executor.operate.migrate import migrate
from executor.operate.reference import reference
from executor.operate.render import render
from executor.operate.settings import settings as settings_command
from executor.operate.shown import settings_option
from executor.operate.tenant import tenant
from executor.operate.traces import traces
from executor.operate.tune import tune
from executor.operate.usage import usage
from executor.operate.validate import validate
from executor.operate.version import completion, version


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="kaniko-driver")
def cli() -> None:
    """Build container images with Kaniko in Kubernetes pods, as a custom executor of GitLab Runner.

    GitLab Runner calls config, prepare, run and cleanup; runner-config.toml.example shows how to tell it to. The other
    commands are for the operator of the runner:

    \b
    a new tenant    tenant init NAME, validate, tenant apply NAME, tenant kubeconfig NAME, doctor NAME
    running jobs    jobs, logs JOB, exec JOB, gc
    looking back    usage, tune TENANT, cache usage, metrics, traces

    The help of each has an example: kaniko-driver doctor --help
    """
    # click does not look at these, as rich does: https://no-color.org
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        click.get_current_context().color = False


@cli.command()
@settings_option
@click.option("--tenant", help="Whose runner this is: the name of a file in tenants/, without .toml.")
@click.option(
    "--tenant-by",
    type=click.Choice(["root-namespace"]),
    help="For a runner that tenants share: the tenant whose [gitlab] root_namespaces has the job's top-level group.",
)
def config(settings: str, tenant: str | None, tenant_by: str | None) -> None:
    """[runner] Resolve a job's settings, pod and cluster connection, once.

    In config.toml: config_exec = "/path/to/kaniko-driver", config_args = ["config", "--tenant", "tenant-a"]
    """


@cli.command()
def prepare() -> None:
    """[runner] Start the job pod and wait until it accepts scripts.

    In config.toml: prepare_exec = "/path/to/kaniko-driver", prepare_args = ["prepare"]
    """


@cli.command()
@click.argument("script", type=click.Path())
@click.argument("sub_stage")
def run(script: str, sub_stage: str) -> None:
    """[runner] Run one script in the job pod and pass its output on.

    In config.toml: run_exec = "/path/to/kaniko-driver", run_args = ["run"]; the runner appends the arguments.
    """


@cli.command()
def cleanup() -> None:
    """[runner] Delete the job pod.

    In config.toml: cleanup_exec = "/path/to/kaniko-driver", cleanup_args = ["cleanup"]
    """


cli.add_command(cache)
cli.add_command(tenant)
cli.add_command(migrate)
cli.add_command(exec_)
cli.add_command(gc)
cli.add_command(logs)
cli.add_command(tune)
cli.add_command(usage)
cli.add_command(doctor)
cli.add_command(validate)
cli.add_command(render)
cli.add_command(jobs)
cli.add_command(version)
cli.add_command(completion)
cli.add_command(metrics)
cli.add_command(traces)
cli.add_command(reference)
cli.add_command(settings_command)
