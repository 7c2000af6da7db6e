"""Find the pod of a job for an operator: which tenants, which cluster, which of several attempts.

For the commands that look into pods. Reads settings and kubeconfigs as `config` does, and asks the API server with the
same light client; credentials that a kubeconfig carries inline live in a temporary folder while the command runs.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from executor.errors import DriverError
from executor.operate.shown import DEFAULT_SETTINGS, complete_tenant, for_operator, tenants_of
from executor.pod import names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from executor.job import Connection

    Command = TypeVar("Command", bound=Callable[..., Any])

_PATIENCE = 5.0
_LISTED_AT_MOST = 100
_PROJECT = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_./-]*")


@dataclass(frozen=True, kw_only=True)
class Search:
    """Where to look for a job's pod, as the options say."""

    job: int
    settings: str
    tenant: str
    kubeconfig: str
    namespace: str
    pod: str


@dataclass(frozen=True, kw_only=True)
class JobPod:
    """A pod and the way to it."""

    connection: Connection
    name: str
    project: str
    """Path of the project, and of its clone below /builds; empty where it is not known."""
    notes: tuple[str, ...]
    """What the operator should know of the choice."""


def options(command: Command) -> Command:
    """Give a command the argument JOB and the options of a `Search`, a keyword for each of its fields."""
    for add in (
        click.option("--pod", default="", help="One of several pods of the job, by its name."),
        click.option("--namespace", default="", help="With --kubeconfig: where the job's pod is."),
        click.option(
            "--kubeconfig", type=click.Path(), default="", help="Reach the cluster with this, without any settings."
        ),
        click.option(
            "--tenant",
            default="",
            shell_complete=complete_tenant,
            help="Whose job it is. Without it: all tenants are looked through.",
        ),
        click.option(
            "--settings",
            type=click.Path(),
            default=DEFAULT_SETTINGS,
            show_default=True,
            help="Folder with driver.toml; the kubeconfigs of its tenants are used.",
        ),
        click.argument("job", type=click.IntRange(min=1)),
    ):
        command = add(command)
    return command


@contextlib.contextmanager
def found(search: Search) -> Iterator[JobPod]:
    """Find the newest pod of the job; the way to it lasts as long as the block.

    Raises:
        click.ClickException: there is none, several tenants have one, or nobody could be asked.
    """
    with tempfile.TemporaryDirectory(prefix="kaniko-driver-") as folder:
        try:
            yield _find(search, folder)
        except DriverError as error:
            raise click.ClickException(for_operator(error)) from error


def _find(search: Search, folder: str) -> JobPod:
    pods: list[tuple[Connection, dict[str, Any]]] = []
    asked: list[str] = []
    notes: list[str] = []
    connections = _connections(search, folder)
    for place, connect in connections:
        try:
            connection = connect()
            pods += [(connection, metadata) for metadata in _pods_of(connection, search)]
            asked.append(place)
        except DriverError as error:
            # One tenant's broken kubeconfig must not hide another one's pod.
            if len(connections) == 1:
                raise
            notes.append(f"{place} was not looked through: {error.what}")
    places = sorted({connection.namespace for connection, _ in pods})
    if not pods:
        raise click.ClickException(
            f"there is no pod of job {search.job} (looked through: {', '.join(asked) or 'none'}).\n"
            + "".join(f"{note}\n" for note in notes)
            + "A job's pod is deleted when the job ends, unless it failed and its tenant keeps such pods: "
            "[debug] keep_failed."
        )
    if len(places) > 1:
        raise click.ClickException(
            f"several tenants have a job {search.job}: {', '.join(places)}. Name one with --tenant."
        )
    pods.sort(key=lambda each: (str(each[1].get("creationTimestamp")), each[1]["name"]))
    connection, metadata = pods[-1]
    if len(pods) > 1:
        others = ", ".join(each["name"] for _, each in pods[:-1])
        notes.append(f"job {search.job} has {len(pods)} pods; this is the newest, {metadata['name']}; older: {others}")
    return JobPod(connection=connection, name=metadata["name"], project=_project(metadata), notes=tuple(notes))


def _connections(search: Search, folder: str) -> list[tuple[str, Callable[[], Connection]]]:
    # Imported here: the command line's help does not need it.
    from executor.cluster import kubeconfig

    if search.kubeconfig:
        if not search.namespace:
            raise click.UsageError("--kubeconfig needs --namespace")
        return [
            (
                search.namespace,
                lambda: kubeconfig.connect(
                    path=search.kubeconfig, context="", namespace=search.namespace, folder=folder
                ),
            )
        ]

    tenants = tenants_of(search.settings, filter(None, [search.tenant]))
    return [(tenant, lambda tenant=tenant: connect(search.settings, tenant, folder)) for tenant in tenants]  # type: ignore[misc] # mypy knows no default here


def connect(settings: str, tenant: str, folder: str) -> Connection:
    """Find the way to a tenant's namespace, as its jobs do; credentials are written into a new folder below `folder`.

    Raises:
        SettingsInvalid, CredentialsInvalid: there is none.
    """
    from executor.cluster import kubeconfig
    from executor.settings.load import load

    # A folder for each: their credentials have the same file names.
    own = tempfile.mkdtemp(dir=folder)
    cluster = load(settings, tenant).tenant.cluster
    return kubeconfig.connect(path=cluster.kubeconfig, context=cluster.context, namespace=cluster.namespace, folder=own)


def _pods_of(connection: Connection, search: Search) -> list[dict[str, Any]]:
    from executor.cluster.api import Api

    with Api(connection, patience=_PATIENCE) as api:
        listed = api.list_pod_metadata(f"{names.JOB_LABEL}={search.job}", limit=_LISTED_AT_MOST)
    return [pod for pod in listed if search.pod in {"", pod["name"]}]


def _project(metadata: dict[str, Any]) -> str:
    path = str((metadata.get("annotations") or {}).get(names.PROJECT_ANNOTATION) or "")
    return path if _PROJECT.fullmatch(path) and ".." not in path else ""
