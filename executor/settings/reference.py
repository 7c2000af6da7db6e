"""The reference of all settings as Markdown, made from the model. Pure."""

from __future__ import annotations

from dataclasses import MISSING
from typing import TYPE_CHECKING, Any

from executor.settings.catalogue import Table, plain, tables, type_in_words
from executor.settings.model import Driver, Tenant
from executor.settings.writer import value_text

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEAD = """\
# Settings

Made from the program by `kaniko-driver settings reference`; a test keeps it fresh. [config/](../../../config) has files
to start from, and JSON Schemas with which editors complete and check them.

One `driver.toml` for the runner's host, and one file a tenant in `tenants/`, whose name is the tenant's. A value comes
from the first of these that has the key: the tenant's file, `[defaults]` in `driver.toml`, the driver itself. A list or
a table with free keys is taken as a whole. Jobs may change what `[overrides]` of their tenant allows.
`kaniko-driver settings show TENANT --why` tells each value with the file and line that it came from, and
`kaniko-driver validate` checks all files at once.

Both files begin with `version = 1`. Amounts are written as in Kubernetes, times as `90s`, `5m`, `1h30m`, in whole
seconds. Keys marked **required** have no default.
"""


def reference() -> str:
    """Return the whole page."""
    parts = [_HEAD, "## driver.toml\n", *_sections(Driver)]
    parts.append(
        "### `[defaults.…]`\n\nAny table of a tenant's file, for all tenants; but not `cluster.namespace` and "
        "`gitlab.root_namespaces`, which no two tenants may share.\n"
    )
    parts += ["## tenants/NAME.toml\n", *_sections(Tenant)]
    return "\n".join(parts)


def _sections(model: type) -> Iterator[str]:
    for table in tables(model):
        yield _heading(table)
        yield f"{table.what}\n"
        rows = [("key", "type and unit", "default", "meaning and reason"), ("---",) * 4]
        for entry in table.entries:
            kind, what = _cell(type_in_words(entry.hint)), _cell(entry.what)
            rows.append((f"`{entry.path[-1]}`", kind, _default(entry.default), what))
        yield "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _heading(table: Table) -> str:
    name = ".".join(table.path)
    return f"#### Entries of `{name}`\n" if table.listed else f"### `[{name}]`\n"


def _default(value: Any) -> str:
    if value is MISSING:
        return "**required**"
    shown = plain(value)
    if shown is None:
        return "off"
    if shown in ("", [], {}):
        return "none"
    return f"`{_cell(value_text(shown))}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
