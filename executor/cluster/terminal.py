"""A command in a container at a person's terminal: keys go there, the screen comes back, window size and exit code too.

Nothing is made again when the connection breaks: the command's own terminal is gone with it.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import time
from typing import TYPE_CHECKING, Any

from executor.cluster.stream import STATUS, STDERR, STDOUT
from executor.errors import ClusterRefused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from executor.cluster.stream import ExecStream

_LOOK_SECONDS = 0.5
_PING_SECONDS = 15.0
_FRAME_SECONDS = 0.02
_CHUNK = 32 * 1024


class Session:
    """One command; `keyboard`, `screen` and `errors` are file descriptors, usually 0, 1 and 2."""

    def __init__(self, stream: ExecStream, *, keyboard: int, screen: int, errors: int) -> None:
        self._stream = stream
        self._keyboard: int | None = keyboard
        self._outputs = {STDOUT: screen, STDERR: errors}
        self._resized = False

    def run(self, *, terminal: bool) -> int:
        """Pass keys and output on until the command ends; returns its exit code.

        Raises:
            ClusterUnreachable: the connection broke.
            ClusterRefused: the command could not be started.
        """
        with self._raw() if terminal else contextlib.nullcontext():
            pinged = time.monotonic()
            while True:
                if self._resized:
                    self._resized = False
                    self._tell_size()
                if time.monotonic() - pinged > _PING_SECONDS:
                    pinged = time.monotonic()
                    self._stream.ping()
                code = self._step()
                if code is not None:
                    return code

    def _step(self) -> int | None:
        watched = [self._stream.fileno(), *([] if self._keyboard is None else [self._keyboard])]
        ready = select.select(watched, [], [], 0 if self._stream.pending() else _LOOK_SECONDS)[0]
        if self._keyboard is not None and self._keyboard in ready:
            self._pass_keys(self._keyboard)
        if not self._stream.pending() and self._stream.fileno() not in ready:
            return None
        try:
            frame = self._stream.receive(_FRAME_SECONDS)
        except TimeoutError:
            # What arrived was the connection's own, such as a pong, or a part of a frame; keys must not wait for more.
            return None
        if frame is None:
            return 1
        channel, data = frame
        if channel == STATUS:
            return exit_code(bytes(data))
        while data:
            data = data[os.write(self._outputs[channel], data) :]
        return None

    def _pass_keys(self, keyboard: int) -> None:
        keys = os.read(keyboard, _CHUNK)
        if keys:
            self._stream.send(keys)
        else:
            self._keyboard = None
            self._stream.end_input()

    @contextlib.contextmanager
    def _raw(self) -> Iterator[None]:
        # Imported here: not every system that a command of this package runs on has terminals.
        import termios
        import tty

        assert self._keyboard is not None  # noqa: S101 - it is given until its end was read
        keyboard = self._keyboard
        before = termios.tcgetattr(keyboard)
        # Only noted: a frame must not be sent in the middle of another one.
        heard = signal.signal(signal.SIGWINCH, lambda _number, _frame: setattr(self, "_resized", True))
        self._resized = True
        try:
            # Not the default, which would throw away what was typed by now.
            tty.setraw(keyboard, termios.TCSADRAIN)
            yield
        finally:
            termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
            signal.signal(signal.SIGWINCH, heard)

    def _tell_size(self) -> None:
        with contextlib.suppress(OSError):
            size = os.get_terminal_size(self._outputs[STDOUT])
            self._stream.resize(columns=size.columns, rows=size.lines)


def exit_code(status: bytes) -> int:
    """Read the Status that ends an exec (k8s.io/apimachinery, remotecommand.NonZeroExitCodeReason).

    Raises:
        ClusterRefused: the command could not be started.
    """
    try:
        document: dict[str, Any] = json.loads(status)
        if document.get("status") == "Success":
            return 0
        causes = (document.get("details") or {}).get("causes") or ()
        codes = [int(cause["message"]) for cause in causes if cause.get("reason") == "ExitCode"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        document, codes = {}, []
    if codes:
        return codes[0] & 0xFF
    raise ClusterRefused(
        "The command could not be run in the pod.",
        status=int(document.get("code") or 0),
        why=str(document.get("message") or status.decode("utf-8", "replace")),
        remedy="Is it in the container's image? The tools of the pod are in /driver/tools/bin.",
    )
