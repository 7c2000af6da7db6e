"""A script in the pod, run once and followed to its last byte over any number of connections.

The supervisor in the pod keeps script, output and exit code; this side remembers how many bytes it has passed on and
asks for the rest. The two streams of an exec are not ordered between them, so an exit line may overtake output: a
script is done when as many bytes arrived as the line says.
"""

from __future__ import annotations

import time
from enum import Enum

from executor.cluster.contact import TRIES_FOR_THE_REST, Contact, lost
from executor.errors import ClusterRefused, ClusterUnreachable, PodLost, ScriptLost
from executor.pod import programs
from executor.pod.control import Beat, CacheStory, ControlLines, Exited, Failed, Missed, Started, Used
from executor.values import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    class Stream(Protocol):
        """What is needed of `stream.ExecStream`; it is imported by the stage, for it brings the network along."""

        def send(self, data: bytes) -> None:
            """Write to stdin."""

        def receive(self, seconds: float) -> tuple[int, memoryview] | None:
            """Wait for output."""

        def close(self) -> None:
            """Drop the connection."""


_STDOUT, _STATUS = 1, 3
_TICK_SECONDS = 1.0
# The follower says something every 5 s at least. Longer silence is a half-open connection.
_SILENCE_SECONDS = 15.0
_LONGEST_PAUSE = 3.0
_WORKED_SECONDS = 5.0
_WORTH_TELLING_SECONDS = 10.0
_STOP_SECONDS = 20.0
_NOT_RUNNING = frozenset({400, 404, 500})
"""What exec answers while a container is not running (any more), kubelet and API server being of several minds."""
_SERVER_ERROR = 500
_OVERLOADED = frozenset({429, 502, 503, 504})
"""What it answers while the API server is restarted or has too much to do."""


class Fate(Enum):
    """What became of the container while no connection stood."""

    RUNNING = "running"
    ENDED = "ended"
    """The container is dead; another one of the pod can still read the output."""


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a script needs of the stage that runs it."""

    open: Callable[[list[str]], Stream]
    """Start a command in the script's container."""
    open_elsewhere: Callable[[list[str]], Stream]
    """Start a command in the pod's other container, which shares the volumes."""
    look: Callable[[], Fate]
    """Ask the API server for the pod.

    Raises:
        PodLost: it is gone, or can run nothing any more.
        ClusterUnreachable: no answer.
    """
    explain: Callable[[], PodLost]
    """Say why the container that `look` found dead is."""
    sink: Callable[[memoryview], None]
    """Takes the script's bytes. May be left by an exception after a part of them."""
    passed: Callable[[], int]
    """How many bytes the sink has passed on so far."""
    say: Callable[[str], None]
    """Takes a line of the driver for the job log, to stand between two lines of the script."""
    tick: Callable[[], None]
    """Called about once a second; may raise to end it all."""
    note: Callable[[str, str], None]
    """Takes an event and its reason for the operator log."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """The script and how it is to run."""

    stage: str
    script: bytes
    logins: bytes
    shell: str
    output_limit: int
    umask: str
    measured: bool = False
    """What it used is asked for."""


class Script:
    """One call of `run`."""

    def __init__(self, order: Order, around: Surroundings, *, connection_timeout: float) -> None:
        self.order = order
        self._around = around
        self._contact = Contact(connection_timeout)
        self._started = False
        self._exit: Exited | None = None
        self.used: Used | None = None
        """What it used, once it has ended; None where it was not measured."""
        self.cache: CacheStory | None = None
        """What became of the layer cache; None where it was not used."""
        self.missed = ""
        """The first instruction that was not in the cache; the author's text."""
        self._restarted = False

    def run(self) -> Exited:
        """Start the script, pass its output on, and return how it ended.

        Raises:
            PodLost: the pod or its container ended under it.
            ScriptLost: the supervisor cannot take it, or no longer knows it.
            ClusterUnreachable: no connection for `connection_timeout` seconds.
            ClusterRefused: a right is missing.
        """
        pauses = _Pauses()
        while True:
            began, had, told = time.monotonic(), self._around.passed(), False
            try:
                self._converse(self._around.open, *self._next_command())
                if self._complete():
                    return self._result()
                reason = f"the stream ended before the script {self._contact.last_words}".strip()
            except (ClusterUnreachable, TimeoutError) as error:
                reason = f"{type(error).__name__}: {getattr(error, 'why', '') or error}"
            except ClusterRefused as error:
                # A server that starts knows neither tokens nor rights; and what was allowed a while ago will be again.
                passing = error.status in _NOT_RUNNING | _OVERLOADED or self._contact.may_be_allowed_soon(error)
                if not self._is_known_to_run() and not passing:
                    raise
                reason = str(error.why)
                if error.status < _SERVER_ERROR:
                    # The API server's own word, which says nothing of the node.
                    told = True
            self._around.note("exec stream lost", reason)
            more = self._around.passed() > had
            self._contact.count_vain_tries(more=more, ended=self._exit is not None)
            # One that worked is made again at once; the pod is asked for when that fails.
            lasted = self._contact.heard > began and time.monotonic() - began > _WORKED_SECONDS
            worked = (more or lasted) and not self._restarted
            if not worked and self._look() is Fate.ENDED:
                return self._read_the_rest()
            if told:
                self._contact.forget_answers()
            self._wait(pauses.next(restart=worked), reason)

    def follow(self) -> Exited:
        """Pass on the output of a script that somebody else started; errors as of `run`."""
        self._started = True
        return self.run()

    def stop(self, *, grace: int) -> Exited | None:
        """End the script and everything it started; pass on what it printed until then.

        Returns:
            How it ended, or None when it never started or the pod could not be told in time.
        """
        limit = time.monotonic() + grace + _STOP_SECONDS
        while time.monotonic() < limit:
            command = programs.stop_command(stage=self.order.stage, grace=grace, offset=self._around.passed())
            try:
                self._converse(self._around.open, command, b"", until=limit)
                if self._complete():
                    return self._result()
            except (ClusterUnreachable, ClusterRefused) as error:
                if isinstance(error, ClusterRefused) and error.status not in _OVERLOADED:
                    self._around.note("the script was not stopped", error.why)
                    return None
                self._around.note("stopping the script failed, trying again", error.why)
            except (TimeoutError, ScriptLost, PodLost) as error:
                self._around.note("the script was not stopped", str(error))
                return None
            self._wait(1.0, "the script could not be stopped")
        return None

    # ------------------------------------------------------------ one connection

    def _next_command(self) -> tuple[list[str], bytes]:
        order = self.order
        if self._is_known_to_run():
            return programs.follow_command(stage=order.stage, offset=self._around.passed()), b""
        payload = order.logins + order.script
        command = programs.run_command(
            stage=order.stage,
            payload=payload,
            logins=len(order.logins),
            shell=order.shell,
            output_limit=order.output_limit,
            umask=order.umask,
            measured=order.measured,
        )
        return command, payload

    def _is_known_to_run(self) -> bool:
        return self._started or self._around.passed() > 0

    def _converse(
        self,
        connect: Callable[[list[str]], Stream],
        command: list[str],
        payload: bytes,
        *,
        until: float = float("inf"),
    ) -> None:
        """Listen until the script is done or the stream ends."""
        stream = connect(command)
        quiet_since = ticked = time.monotonic()
        first = True
        try:
            stream.send(payload)
            lines = ControlLines()
            while not self._complete():
                if time.monotonic() > until:
                    raise TimeoutError("the time for it is over")
                # Also under a script that never falls silent.
                if time.monotonic() - ticked >= _TICK_SECONDS:
                    ticked = time.monotonic()
                    self._around.tick()
                try:
                    frame = stream.receive(_TICK_SECONDS)
                except TimeoutError:
                    if time.monotonic() - quiet_since > _SILENCE_SECONDS:
                        raise
                    continue
                if frame is None:
                    return
                channel, data = frame
                if channel == _STATUS:
                    self._contact.learn_its_end(bytes(data))
                    continue
                self._contact.forget_answers()
                if first:
                    self._tell_outage()
                    first = False
                if channel == _STDOUT:
                    self._around.sink(data)
                else:
                    self._obey(lines, bytes(data))
                # Taken here and not before: a runner that reads slowly holds us up in `sink`, which is no silence.
                self._contact.heard = quiet_since = time.monotonic()
        finally:
            stream.close()

    def _obey(self, lines: ControlLines, data: bytes) -> None:
        for control in lines.feed(data):
            match control:
                case Started():
                    self._started = True
                case Exited():
                    self._exit = control
                case Used():
                    self.used = control
                case CacheStory():
                    self.cache = control
                case Missed(text=text):
                    self.missed = text
                case Failed(word=word):
                    raise self._failure(word)
                case Beat():
                    pass

    def _failure(self, word: str) -> ClusterUnreachable | ScriptLost:
        if word == "cut":
            return ClusterUnreachable("The script did not arrive whole.", why="supervisor: cut")
        if word == "restarted":
            # The pod's state tells why, at once or in a moment.
            self._restarted = True
            return ClusterUnreachable("The container was started again.", why="supervisor: restarted")
        return lost(_WORDS.get(word, word))

    def _complete(self) -> bool:
        return self._exit is not None and self._around.passed() >= self._exit.size

    def _result(self) -> Exited:
        assert self._exit is not None  # noqa: S101 - what _complete() found, told to the type checker
        return self._exit

    # ------------------------------------------------------------ between connections

    def _read_the_rest(self) -> Exited:
        """The container is dead: the other one reads what it left, and the pod's state says why."""
        for _ in range(TRIES_FOR_THE_REST):
            offset = self._around.passed()
            command = programs.follow_command(stage=self.order.stage, offset=offset, until_end_of_file=True)
            try:
                self._converse(self._around.open_elsewhere, command, b"")
                break
            except (ClusterUnreachable, ClusterRefused) as error:
                self._around.note("the rest of the output could not be read", str(error))
                self._wait(_TICK_SECONDS, str(error))
            except (TimeoutError, ScriptLost) as error:
                self._around.note("the rest of the output has no end", str(error))
                break
        if self._complete():
            return self._result()
        raise self._around.explain()

    def _look(self) -> Fate:
        try:
            fate = self._around.look()
        except ClusterRefused as error:
            storm = error.status in _OVERLOADED or error.status >= _SERVER_ERROR
            if not (storm or self._contact.may_be_allowed_soon(error) or self._is_known_to_run()):
                raise
        except ClusterUnreachable:
            pass
        else:
            self._contact.api_server_answered()
            return fate
        self._contact.forget_answers()
        return Fate.RUNNING

    def _wait(self, seconds: float, reason: str) -> None:
        self._contact.require_hope(reason)
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._around.tick()
            time.sleep(min(left, _TICK_SECONDS))

    def _tell_outage(self) -> None:
        lasted = self._contact.silent_seconds()
        if lasted > _WORTH_TELLING_SECONDS and self._is_known_to_run():
            self._around.say(f"The connection to the job pod was lost for {lasted:.0f} s; no output is missing.")


_WORDS = {
    "unknown": "The pod no longer knows it: its files under /driver are gone.",
    "lost": "The process that kept it is gone, or its files under /driver are.",
    "full": "The pod's disk is full.",
}


class _Pauses:
    """Grows from none to three seconds, with jitter so that many jobs do not come back at once."""

    def __init__(self) -> None:
        self._next = 0.0

    def next(self, *, restart: bool) -> float:
        """Return seconds to wait; `restart` when the last connection worked."""
        # Imported here: only a lost connection needs it.
        import random

        pause = 0.0 if restart else self._next
        self._next = min(_LONGEST_PAUSE, max(0.25, pause * 2))
        return pause * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
