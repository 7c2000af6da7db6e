"""logs: what a job's scripts printed, from its pod, byte for byte and over any number of connections."""

from __future__ import annotations

import os
import re
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import click

from executor.operate import jobpod

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from executor.cluster.place import Place

Answer = TypeVar("Answer")
_STDOUT, _STDERR = 1, 2
_LINE = re.compile(r"([a-z0-9_-]{1,60})-[a-z0-9]{8} (build|helper) (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)")
_TRIES = 5
_SILENCE_SECONDS = 20.0
_CONNECTION_SECONDS = 300.0
_MOST_SCRIPTS = 1000
_LONGEST_LIST = 200_000
"""Bytes: a line of it has at most 120. The build's root can make the list as long as its volume has room for."""


@dataclass(frozen=True)
class Stage:
    """One call of `run`, as the pod knows it."""

    ident: str
    sub_stage: str
    container: str
    started: str


@click.command()
@jobpod.options
@click.option("--follow", "-f", is_flag=True, help="Go on with what is printed from now on, until the job is over.")
@click.option("--sub-stage", default="", help="Only this one, such as build_script or get_sources.")
@click.option("--raw", is_flag=True, help="Let escape sequences of the job reach this terminal.")
def logs(*, follow: bool, sub_stage: str, raw: bool, **where: object) -> None:
    """Show what the scripts of JOB printed.

    JOB is the job's number, as in its address in GitLab. Works as long as its pod exists: while the job runs, and
    afterwards where its tenant keeps the pods of failed jobs. Of several attempts the newest is shown.

    \b
    kaniko-driver logs 4711                          what there is now
    kaniko-driver logs 4711 -f                       and what follows
    kaniko-driver logs 4711 --sub-stage build_script > build.log

    Lines that say which script it was go to stderr. Into a file or a pipe every byte goes as it is. A terminal gets
    colours but no other escape sequences, since the job may not be trusted; --raw lets all of them through. Secrets
    are NOT masked here: that is the runner's work, on the way to GitLab.

    Exit code: 0 shown, 1 no such pod or it cannot be read, 2 wrong usage.
    """
    clean = not raw and sys.stdout.isatty()
    with jobpod.found(jobpod.Search(**where)) as pod:  # type: ignore[arg-type] # as click made them
        for note in pod.notes:
            click.echo(note, err=True)
        shown = 0
        for stage in _stages(pod, follow=follow):
            if sub_stage in {"", stage.sub_stage}:
                shown += 1
                click.echo(f"== {stage.sub_stage} ({stage.container}, {stage.started} UTC) ==", err=True)
                _show(pod, stage, _Screen(clean=clean), follow=follow)
        if not shown:
            wanted = f" named {sub_stage}" if sub_stage else ""
            raise click.ClickException(f"no script{wanted} has run in {pod.name}")


class _Screen:
    """Where the output goes; knows how many bytes of the script have passed."""

    def __init__(self, *, clean: bool) -> None:
        from executor.operate.escapes import Harmless

        self._filter = Harmless() if clean else None
        self.passed = 0

    def show(self, data: memoryview) -> None:
        text = memoryview(self._filter.feed(bytes(data))) if self._filter else data
        while text:
            text = text[os.write(_STDOUT, text) :]
        self.passed += len(data)


def _place(pod: jobpod.JobPod, container: str) -> Place:
    from executor.cluster.place import Place

    return Place(pod.connection, pod=pod.name, container=container)


def _stages(pod: jobpod.JobPod, *, follow: bool) -> Iterator[Stage]:
    from executor.errors import ClusterRefused, PodLost

    seen = 0
    while True:
        try:
            stages = _listed(pod, seen=seen if follow else None)
        except (ClusterRefused, PodLost):
            # Its container ends with the job; before anything was shown that is an error.
            if not seen:
                raise
            return
        yield from stages[seen:]
        if not follow or len(stages) == seen:
            return
        seen = len(stages)


def _listed(pod: jobpod.JobPod, *, seen: int | None) -> list[Stage]:
    """Ask for the scripts that the pod knows."""
    from executor.pod import programs

    def ask(place: Place) -> list[Stage]:
        text = b""
        for piece in _printed(place, programs.stages_command(seen=seen)):
            text += piece
            if len(text) > _LONGEST_LIST:
                break
        return _parsed(text)

    return _tried(pod, ask)


def _parsed(text: bytes) -> list[Stage]:
    """Read what the pod says; lines of another form are none of ours."""
    lines = text.decode("ascii", "replace").splitlines()[:_MOST_SCRIPTS]
    matches = [(line, found) for line in lines if (found := _LINE.fullmatch(line))]
    return [Stage(line.split()[0], found[1], found[2], found[3]) for line, found in matches]


def _show(pod: jobpod.JobPod, stage: Stage, screen: _Screen, *, follow: bool) -> None:
    from executor.errors import PodLost, ScriptLost

    try:
        if follow:
            _follow(pod, stage, screen)
        else:
            _drain(pod, stage, screen)
    except (PodLost, ScriptLost) as error:
        click.echo(f"-- {error.what} --", err=True)
    except BrokenPipeError:
        # Whoever read this has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), _STDOUT)
        raise SystemExit(0) from None


def _follow(pod: jobpod.JobPod, stage: Stage, screen: _Screen) -> None:
    from executor.cluster.script import Order, Script, Surroundings

    place = _place(pod, stage.container)
    around = Surroundings(
        open=place.open,
        open_elsewhere=place.open_elsewhere,
        look=place.look,
        explain=place.explain,
        sink=screen.show,
        passed=lambda: screen.passed,
        say=lambda text: click.echo(f"-- {text} --", err=True),
        tick=lambda: None,
        note=lambda _event, _reason: None,
    )
    order = Order(stage=stage.ident, script=b"", logins=b"", shell="", output_limit=0, umask="")
    Script(order, around, connection_timeout=_CONNECTION_SECONDS).follow()


def _drain(pod: jobpod.JobPod, stage: Stage, screen: _Screen) -> None:
    """Show what is there now, whether the script has ended or not."""
    from executor.pod import programs

    def show_the_rest(place: Place) -> None:
        command = programs.follow_command(stage=stage.ident, offset=screen.passed, until_end_of_file=True)
        for data in _printed(place, command):
            screen.show(data)

    _tried(pod, show_the_rest)


def _tried(pod: jobpod.JobPod, call: Callable[[Place], Answer]) -> Answer:
    """Ask the helper, which outlives a build container that was killed; again where the connection breaks."""
    from executor.errors import ClusterUnreachable
    from executor.pod import names

    place = _place(pod, names.HELPER)
    for trial in range(_TRIES - 1):
        try:
            return call(place)
        except (ClusterUnreachable, TimeoutError):
            time.sleep(trial)
    try:
        return call(place)
    except TimeoutError as error:
        raise ClusterUnreachable(
            "The pod does not answer.",
            why=f"It took the question and was silent for {_SILENCE_SECONDS:.0f} s, {_TRIES} times.",
        ) from error


def _printed(place: Place, command: list[str]) -> Iterator[memoryview]:
    """Give what a command prints, in the other container where this one runs none."""
    from executor.cluster.stream import STDOUT
    from executor.errors import ClusterRefused

    try:
        stream = place.open(command)
    except ClusterRefused:
        stream = place.open_elsewhere(command)
    try:
        while (frame := stream.receive(_SILENCE_SECONDS)) is not None:
            if frame[0] == STDOUT:
                yield frame[1]
    finally:
        stream.close()
