"""render: the pod that a job would get, without a cluster."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Any

import click

from executor.operate.shown import complete_tenant, failures_in_words, settings_option

if TYPE_CHECKING:
    from executor.job import Job
    from executor.settings.load import Settings

_PREFIX = "KUBERNETES_"
_NOWHERE = """\
{"current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
 "clusters": [{"name": "c", "cluster": {"server": "https://nowhere.invalid"}}],
 "users": [{"name": "u", "user": {"token": "none"}}]}
"""
_EXAMPLE: dict[str, Any] = {
    "id": 4711,
    "job_info": {"name": "build-image", "project_id": 42, "project_full_path": "group/app", "root_namespace_id": 5},
    "git_info": {"ref": "main", "sha": "0123456789abcdef0123456789abcdef01234567", "protected": True},
    "runner_info": {"timeout": 3600},
    "variables": [
        {"key": "CI_COMMIT_REF_NAME", "value": "main", "public": True, "masked": False},
        {"key": "KUBERNETES_MEMORY_LIMIT", "value": "6Gi", "public": True, "masked": False},
    ],
    "steps": [{"name": "script", "script": ["/kaniko/executor --context . --no-push"], "timeout": 3600}],
    "image": {"name": "gcr.io/kaniko-project/executor:v1.24.0-debug", "entrypoint": [""]},
    "services": [],
    "credentials": [],
}


@click.command()
@click.argument("job", required=False, type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@settings_option
@click.option(
    "--tenant",
    default="",
    shell_complete=complete_tenant,
    help="Whose runner takes the job. Without it: by the job's root namespace.",
)
@click.option(
    "--output", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True, help="yaml to read, json else."
)
@click.option("--example", is_flag=True, help="Print a job response to start from, and nothing else.")
def render(*, job: str | None, settings: str, tenant: str, output: str, example: bool) -> None:
    """Print the exact manifest of the pod that JOB would get, without a cluster.

    JOB is a file with a job as GitLab hands it to the runner (the answer of POST /api/v4/jobs/request, which GitLab
    Runner names in JOB_RESPONSE_FILE); `-` reads stdin. What the driver says in the job log beforehand goes to stderr.
    Variables are taken as they stand in the file; GitLab Runner would expand them.

    \b
    kaniko-driver render --example > job.json
    kaniko-driver render job.json --tenant team-blue
    kaniko-driver render job.json --tenant team-blue | kubectl apply --dry-run=server -f -

    Secrets that the job brings along (logins for its own images, variables of services) are printed without their
    values. Names of pods have a random part, another one each time.

    Exit codes: 0 printed, 1 the job would be refused or the settings cannot be used, 2 wrong usage.
    """
    if example:
        click.echo(json.dumps(_EXAMPLE, indent=2))
        return
    if job is None:
        raise click.UsageError("Missing argument 'JOB'; --example prints one to start from.")
    with failures_in_words(), tempfile.TemporaryDirectory(prefix="kaniko-driver-") as folder:
        resolved = _resolved(job, settings, tenant, folder)
    for note in resolved.notes:
        click.echo(f"job log: {note}", err=True)
    documents = [resolved.manifest, *map(_without_values, resolved.secrets)]
    if output == "json":
        shown: Any = documents[0] if len(documents) == 1 else {"apiVersion": "v1", "kind": "List", "items": documents}
        click.echo(json.dumps(shown, indent=2, ensure_ascii=False))
        return
    # Imported here: JSON needs none.
    import yaml

    class Dumper(yaml.SafeDumper):
        """Writes programs as blocks of lines."""

        def represent_text(self, text: str) -> yaml.ScalarNode:
            return self.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)

    Dumper.add_representer(str, Dumper.represent_text)
    # A copy without shared parts: they would become aliases.
    apart = json.loads(json.dumps(documents))
    shown = yaml.dump_all(apart, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=120)
    click.echo(shown, nl=False)


def _resolved(job: str, folder: str, tenant: str, temporary: str) -> Job:
    # Imported here: the help of all commands must not wait for it.
    from executor.runner.response import read_job_response
    from executor.settings.load import load, tenant_of_root_namespace
    from executor.stages.config import resolve

    path = job
    if job == "-":
        path = os.path.join(temporary, "job.json")
        with open(path, "wb") as file:
            file.write(sys.stdin.buffer.read())
    response = read_job_response(path)
    settings = load(folder, tenant or tenant_of_root_namespace(folder, response.root_namespace_id))
    wishes = {one.key: one.value for one in response.variables if one.key.startswith(_PREFIX)}
    return resolve(_without_cluster(settings, temporary), response, wishes, private=temporary, now=time.time())


def _without_cluster(settings: Settings, temporary: str) -> Settings:
    """Return the settings with a kubeconfig that needs no cluster; the way to it is no part of a pod."""
    from executor.values import replace

    path = os.path.join(temporary, "kubeconfig")
    with open(path, "w", encoding="utf-8") as file:
        file.write(_NOWHERE)
    cluster = replace(settings.tenant.cluster, kubeconfig=path, context="")
    return replace(settings, tenant=replace(settings.tenant, cluster=cluster))


def _without_values(secret: dict[str, Any]) -> dict[str, Any]:
    return secret | {"data": dict.fromkeys(secret["data"], "")}
