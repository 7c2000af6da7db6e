"""Run programs: short ones to their end, services in the background under a pid file.

A service outlives the command that started it. Its pid file is written by the service's own process before it becomes
the program, so that a `bed up` killed at any moment leaves nothing that the next one cannot find.
"""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass, field
from glob import glob
from hashlib import sha256
from typing import TYPE_CHECKING

from testbed import layout
from testbed.errors import BedError
from testbed.wait import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

# Long work (builds, debootstrap) must not go on when the command that wanted it is gone.
WITH_PARENT = ("setpriv", "--pdeathsig", "KILL", "--")

ENDING = "ending"  # in place of the version
LONGEST_SHOWN = 300  # characters of a command line in an error

# $0 pid file, $1 version, the rest the program. The start time (field 22) tells a reused pid from ours; exec keeps it.
_LAUNCHER = """
set -e
read -r stat </proc/$$/stat
started=$(echo "${stat##*) }" | cut -d' ' -f20)
echo "$$ $started $1" >"$0.new"
mv "$0.new" "$0"
shift
exec "$@"
"""


def run(
    command: Sequence[str | os.PathLike[str]],
    *,
    stdin: str | None = None,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> str:
    """Run a short program to its end and return what it printed.

    Raises:
        BedError: it could not be started or its exit code was not 0; carries the end of what it said.
    """
    try:
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, env=environment, cwd=folder, check=False
        )
    except OSError as error:
        raise BedError(f"{_shown(command)}: {error}") from None
    if done.returncode != 0:
        raise BedError(f"{_shown(command)}: exit code {done.returncode}\n{_end(done.stderr or done.stdout)}")
    return done.stdout


def run_logged(
    command: Sequence[str | os.PathLike[str]],
    log: Path,
    *,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> None:
    """Run a long program to its end, its output in `log`; it dies with the calling thread.

    Raises:
        BedError: its exit code was not 0; carries the end of the log.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        done = subprocess.run(
            (*WITH_PARENT, *command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment,
            cwd=folder,
            check=False,
        )
    if done.returncode != 0:
        raise BedError(f"{_shown(command)}: exit code {done.returncode}; the end of {log}:\n{tail(log)}")


def tail(log: Path, lines: int = 15) -> str:
    """Return the last lines of a log file."""
    try:
        return _end(log.read_bytes()[-65536:].decode(errors="replace"), lines)
    except OSError as error:
        return str(error)


def _end(text: str, lines: int = 15) -> str:
    return "\n".join(text.strip().splitlines()[-lines:])


def _shown(command: Sequence[str | os.PathLike[str]]) -> str:
    words = [os.fspath(word) for word in command]
    shown = " ".join(word.replace("\n", " ") for word in words)
    return shown if len(shown) <= LONGEST_SHOWN else f"{shown[:LONGEST_SHOWN]}…"


def start_time(pid: int) -> str | None:
    """Return a process's start time in clock ticks since boot, or None when it is gone or only a zombie."""
    try:
        with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123 - /proc is read often; pathlib triples the cost
            fields = stat.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def children(pid: int) -> list[int]:
    """Return the pids of a process's direct children. Go programs start others from any thread, so all are asked."""
    found: list[int] = []
    # Threads may end while they are asked. /proc is read often, and pathlib triples the cost.
    for thread in glob(f"/proc/{pid}/task/*/children"):  # noqa: PTH207
        with suppress(OSError), open(thread) as file:  # noqa: PTH123
            found += [int(word) for word in file.read().split()]
    return found


def descendants(pid: int) -> list[int]:
    """Return a process and everything below it, the process itself first."""
    return [pid, *(found for child in children(pid) for found in descendants(child))]


@dataclass(frozen=True)
class Service:
    """A background program of the bed, running in the bed's network namespace.

    `identity` is what must be the same for a running process to be left alone, such as the text of its configuration;
    where nothing is given, it is the command with its environment.
    """

    name: str
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    identity: str = ""

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return layout.LOGS / f"{self.name}.log"

    @property
    def _pid_file(self) -> Path:
        return layout.RUN / f"{self.name}.pid"

    def _recorded(self) -> tuple[int, str] | None:
        """Return the live pid and the version it was started with."""
        try:
            pid, started, version = self._pid_file.read_text().split()
        except (OSError, ValueError):
            return None
        return (int(pid), version) if start_time(int(pid)) == started else None

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        recorded = self._recorded()
        return recorded[0] if recorded else None

    def start(self) -> bool:
        """Start it unless it runs already; one that runs with another identity is replaced.

        Returns:
            Whether a new process was started.
        """
        identity = self.identity or repr((self.command, sorted(self.environment.items())))
        version = sha256(identity.encode()).hexdigest()[:16]
        recorded = self._recorded()
        if recorded:
            if recorded[1] == version:
                return False
            stop([self])
        self._pid_file.parent.mkdir(parents=True, exist_ok=True)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._pid_file.unlink(missing_ok=True)
        launcher = ("setsid", "--fork", "sh", "-c", _LAUNCHER, str(self._pid_file), version)
        with self.log.open("ab") as output:
            subprocess.run(
                (*launcher, *layout.ENTER, *self.command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={"PATH": layout.PROGRAM_PATH, "HOME": "/root", **self.environment},
                cwd=layout.STATE,
                check=True,
            )
        wait_for(f"the pid file of {self.name}", self._pid_file.exists, 60)
        return True

    def give_up(self) -> None:
        """Note that the running process is on its way out, so that a later `start` does not take it for a sound one."""
        recorded = self._recorded()
        if recorded:
            self._pid_file.write_text(f"{recorded[0]} {start_time(recorded[0])} {ENDING}\n")

    def check(self) -> None:
        """Raise BedError with the end of its log when it does not run."""
        if self.pid is None:
            raise BedError(f"{self.name} ended; the end of {self.log}:\n{tail(self.log)}")


def stop(services: Iterable[Service], patience: float = 3) -> None:
    """End services: SIGTERM to all at once, SIGKILL to what is left after `patience` seconds.

    The direct children get the signal as well, because `unshare --fork`, which holds a node, ignores SIGTERM.
    """
    services = tuple(services)
    for service in services:
        service.give_up()
    running = {pid: started for service in services if (pid := service.pid) and (started := start_time(pid))}
    end_processes(running, patience)
    for service in services:
        service._pid_file.unlink(missing_ok=True)  # noqa: SLF001 - the same module


def end_processes(running: Mapping[int, str], patience: float) -> None:
    """End the processes, given with their start times, and wait until they are gone."""

    def left() -> list[int]:
        return [pid for pid, started in running.items() if start_time(pid) == started]

    for pid in left():
        for target in (*children(pid), pid):
            _signal(target, signal.SIGTERM)
    try:
        wait_for("end of the processes", lambda: not left(), patience)
    except BedError:
        for pid in left():
            _signal(pid, signal.SIGKILL)
        wait_for(f"end of the killed processes {left()}", lambda: not left(), 10)


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
