"""Files on the command lines of scripts/: all of those go to the project's folder, and a person is elsewhere."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click


def callers_folder() -> Path:
    """Return where the person was who called a script, as bootstrap.sh says; without it, where this process is."""
    return Path(os.environ.get("CALLED_FROM", ""))


class FilePath(click.Path):
    """A file or folder as the caller sees it, as an absolute path.

    One that is yet to be written needs its folder from the start: who measures for an hour must not learn it then.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(path_type=Path, **options)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path; it is refused where it cannot be used."""
        path = (callers_folder() / value).absolute()
        if not path.parent.is_dir():
            self.fail(f"there is no folder {path.parent}", param, ctx)
        return super().convert(path, param, ctx)
