"""The page about the operator log, made from the catalogue of its events. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from executor.figures.events import COMMON, EVENTS, FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterable

_HEAD = """\
# The operator log

Made from the program by `kaniko-driver reference operator-log`; a test keeps it fresh and holds it against what the
stages write.

Every stage appends JSON lines, one an event, to the file that [`[log] file`](settings.md#log) names. Job logs are for
authors; this one is for operators: it has the same failures with the traceback, and the figures from which
`kaniko-driver usage`, `tune`, `metrics` and `traces` are made. Nothing in it is secret: logins and tokens are taken
out, and what scripts print never gets in.

Names of events and fields are kept: they change in a major version only. New ones may come at any time, so readers
should pass over what they do not know. Text of jobs and clusters (`project`, `reason`, `image`, `exception`) is not to
be trusted: escape it where it is shown.

Let logrotate move the file away or copy and cut it; stages open it anew for every line. The tools read what it makes
(`driver.jsonl.1`, `driver.jsonl.2.gz`, `driver.jsonl-20261101`) as one log.
"""


def reference() -> str:
    """Return the whole page."""
    parts = [
        _HEAD,
        "## Fields of every line\n",
        _table(("field", "meaning"), ((f"`{name}`", what) for name, what in COMMON.items())),
        "## Events\n",
        _table(
            ("event", "level", "stages", "when", "fields"),
            (
                (
                    f"`{one.name}`",
                    one.level,
                    "all" if one.stages == ("config", "prepare", "run", "cleanup") else ", ".join(one.stages),
                    one.what,
                    ", ".join(f"`{name}`" for name in one.fields),
                )
                for one in EVENTS
            ),
        ),
        "## Fields of single events\n",
        _table(("field", "meaning"), ((f"`{name}`", what) for name, what in sorted(FIELDS.items()))),
    ]
    return "\n".join(parts)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)
