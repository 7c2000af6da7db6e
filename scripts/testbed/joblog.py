"""Read a job log as the runner sends it: time stamps, sections, colours.

Pure. Each line of a trace begins with `2026-01-31T12:00:00.000000Z 00O `: the time, the stream (00 is the runner
itself, 01 the job; O or E), then a blank, or `+` where the text continues the line before.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

STAMP = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z) (\d\d)([OE])([ +])")
MARKER = re.compile(r"section_(start|end):\d+:([\w.-]+)(?:\[[^\]]*\])?\r(?:\x1b\[0K)?")
COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
OF_THE_RUNNER = "00"


@dataclass(frozen=True)
class Line:
    """One line of output; `stream` is two digits, and the text still has its colours."""

    time: datetime
    stream: str
    text: str


@dataclass(frozen=True)
class Section:
    """One stage of a job; `ended` is None when the log stops inside it."""

    started: datetime
    ended: datetime | None
    lines: tuple[Line, ...]

    @property
    def first_output(self) -> datetime | None:
        """When the job itself, not the runner, first said something."""
        return next((line.time for line in self.lines if line.stream != OF_THE_RUNNER), None)


class Unstamped:
    """Take the stamps off a log that arrives in pieces; what comes out can be printed as it is."""

    def __init__(self) -> None:
        self._rest = b""
        self._begun = False

    def feed(self, piece: bytes) -> str:
        """Return the text of the lines that are complete by now, without the newline of the last one."""
        *complete, self._rest = (self._rest + piece).split(b"\n")
        return "".join(self._shown(line) for line in complete)

    def _shown(self, line: bytes) -> str:
        stamp = STAMP.match(line)
        text = MARKER.sub("", line[stamp.end() if stamp else 0 :].decode("utf-8", "replace"))
        continues = stamp is not None and stamp[4] == b"+"
        border = "\n" if self._begun and not continues else ""
        self._begun = True
        return border + text


def plain(trace: bytes) -> str:
    """The log as a person reads it, without stamps, section markers and colours."""
    return COLOUR.sub("", Unstamped().feed(trace.removesuffix(b"\n") + b"\n"))


def lines(trace: bytes) -> list[Line]:
    """Every stamped line; a continued line is one for each piece."""
    found = []
    for raw in trace.split(b"\n"):
        if stamp := STAMP.match(raw):
            time = datetime.fromisoformat(stamp[1].decode())
            found.append(Line(time, stamp[2].decode(), raw[stamp.end() :].decode("utf-8", "replace")))
    return found


def section(trace: bytes, name: str) -> Section | None:
    """The first section of that name, for example `get_sources` or `step_script`."""
    inside: list[Line] = []
    started: datetime | None = None
    for line in lines(trace):
        for marker in MARKER.finditer(line.text):
            if marker[2] == name and marker[1] == "start":
                started = started or line.time
            elif marker[2] == name and started is not None:
                return Section(started, line.time, tuple(inside))
        if started is not None:
            inside.append(line)
    return None if started is None else Section(started, None, tuple(inside))
