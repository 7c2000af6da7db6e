"""traces: the operator log as OpenTelemetry wants it, one trace an attempt of a job."""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING

import click

from executor.errors import SettingsInvalid
from executor.operate.shown import failures_in_words, log_or_state, settings_option
from executor.operate.since import Since, one_log_option, the_log

if TYPE_CHECKING:
    from executor.operate.otlp import Sender

_AT_ONCE = 50
"""Attempts in one request; some ten spans each."""

_state_option = click.option(
    "--state",
    type=click.Path(dir_okay=False),
    default="/var/lib/kaniko-driver/traces.json",
    show_default=True,
    help="Remembers how far the log was sent.",
)
_since_option = click.option(
    "--since",
    type=Since(),
    default=0.0,
    help="At the first call of all: begin with jobs from then on (7d, 12h, 2026-11-01). Without it: with those that "
    "come.",
)


@click.group(short_help="Send traces of jobs to an OpenTelemetry collector.")
def traces() -> None:
    """Send a trace of each job that is over: its stages and scripts, what it waited for, and how it ended.

    The operator log of this host is the source, so no job waits for a collector, and what one does not take is sent
    later. Where to send, and what else there is to say, comes from OpenTelemetry's own variables: see
    docs/en/how-to/trace-with-opentelemetry.md. Needs OpenTelemetry's library.

    \b
    OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318 kaniko-driver traces follow
    OTEL_TRACES_EXPORTER=console kaniko-driver traces send --state /tmp/tried.json --since 1d

    Exit codes: 0 all was sent or traces are turned off, 1 not sent or not to be read, 2 wrong usage.
    """


@traces.command()
@settings_option
@one_log_option
@_state_option
@_since_option
def send(*, settings: str, log: str, state: str, since: float) -> None:
    """Send what is over since the last call, for a timer or for a try.

    Example: OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318 kaniko-driver traces send
    """
    with failures_in_words():
        sender = _sender()
        if sender is None:
            return
        jobs, count = _send_all(sender, the_log(settings, log, to="send"), state, since)
    click.echo(f"sent: {jobs} job{'s' * (jobs != 1)} in {count} spans", err=True)


@traces.command()
@settings_option
@one_log_option
@_state_option
@_since_option
@click.option(
    "--interval", type=click.IntRange(1, 3600), default=10, show_default=True, help="Seconds from one look to the next."
)
def follow(*, settings: str, log: str, state: str, since: float, interval: int) -> None:
    """Send jobs as they end, until SIGTERM or Ctrl-C; config/systemd has a unit.

    Trouble with the collector is told once, and again when it is over.

    Example: OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318 kaniko-driver traces follow
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with failures_in_words():
        sender = _sender()
        path = the_log(settings, log, to="send")
        trouble = ""
        while sender is not None:
            try:
                _send_all(sender, path, state, since)
            except _NotSent as error:
                if not trouble:
                    click.echo(f"{error.what} {error.why} Trying again every {interval} s.", err=True)
                trouble = error.why
            else:
                if trouble:
                    click.echo("The collector takes spans again.", err=True)
                trouble = ""
            if stop.wait(interval):
                return


class _NotSent(SettingsInvalid):
    """Not a mistake in the settings for sure; it may pass."""


def _sender() -> Sender | None:
    """Make what sends; None where the environment wants no traces.

    Raises:
        SettingsInvalid: the library is missing, or a variable cannot be used.
    """
    try:
        from executor.operate import otlp
    except ModuleNotFoundError as error:
        raise SettingsInvalid(
            "Traces need OpenTelemetry's library, which is not installed.",
            why=str(error),
            remedy="Install the driver as before, but kaniko-driver[traces], or '.[traces]' in a clone: the first "
            "command of docs/en/how-to/trace-with-opentelemetry.md.",
        ) from error
    if not otlp.wanted():
        click.echo("traces are turned off: OTEL_SDK_DISABLED or OTEL_TRACES_EXPORTER=none", err=True)
        return None
    return otlp.Sender()


def _send_all(sender: Sender, log: str, state: str, since: float) -> tuple[int, int]:
    """Send everything that is over by now; return how many attempts and spans that were.

    Raises:
        SettingsInvalid: log or state cannot be used, or the collector did not take something.
    """
    from executor.figures.kept import kept
    from executor.figures.trail import Trail
    from executor.operate.otlp import NotTaken

    jobs = count = 0
    try:
        while True:
            with kept(Trail, state) as trail:
                if not trail.begun:
                    trail.begin(log, since=since)
                over = list(trail.over(log, most=_AT_ONCE, now=time.time(), since=since))
                gaps, trail.tail.gaps = trail.tail.gaps, 0
                count += sender.send(over)
            jobs += len(over)
            if gaps:
                click.echo("a part of the operator log was gone before it was read: its jobs have no traces", err=True)
            if len(over) < _AT_ONCE:
                return jobs, count
    except NotTaken as error:
        raise _NotSent(
            "The collector did not take the spans; they are kept and sent later.",
            why=str(error),
            remedy="See whether OTEL_EXPORTER_OTLP_ENDPOINT and _HEADERS are right and the collector runs.",
        ) from error
    except OSError as error:
        raise log_or_state(error) from error
