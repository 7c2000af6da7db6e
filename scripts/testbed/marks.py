"""Small files that remember what was done to this state folder, so that the next `up` need not ask the programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from testbed import layout

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Mark:
    """Says that something was done with a certain content."""

    name: str
    key: str

    @property
    def _path(self) -> Path:
        return layout.MARKS / self.name

    @property
    def there(self) -> bool:
        """Whether it was done, with just this content."""
        try:
            return self._path.read_text() == self.key
        except OSError:
            return False

    def set(self) -> None:
        """Remember that it is done."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(self.key)
