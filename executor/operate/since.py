"""Options of the commands that read operator logs: which files, and since when."""

from __future__ import annotations

import os
import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

from executor.errors import SettingsInvalid
from executor.figures import attempts, reading
from executor.settings.load import log_file
from executor.settings.units import Duration

if TYPE_CHECKING:
    from collections.abc import Callable

    Command = TypeVar("Command", bound=Callable[..., Any])

_DAYS = re.compile(r"(\d{1,5})d")
_DAY = 86_400

log_option = click.option(
    "--log",
    "logs",
    type=click.Path(exists=True, dir_okay=False),
    multiple=True,
    help="A log to read, packed by gzip or not; repeat it for several hosts. Without it: [log] file of the settings "
    "and what logrotate made of it before.",
)

one_log_option = click.option(
    "--log", type=click.Path(dir_okay=False), default="", help="The log. Without it: [log] file of the settings."
)


class Since(click.ParamType["float"]):
    """A point in time: how long ago, or a day."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return it as Unix time."""
        if isinstance(value, float):
            return value
        text = str(value)
        try:
            if days := _DAYS.fullmatch(text):
                return time.time() - int(days[1]) * _DAY
            if text[:1].isdigit() and "-" in text:
                when = datetime.fromisoformat(text)
                return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
            return time.time() - Duration.parse(text).seconds
        except ValueError:
            self.fail(f"{text!r} is no time: write 7d, 12h, 2026-11-01 or 2026-11-01T08:00", param, ctx)


since_option = click.option(
    "--since", type=Since(), default=0.0, help="Only lines from then on: 7d, 12h, or a day such as 2026-11-01 (UTC)."
)


def the_log(settings: str, given: str, *, to: str) -> str:
    """Return the log that is followed; one that is not there may come with the first job, and is told.

    Args:
        settings: their folder.
        given: what --log says; empty where it was not given.
        to: what is done with it, as a verb.

    Raises:
        SettingsInvalid: the settings turn it off.
    """
    found = given or log_file(settings)
    if not found:
        raise SettingsInvalid(f"The settings turn the operator log off, so there is nothing to {to}: [log] file.")
    if not os.path.exists(found):
        click.echo(f"{found} is not there: no job has written to it yet, or it is another file", err=True)
    return found


def read(settings: str, logs: tuple[str, ...], since: float) -> tuple[list[attempts.Attempt], reading.Reading]:
    """Read the logs into attempts, and say on stderr what could not be read.

    Raises:
        SettingsInvalid: there is no log.
    """
    found = reading.Reading()
    # The log itself where there is nothing at all: its name is what a person needs then.
    path = "" if logs else log_file(settings)
    paths = logs or (path and (reading.with_rotated(path) or [path])) or ()
    read_attempts = attempts.attempts(reading.lines(paths, found, since=since))
    if found.broken:
        click.echo(f"{found.broken} of {found.lines} lines were none of the driver's, or broken; left out", err=True)
    for trouble in found.unreadable:
        click.echo(f"not read: {trouble}", err=True)
    return read_attempts, found
