"""All settings of a folder at once, with every mistake of every file.

For the operator's commands; a job reads its own tenant only. Pure but for reading the files.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from executor.errors import SettingsInvalid
from executor.settings.load import Layers, tenant_names
from executor.settings.reader import Problem

if TYPE_CHECKING:
    from executor.settings.model import Tenant
    from executor.settings.reader import Path


@dataclass(kw_only=True)
class Survey:
    """What was found."""

    names: list[str]
    tenants: dict[str, Tenant] = field(default_factory=dict)
    """Those whose settings are complete; a problem may stand in them nevertheless."""
    broken: set[str] = field(default_factory=set)
    """Tenants whose jobs could not start."""
    problems: set[Problem] = field(default_factory=set)
    """A set, since a mistake in driver.toml is found with each tenant again."""
    warnings: set[Problem] = field(default_factory=set)
    layers: dict[str, Layers] = field(default_factory=dict)

    def complain(self, tenant: str, path: Path, text: str) -> None:
        """Note a mistake at a tenant's setting."""
        self.problems.add(self._at(tenant, path, text))
        self.broken.add(tenant)

    def warn(self, tenant: str, path: Path, text: str) -> None:
        """Note what is allowed and may be wrong."""
        self.warnings.add(self._at(tenant, path, text))

    def _at(self, tenant: str, path: Path, text: str) -> Problem:
        layers = self.layers[tenant]
        file, line = layers.origin(path)
        return Problem(file or layers.tenant_file.name, line, text)


def survey(folder: str) -> Survey:
    """Read all files of a folder.

    Raises:
        SettingsInvalid: the folder cannot be read.
    """
    found = Survey(names=tenant_names(folder))
    for name in found.names:
        try:
            layers = Layers(folder, name)
        except SettingsInvalid as error:
            found.problems.add(Problem(os.path.join(folder, "tenants", f"{name}.toml"), 0, str(error)))
            found.broken.add(name)
            continue
        settings, problems = layers.settings()
        found.layers[name] = layers
        found.problems |= set(problems)
        if problems:
            found.broken.add(name)
        if settings is not None:
            found.tenants[name] = settings.tenant
    return found
