"""metrics: the operator log as Prometheus wants it, in a text file or over HTTP."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import click

from executor import __version__
from executor.errors import SettingsInvalid
from executor.operate.shown import failures_in_words, log_or_state, settings_option
from executor.operate.since import one_log_option, the_log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric as Family

    from executor.figures.watching import Watch

_state_option = click.option(
    "--state",
    type=click.Path(dir_okay=False),
    default="/var/lib/kaniko-driver/metrics.json",
    show_default=True,
    help="Remembers how far the log was read and what was counted.",
)


@click.group(short_help="Tell Prometheus about jobs: a text file, or a server.")
def metrics() -> None:
    """Tell Prometheus what the operator log of this host says.

    Counters go on over rotated logs, because what was counted is kept in a file (--state). The names are in
    docs/en/reference/metrics.md; config/prometheus has alerts and a Grafana dashboard that use them.

    \b
    kaniko-driver metrics write /var/lib/prometheus/node-exporter/kaniko-driver.prom
    kaniko-driver metrics serve --port 9716

    Exit codes: 0 done, 1 the log, the state or the file cannot be used, 2 wrong usage.
    """


@metrics.command()
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
@settings_option
@one_log_option
@_state_option
def write(*, file: str, settings: str, log: str, state: str) -> None:
    """Bring FILE up to date, for node_exporter's textfile collector; `-` is stdout.

    The file is replaced as a whole, so that no scrape sees half of it. Call it every minute: config/systemd has a
    timer.

    \b
    kaniko-driver metrics write /var/lib/prometheus/node-exporter/kaniko-driver.prom
    kaniko-driver metrics write - --state /tmp/looked.json       what there is to tell, without a trace
    """
    from prometheus_client import generate_latest

    with failures_in_words():
        text = generate_latest(_registry(the_log(settings, log, to="count"), state, settings)).decode()
    if file == "-":
        click.echo(text, nl=False)
        return
    # Not *.prom: the collector would read the draft, too.
    draft = f"{file}.new"
    try:
        with open(draft, "w", encoding="utf-8") as target:
            os.fchmod(target.fileno(), 0o644)
            target.write(text)
        os.replace(draft, file)
    except OSError as error:
        raise click.ClickException(f"{error.filename} cannot be written: {error.strerror}") from error


@metrics.command()
@settings_option
@one_log_option
@_state_option
@click.option("--address", default="127.0.0.1", show_default=True, help="To listen on; tenants must not reach it.")
@click.option("--port", type=click.IntRange(0, 65535), default=9716, show_default=True, help="0: any free one.")
def serve(*, settings: str, log: str, state: str, address: str, port: int) -> None:
    """Answer scrapes at /metrics until SIGTERM or Ctrl-C; the log is read at each of them.

    \b
    kaniko-driver metrics serve
    kaniko-driver metrics serve --address 10.0.0.5 --port 9716
    """
    from prometheus_client import start_http_server

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with failures_in_words():
        registry = _registry(the_log(settings, log, to="count"), state, settings)
    try:
        server, thread = start_http_server(port, address, registry)
    except OSError as error:
        raise click.ClickException(f"{address} port {port} cannot be listened on: {error.strerror}") from error
    click.echo(f"listening on http://{address}:{server.server_port}/metrics", err=True)
    stop.wait()
    server.shutdown()
    thread.join()


def _registry(log: str, state: str, settings: str) -> CollectorRegistry:
    """Make a registry that reads the log whenever it is asked; the first time is now, so that mistakes show.

    Tenants with a settings file are told of before their first job.

    Raises:
        SettingsInvalid: log or state cannot be used.
    """
    from prometheus_client import CollectorRegistry
    from prometheus_client.registry import Collector

    lock = threading.Lock()

    class Log(Collector):
        def collect(self) -> Iterator[Family]:
            with lock:
                try:
                    return iter(_up_to_date(log, state, lambda watch: families(watch, _expected(settings))))
                except SettingsInvalid as error:
                    print(error.what, file=sys.stderr)  # noqa: T201 - a server's own log
                    raise

        def describe(self) -> Iterator[Family]:
            return iter(_up_to_date(log, state, lambda _: ()))

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Log())
    return registry


def _up_to_date(log: str, state: str, tell: Callable[[Watch], Any]) -> list[Family]:
    from executor.figures.kept import kept
    from executor.figures.watching import Watch

    try:
        with kept(Watch, state) as watch:
            watch.update(log, now=time.time())
            return list(tell(watch))
    except OSError as error:
        raise log_or_state(error) from error


def _expected(settings: str) -> list[str]:
    from executor.settings.load import tenant_names

    try:
        return tenant_names(settings)
    except SettingsInvalid:
        return []  # the log is enough


def families(watch: Watch, expected: list[str]) -> Iterator[Family]:
    """Give all metrics as they stand; of the expected tenants also where they had no job yet."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    from executor.figures.metrics import METRICS, Book

    tenants = sorted(watch.tenants().union(expected))
    gauges, zero = _gauges(watch, tenants), Book.at_zero(tenants)
    for one in METRICS:
        if one.kind == "counter":
            counter = CounterMetricFamily(one.name.removesuffix("_total"), one.what, labels=one.labels)
            values = zero.counters.get(one.name, {}) | watch.book.counters.get(one.name, {})
            for labels, value in values.items():
                counter.add_metric(labels, value)
            yield counter
        elif one.kind == "gauge":
            gauge = GaugeMetricFamily(one.name, one.what, labels=one.labels)
            for labels, value in gauges[one.name].items():
                gauge.add_metric(labels, value)
            yield gauge
        else:
            histogram = HistogramMetricFamily(one.name, one.what, labels=one.labels)
            found = zero.histograms.get(one.name, {}) | watch.book.histograms.get(one.name, {})
            for labels, seen in found.items():
                so_far, buckets = 0, []
                for bound, count in zip((*one.buckets, float("inf")), seen.counts, strict=True):
                    so_far += count
                    buckets.append(("+Inf" if bound == float("inf") else f"{float(bound)}", float(so_far)))
                histogram.add_metric(labels, buckets, sum_value=seen.total)
            yield histogram


def _gauges(watch: Watch, tenants: list[str]) -> dict[str, dict[tuple[str, ...], float]]:
    running: dict[tuple[str, ...], float] = {(tenant,): 0.0 for tenant in tenants}
    for one in watch.running.values():
        running[one.tenant,] += 1
    return {
        "kaniko_driver_jobs_running": running,
        "kaniko_driver_log_read_timestamp_seconds": {(): watch.read_at},
        "kaniko_driver_build_info": {(__version__,): 1.0},
    }
