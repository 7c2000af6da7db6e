"""A real Prometheus before the driver's metrics: two hosts with a day behind them, scraped, asked and alerted on.

The day is counted step by step by the driver's own code, as scrapes would have found it, and laid into Prometheus'
store; then it scrapes `metrics serve` and a text file. `scripts/alerts` calls this; nothing else needs Prometheus.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import yaml

from executor.figures.watching import Watch
from executor.operate.metrics import families
from testbed.errors import BedError
from testbed.wait import wait_for
from tests.support.operator_log import GIB, job, line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STEP, DAY = 300, 26 * 3600
"""Seconds between two of the former scrapes, and how far they go back: the longest range of an alert, and some."""
_PATIENCE = 60.0
_GRAFANA = {"$tenant": ".*", "$__range": "1d", "$__rate_interval": "30m"}
"""What Grafana puts in the place of its variables, with all tenants chosen."""
NEW = "team-new"
"""A tenant with a settings file whose first job comes when Prometheus is there already."""


class Prometheus:
    """A server with the driver's alerts, made to fire without their `for`: promtool's tests have that."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, path: str, **parameters: str) -> Any:
        """Return the data of an answer of the HTTP API; OSError while it is not there."""
        address = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(address, timeout=30) as answer:  # noqa: S310 - http, on this machine
            return json.load(answer)["data"]

    def value(self, expression: str) -> float:
        """Return the one value of an expression; 0 where there is none."""
        result = self.ask("query", query=expression)["result"]
        return float(result[0]["value"][1]) if result else 0.0

    def firing(self) -> set[str]:
        """Return the names of the alerts that fire."""
        return {one["labels"]["alertname"] for one in self.ask("alerts")["alerts"] if one["state"] == "firing"}

    def up(self) -> int:
        """Return how many targets were scraped well."""
        return sum(one["health"] == "up" for one in self.ask("targets")["activeTargets"])


def try_out(prometheus: Path, promtool: Path, driver: Path, alerts: Path, expressions: list[str], folder: Path) -> None:
    """Let Prometheus scrape two hosts, and look at targets, first failures, alerts and the dashboard's expressions.

    Raises:
        BedError: something of that is not as it should be.
    """
    wanted = {rule["alert"] for group in yaml.safe_load(alerts.read_text())["groups"] for rule in group["rules"]}
    with ExitStack() as running:
        host = Host(folder, driver)
        serving = running.enter_context(host.serve())
        still = running.enter_context(_text_file(host))
        host.lay_into_store(promtool, serving)
        server = running.enter_context(_started(prometheus, alerts, folder, (serving, still)))
        wait_for("both targets up", lambda: server.up() == 2, _PATIENCE)  # noqa: PLR2004 - both
        first = f'sum(increase(kaniko_driver_job_failures_total{{tenant="{NEW}",category="node_lost"}}[5m]))'
        scrapes = f'count_over_time(up{{instance="{serving}"}}[5m])'
        wait_for("two scrapes", lambda: server.value(scrapes) > 1, _PATIENCE)
        host.append(job(9001, tenant=NEW, at=time.time() - 90, failure={"category": "node_lost"}))
        host.break_a_line()
        wait_for("the first failure of a category in an increase()", lambda: server.value(first) > 0, _PATIENCE)
        wait_for(f"all of {sorted(wanted)} firing", lambda: server.firing() == wanted, _PATIENCE)
        silent = [each for each in expressions if not _found(server, each)]
        if silent:
            raise BedError("expressions of the dashboard that find nothing:\n" + "\n".join(silent))


def _found(server: Prometheus, expression: str) -> bool:
    for variable, value in _GRAFANA.items():
        expression = expression.replace(variable, value)
    return any(one["value"][1] != "NaN" for one in server.ask("query", query=expression)["result"])


class Host:
    """A runner host whose jobs of the last day meet everything that there is an alert for."""

    def __init__(self, folder: Path, driver: Path) -> None:
        self.folder, self.driver = folder, driver
        self.log, self.state, self.settings = folder / "driver.jsonl", folder / "state.json", folder / "settings"
        (self.settings / "tenants").mkdir(parents=True)
        for tenant in ("team-blue", NEW):
            (self.settings / "tenants" / f"{tenant}.toml").touch()
        self.began = time.time() - DAY
        self.log.touch()

    def append(self, lines: list[dict[str, Any]]) -> None:
        """Write what a job writes."""
        with self.log.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(one) + "\n" for one in lines)

    def break_a_line(self) -> None:
        """Write what a full disk leaves."""
        with self.log.open("a", encoding="utf-8") as file:
            file.write("{half a line\n")

    @contextmanager
    def serve(self) -> Iterator[str]:
        """Run `metrics serve` and give its address."""
        words = ("metrics", "serve", "--port", "0", "--settings", self.settings, "--log", self.log)
        with _ended(
            subprocess.Popen((self.driver, *words, "--state", self.state), stderr=subprocess.PIPE, text=True)
        ) as process:
            first = process.stderr.readline() if process.stderr else ""
            yield urllib.parse.urlsplit(first.split()[-1]).netloc

    def lay_into_store(self, promtool: Path, instance: str) -> None:
        """Count the day step by step, as one instance, and make Prometheus' blocks of it."""
        samples: dict[str, list[str]] = {}
        watch = Watch()
        now, number = self.began, 0
        while now < time.time() - STEP:
            now, number = now + STEP, number + 1
            for lines in self._jobs(number, now):
                self.append(lines)
            watch.update(str(self.log), now=now)
            for family in families(watch, ["team-blue", NEW]):
                head = f"# TYPE {family.name} {'gauge' if family.type == 'info' else family.type}"
                for one in family.samples:
                    labels = {**one.labels, "instance": instance, "job": "kaniko-driver"}
                    told = ",".join(f'{name}="{value}"' for name, value in labels.items())
                    samples.setdefault(head, []).append(f"{one.name}{{{told}}} {one.value} {now:.3f}")
        text = "".join(f"{head}\n" + "\n".join(each) + "\n" for head, each in samples.items())
        (self.folder / "day.txt").write_text(text + "# EOF\n", encoding="utf-8")
        words = ("tsdb", "create-blocks-from", "openmetrics", self.folder / "day.txt", self.folder / "store")
        done = subprocess.run((promtool, *words), capture_output=True, text=True, check=False)
        if done.returncode:
            raise BedError(f"promtool could not make blocks of the day\n{done.stdout}{done.stderr}")

    def _jobs(self, number: int, now: float) -> Iterator[list[dict[str, Any]]]:
        """Give the lines of one step: a slow success, one without a node, connections that break, a cold cache."""
        who = {"tenant": "team-blue", "pod": f"kaniko-job-{number}-aaaaaa", "job": number}
        again = [line(now - 280, "run", "exec stream lost", "warning", **who) for _ in range(12)]
        seen: dict[str, Any] = {"programs_bytes": GIB, "disk_bytes": GIB, "cpu_ms": 9000, "oom_kills": 1}
        good = job(number, at=now - 299, start=200.0, build=60.0, cache_hits=0, cache_misses=9, **seen)
        yield [*good[:2], *again, *good[2:]]
        yield job(number + 5000, at=now - 290, start=200.0, failure={"category": "node_lost"})
        yield [line(now, "cleanup", "cleanup left something behind", "error", tenant="team-blue")]
        yield [line(now, "cleanup", "leftover deleted", tenant="team-blue", leftover="x")]


@contextmanager
def _text_file(host: Host) -> Iterator[str]:
    """Serve a text file of `metrics write` as node_exporter would, of a host whose timer stopped an hour ago."""
    words = ("metrics", "write", "-", "--settings", host.settings, "--log", host.log, "--state", host.folder / "other")
    text = subprocess.run((host.driver, *words), capture_output=True, text=True, check=True).stdout
    folder = host.folder / "textfile"
    folder.mkdir()
    an_hour_ago = f"\\g<1> {time.time() - 3600:.0f}"
    stopped = re.sub(r"(?m)^(kaniko_driver_log_read_timestamp_seconds) .*", an_hour_ago, text)
    (folder / "metrics").write_text(stopped, encoding="utf-8")

    class Quiet(SimpleHTTPRequestHandler):
        extensions_map = {"": "text/plain; version=0.0.4"}  # noqa: RUF012 - as its base has it

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def _started(prometheus: Path, alerts: Path, folder: Path, targets: tuple[str, ...]) -> Iterator[Prometheus]:
    rules = yaml.safe_load(alerts.read_text(encoding="utf-8"))
    for group in rules["groups"]:
        for rule in group["rules"]:
            rule.pop("for", None)
    (folder / "rules.yaml").write_text(yaml.safe_dump(rules), encoding="utf-8")
    settings = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [{"job_name": "kaniko-driver", "static_configs": [{"targets": list(targets)}]}],
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    address = f"127.0.0.1:{_free_port()}"
    log = folder / "prometheus.log"
    words = (
        *(prometheus, f"--config.file={folder / 'prometheus.yaml'}"),
        *(f"--storage.tsdb.path={folder / 'store'}", f"--web.listen-address={address}"),
    )
    with ExitStack() as running:
        output = running.enter_context(log.open("w"))
        process = running.enter_context(_ended(subprocess.Popen(words, stdout=output, stderr=subprocess.STDOUT)))
        server = Prometheus(f"http://{address}")

        def alive() -> None:
            if process.poll() is not None:
                raise BedError(f"Prometheus ended:\n{log.read_text()[-2000:]}")

        wait_for("Prometheus", lambda: server.ask("status/buildinfo"), _PATIENCE, alive)
        yield server


@contextmanager
def _ended(process: subprocess.Popen[Any]) -> Iterator[subprocess.Popen[Any]]:
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=_PATIENCE)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
