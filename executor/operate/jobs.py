"""jobs: what runs now, for which tenant and where, and how much of its limits it uses."""

from __future__ import annotations

import contextlib
import json
import re
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import click

from executor.errors import DriverError
from executor.operate.shown import complete_tenant, console, failures_in_words, settings_option, tenants_of

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from executor.job import Connection

_AT_ONCE = 16
_ANSWER_SECONDS = 8.0
_BAD_REQUEST = 400
_SCRIPT = re.compile(r"script ([a-z0-9_-]{1,60})-[a-z0-9]{8} (?:build|helper) \S+ (running|ended)")
_FIGURE = re.compile(r"(memory|disk|builds) (\d{1,18})")
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_NEAR = 0.9
_WIDE = 160
"""Columns of a terminal from which on figures are written out."""
_COLUMNS = {
    "job": 0,
    "tenant": 64,
    "project": 110,
    "node": 130,
    "age": 0,
    "state": 0,
    "memory": 50,
    "disk": 74,
    "/builds": 84,
}
"""Column -> how wide a terminal must be to have it."""
_TEXTS = {"tenant": 6, "project": 7, "node": 4, "state": 13}
"""Column of any length -> characters that it has at the least."""
_PADDING = 3
"""Between two columns, by rich's SIMPLE_HEAD."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One job pod."""

    job: int
    tenant: str
    pod: str
    project: str
    node: str
    began: float
    """Unix time at which the pod was made."""
    state: str
    """`starting` (with `detail`), `running`, `between` two scripts, `kept`, `ending`, `ended`."""
    detail: str = ""
    """The sub-stage, or what a pod that starts waits for."""
    memory_bytes: int | None = None
    """What the build container uses now, the cache of files included, as the pod itself says."""
    memory_limit_bytes: int = 0
    disk_bytes: int | None = None
    disk_limit_bytes: int = 0
    builds_bytes: int | None = None
    builds_limit_bytes: int = 0


@click.command()
@click.argument("tenants", nargs=-1, metavar="[TENANT]...", shell_complete=complete_tenant)
@settings_option
@click.option("--watch", "-w", is_flag=True, help="Show it again and again, until Ctrl-C.")
@click.option(
    "--interval", type=click.IntRange(1, 3600), default=5, show_default=True, help="Seconds from one look to the next."
)
@click.option(
    "--output",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="For scripts: json; with --watch one line a look.",
)
def jobs(*, tenants: tuple[str, ...], settings: str, watch: bool, interval: int, output: str) -> None:
    """List the jobs that run now: tenant, project, node, age, sub-stage, memory and disk against their limits.

    Asks the cluster of each tenant with the driver's own credentials, and each pod what it uses: figures of a pod are
    its own word. `kaniko-driver logs JOB` shows what a job prints, `exec JOB` enters it.

    \b
    kaniko-driver jobs
    kaniko-driver jobs team-blue --watch
    kaniko-driver jobs --output json | jq '.jobs[] | select(.state == "starting")'

    Exit codes: 0 shown, 1 a tenant's cluster could not be asked (the others are shown), 2 wrong usage.
    """
    with failures_in_words(), tempfile.TemporaryDirectory(prefix="kaniko-driver-") as folder:
        places, troubles = _places(settings, tenants, folder)
        if not watch:
            rows, more = look(places)
            troubles += more
            _show(rows, troubles, output)
        elif output == "json":
            _repeat_as_json(places, troubles, interval)
        else:
            _repeat(places, troubles, interval)
    raise SystemExit(1 if troubles else 0)


def _places(settings: str, tenants: tuple[str, ...], folder: str) -> tuple[list[tuple[str, Connection]], list[str]]:
    """Return tenant and way to its namespace, and what could not be used."""
    from executor.operate.jobpod import connect

    places, troubles = [], []
    for name in tenants_of(settings, tenants):
        try:
            places.append((name, connect(settings, name, folder)))
        except DriverError as error:
            troubles.append(f"{name}: {error.what} {error.why}".strip())
    return places, troubles


def look(places: list[tuple[str, Connection]]) -> tuple[list[Row], list[str]]:
    """Return all jobs of these tenants, the oldest first, and which of them could not be asked."""
    rows: list[tuple[Row, Connection]] = []
    troubles = []
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        for (tenant, connection), listed in zip(places, pool.map(_listed, places), strict=True):
            if isinstance(listed, DriverError):
                troubles.append(f"{tenant}: {listed.what} {listed.why}".strip())
            else:
                rows += [(_row(tenant, pod), connection) for pod in listed]
        found = list(pool.map(lambda one: _with_inside(*one), rows))
    return sorted(found, key=lambda row: (row.began, row.pod)), troubles


def _listed(place: tuple[str, Connection]) -> list[dict[str, Any]] | DriverError:
    from executor.cluster.inquiry import ask
    from executor.errors import ClusterRefused
    from executor.pod import names

    tenant, connection = place
    query = f"labelSelector={names.TENANT_LABEL}%3D{tenant}%2C{names.JOB_LABEL}"
    try:
        answer = ask(connection, f"/api/v1/namespaces/{connection.namespace}/pods?{query}")
    except DriverError as error:
        return error
    if answer.status >= _BAD_REQUEST:
        return ClusterRefused("The API server refused to list pods.", status=answer.status, why=answer.message)
    pods: list[dict[str, Any]] = answer.body.get("items") or []
    return pods


def _row(tenant: str, pod: dict[str, Any]) -> Row:
    from executor.diagnosis.amounts import amount
    from executor.pod import names

    meta, spec = pod["metadata"], pod["spec"]
    labels, annotations = meta.get("labels") or {}, meta.get("annotations") or {}
    build: dict[str, Any] = next((one for one in spec["containers"] if one["name"] == names.BUILD), {})
    limits = (build.get("resources") or {}).get("limits") or {}
    volumes = {one["name"]: one.get("emptyDir") or {} for one in spec.get("volumes") or ()}
    job = str(labels.get(names.JOB_LABEL, ""))

    # Not by the settings' reader: whoever has a tenant's token may make pods whose amounts the driver would not write,
    # such as 1e9, and these must not hide everybody else's jobs.
    def count(text: object) -> int:
        return int(amount(str(text or "")))

    state, detail = _state(pod)
    return Row(
        job=int(job) if job.isdecimal() else 0,
        tenant=tenant,
        pod=meta["name"],
        project=str(annotations.get(names.PROJECT_ANNOTATION) or ""),
        node=str(spec.get("nodeName") or ""),
        began=datetime.fromisoformat(meta["creationTimestamp"]).timestamp(),
        state=state,
        detail=detail,
        memory_limit_bytes=count(limits.get("memory")),
        disk_limit_bytes=count(limits.get("ephemeral-storage")),
        builds_limit_bytes=count(volumes.get("builds", {}).get("sizeLimit")),
    )


def _state(pod: dict[str, Any]) -> tuple[str, str]:
    """Return what can be told without asking the pod itself."""
    from executor.diagnosis import cause
    from executor.pod import names

    meta = pod["metadata"]
    if meta.get("deletionTimestamp"):
        return "ending", ""
    if names.KEPT_LABEL in (meta.get("labels") or {}):
        return "kept", "for people to look into"
    if (pod.get("status") or {}).get("phase") in {"Succeeded", "Failed"}:
        return "ended", str(pod["status"].get("reason") or "")
    if all("running" in cause.container_state(pod, name) for name in (names.BUILD, names.HELPER)):
        return "running", ""
    found = cause.of_waiting_pod(pod)
    return "starting", found.what if found is not None else ""


def _with_inside(row: Row, connection: Connection) -> Row:
    """Add what only the pod knows; a pod that does not answer keeps what is known from outside."""
    if row.state != "running":
        return row
    said = _said(row.pod, connection)
    script = _SCRIPT.search(said)
    figures = {name: int(value) for name, value in _FIGURE.findall(said)}
    state = "running" if script and script[2] == "running" else "between"
    detail = script[1] if script else ""
    return replace(
        row,
        state=state,
        detail=detail,
        memory_bytes=_clamped(figures.get("memory"), row.memory_limit_bytes),
        disk_bytes=_clamped(figures.get("disk"), row.disk_limit_bytes),
        builds_bytes=_clamped(figures.get("builds"), row.builds_limit_bytes),
    )


def _clamped(value: int | None, most: int) -> int | None:
    # The build's root can answer what it likes.
    return value if value is None or not most else min(value, most)


def _said(pod: str, connection: Connection) -> str:
    from executor.cluster.place import Place
    from executor.cluster.stream import STDOUT
    from executor.pod import names, programs

    try:
        stream = Place(connection, pod=pod, container=names.BUILD).open(programs.look_command())
        said, end = b"", time.monotonic() + _ANSWER_SECONDS
        try:
            while (left := end - time.monotonic()) > 0 and (frame := stream.receive(left)) is not None:
                said += bytes(frame[1]) if frame[0] == STDOUT and len(said) < 10_000 else b""  # noqa: PLR2004 - enough
        finally:
            stream.close()
    except (DriverError, TimeoutError):
        return ""
    return said.decode("ascii", "replace")


# ------------------------------------------------------------ showing


def _show(rows: list[Row], troubles: list[str], output: str) -> None:
    if output == "json":
        click.echo(json.dumps({"jobs": [asdict(row) for row in rows], "not_asked": troubles}, indent=2))
        return
    for trouble in troubles:
        click.echo(f"not asked: {trouble}", err=True)
    if rows:
        screen = console()
        screen.print(table(rows, now=time.time(), width=screen.width))
    elif not troubles:
        click.echo("No job runs.")


def _repeat(places: list[tuple[str, Connection]], troubles: list[str], interval: int) -> None:
    from rich.live import Live
    from rich.text import Text

    screen = console()
    with contextlib.suppress(KeyboardInterrupt):
        if not screen.is_terminal or screen.is_dumb_terminal:
            # Nothing can be written over there: one look stands below the other.
            while True:
                screen.print(_shown_look(places, troubles, interval, screen.width))
                time.sleep(interval)
        with Live(Text("looking …"), console=screen, auto_refresh=False, screen=True) as live:
            while True:
                live.update(_shown_look(places, troubles, interval, screen.width), refresh=True)
                time.sleep(interval)


def _shown_look(places: list[tuple[str, Connection]], troubles: list[str], interval: int, width: int) -> Group:
    from rich.console import Group
    from rich.text import Text

    rows, more = look(places)
    notes = [Text(f"not asked: {one}", style="red") for one in (*troubles, *more)]
    number = f"{len(rows)} job{'s' * (len(rows) != 1)}"
    head = Text(f"{number}, {time.strftime('%H:%M:%S')}, every {interval} s; Ctrl-C ends", "dim")
    return Group(head, *notes, table(rows, now=time.time(), width=width))


def _repeat_as_json(places: list[tuple[str, Connection]], troubles: list[str], interval: int) -> None:
    try:
        while True:
            rows, more = look(places)
            click.echo(
                json.dumps({"time": time.time(), "jobs": [asdict(row) for row in rows], "not_asked": troubles + more})
            )
            time.sleep(interval)
    except KeyboardInterrupt:
        return


def table(rows: list[Row], *, now: float, width: int) -> Table:
    """Make the table for people; a part of a limit from 90 percent on is red.

    What a terminal has no room for is left out, the least important first.
    """
    from rich import box
    from rich.table import Table

    names = [name for name, least in _COLUMNS.items() if width >= least]
    cells = [_cells(row, now=now, short=width < _WIDE) for row in rows]
    longest = {name: max((len(one[name]) for one in cells), default=0) for name in names}
    # What has a length of its own is never cut: names of people's choice and states share what is left.
    wanted = {name: longest[name] for name in names if name in _TEXTS}
    taken = sum(max(len(name), longest[name]) + _PADDING for name in names if name not in _TEXTS)
    shares = _shared(width - taken - _PADDING * len(wanted), wanted)
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in names:
        least = max(len(name), shares.get(name, longest[name]))
        side: Literal["left", "right"] = "left" if name in _TEXTS else "right"
        made.add_column(name, justify=side, no_wrap=name != "state", min_width=least)
    for one in cells:
        made.add_row(*(_cut(name, one[name], shares.get(name)) for name in names))
    return made


def _cells(row: Row, *, now: float, short: bool) -> dict[str, Text]:
    from rich.text import Text

    from executor.scrub import readable

    return {
        "job": Text(str(row.job)),
        "tenant": Text(row.tenant),
        "project": Text(readable(row.project, 200)),
        "node": Text(row.node or "-"),
        "age": Text(_age(now - row.began)),
        "state": Text(_in_words(row), style="yellow" if row.state == "starting" else ""),
        "memory": _share(row.memory_bytes, row.memory_limit_bytes, short=short),
        "disk": _share(row.disk_bytes, row.disk_limit_bytes, short=short),
        "/builds": _share(row.builds_bytes, row.builds_limit_bytes, short=short),
    }


def _shared(room: int, wanted: dict[str, int]) -> dict[str, int]:
    """Share characters out: the modest get what they want, the others the same."""
    shares: dict[str, int] = {}
    for name in sorted(wanted, key=lambda one: wanted[one]):
        part = (room - sum(shares.values())) // (len(wanted) - len(shares))
        shares[name] = max(min(wanted[name], part), _TEXTS[name])
    return shares


def _cut(name: str, text: Text, most: int | None) -> Text:
    """Shorten a name: a project's end tells it apart from others, and everything else's beginning. States wrap."""
    if most is None or len(text) <= most or name == "state":
        return text
    text.plain = f"…{text.plain[1 - most :]}" if name == "project" else f"{text.plain[: most - 1]}…"
    return text


def _in_words(row: Row) -> str:
    if row.state == "running":
        return row.detail
    if row.state == "between":
        return f"after {row.detail}" if row.detail else "ready"
    return row.state if row.state in {"kept", "ending", "ended"} else f"{row.state} {row.detail}".strip()


def _share(used: int | None, limit: int, *, short: bool) -> Text:
    from rich.text import Text

    from executor.figures import words

    if used is None:
        return Text(f"- of {words.size(limit)}" if limit and not short else "-", style="dim")
    near = limit and used >= _NEAR * limit
    if not limit:
        shown = words.size(used)
    else:
        shown = words.percent(used / limit) if short else f"{words.size(used)} of {words.size(limit)}"
    return Text(shown, style="red" if near else "")


def _age(seconds: float) -> str:
    whole = max(int(seconds), 0)
    if whole < _HOUR:
        return f"{whole // _MINUTE}m{whole % _MINUTE:02d}s"
    if whole < _DAY:
        return f"{whole // _HOUR}h{whole % _HOUR // _MINUTE:02d}m"
    return f"{whole // _DAY}d{whole % _DAY // _HOUR:02d}h"
