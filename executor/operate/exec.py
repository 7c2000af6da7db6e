"""exec: a shell, or another command, in a container of a job's pod."""

from __future__ import annotations

import sys

import click

from executor.operate import jobpod


@click.command(name="exec")
@jobpod.options
@click.option(
    "--container", default="build", show_default=True, help="build, helper, or svc-0, svc-1 and so on: services."
)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def exec_(*, container: str, command: tuple[str, ...], **where: object) -> None:
    """Open a shell in the build container of JOB, or run COMMAND there.

    JOB is the job's number. Works while its pod exists: during the job, and afterwards where its tenant keeps the pods
    of failed jobs. The shell starts in the project's folder; the usual tools are on PATH even where the image has none.

    \b
    kaniko-driver exec 4711                          look around
    kaniko-driver exec 4711 -- cat /etc/os-release
    kaniko-driver exec 4711 --container helper -- git log -1

    A kept pod has no registry logins and none of the job's variables any more, but for those of its services, which
    go on. Whoever may run this has the same rights in the pod as its job: the kubeconfig needs the verbs get and create
    on pods/exec.

    Exit code: that of COMMAND or of the shell; 1 when there is no such pod, 2 for wrong usage.
    """
    with jobpod.found(jobpod.Search(**where)) as pod:  # type: ignore[arg-type] # as click made them
        for note in pod.notes:
            click.echo(note, err=True)
        code = _run(pod, container, command)
    sys.exit(code)


def _run(pod: jobpod.JobPod, container: str, command: tuple[str, ...]) -> int:
    # Imported here: help and completion need no network.
    from executor.cluster import credentials
    from executor.cluster.stream import ExecStream
    from executor.cluster.terminal import Session
    from executor.pod import names, programs

    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    stream = ExecStream(
        pod.connection,
        credentials.tls_context(pod.connection),
        pod=pod.name,
        container=container,
        command=list(command) or programs.shell_command(f"{names.BUILDS_FOLDER}/{pod.project}"),
        terminal=terminal,
    )
    try:
        return Session(stream, keyboard=0, screen=1, errors=2).run(terminal=terminal)
    finally:
        stream.close()
