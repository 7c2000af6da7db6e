"""What applying an object changes, in lines that a person can read. Pure."""

from __future__ import annotations

import difflib
from typing import Any

# Kept by the API server for itself; they change without anybody changing the object.
_BOOKKEEPING = ("creationTimestamp", "generation", "managedFields", "resourceVersion", "uid")


def content(found: dict[str, Any]) -> dict[str, Any]:
    """Return an object of the cluster without what the API server adds for itself."""
    kept = {key: value for key, value in found.items() if key != "status"}
    kept["metadata"] = {key: value for key, value in found["metadata"].items() if key not in _BOOKKEEPING}
    return kept


def lines(before: dict[str, Any] | None, after: dict[str, Any], *, name: str) -> list[str]:
    """Return the difference as `diff -u` shows it; nothing where there is none."""
    old = _yaml(content(before)) if before else []
    return [line.rstrip("\n") for line in difflib.unified_diff(old, _yaml(content(after)), name, name, n=2)]


def _yaml(document: dict[str, Any]) -> list[str]:
    # Imported here: only commands that show YAML need it.
    import yaml

    text: str = yaml.safe_dump(document, allow_unicode=True, width=120)
    return text.splitlines(keepends=True)
