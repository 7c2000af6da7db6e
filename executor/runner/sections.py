r"""GitLab's foldable sections of a job log: the markers, and which names are valid.

Pure: the clock is the caller's. A marker must reach the runner in one write, since the runner stamps and masks what it
reads piece by piece. Source: helpers/trace and shells/bash.go of GitLab Runner 19.4 for the form; GitLab's
`build_trace_section_regex` for what it reads: `section_(start|end):UNIX:NAME[OPTIONS]\r\e[0K`.
"""

from __future__ import annotations

import re

_CLEAR = "\r\x1b[0K"
_NOT_ALLOWED = r"[^a-zA-Z0-9_.-]+"


def name(kind: str, one: str) -> str:
    """Name a section; `one` tells it from others of its kind, since GitLab wants each name once in a log."""
    return "kaniko_driver_" + re.sub(_NOT_ALLOWED, "-", f"{kind}_{one}")


def start(section: str, *, now: float, collapsed: bool) -> str:
    """Make the marker that begins a section; the line that follows it is the header. `now` is Unix time."""
    return f"section_start:{int(now)}:{section}{'[collapsed=true]' if collapsed else ''}{_CLEAR}"


def end(section: str, *, now: float) -> str:
    """Make the marker that ends a section. No newline follows: GitLab would show it as an empty line."""
    return f"section_end:{int(now)}:{section}{_CLEAR}"
