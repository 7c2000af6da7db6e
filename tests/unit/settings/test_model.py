"""Every setting explains itself, and the settings that operators start from are valid."""

from __future__ import annotations

import shutil
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

import pytest

from executor.settings.load import load, tenant_names
from executor.settings.model import Driver, Tenant
from executor.settings.reader import is_table

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIG = Path(__file__).parents[3] / "config"
TENANTS = tenant_names(str(CONFIG))


def settings_of(model: type, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every setting's path and field, those of entries of lists included."""
    for field in fields(model):
        hint = get_type_hints(model)[field.name]
        path = f"{prefix}{field.name}"
        if is_table(hint):
            yield from settings_of(hint, f"{path}.")
        elif path != "name":
            yield path, field
            for inner in get_args(hint):
                if is_table(inner):
                    yield from settings_of(inner, f"{path}[].")


@pytest.mark.parametrize(("path", "field"), [*settings_of(Driver), *settings_of(Tenant)])
def test_a_setting_says_what_it_is_for(path: str, field: Any) -> None:
    what = field.metadata.get("what", "")
    assert what.endswith("."), f"{path} has no whole sentence that explains it: {what!r}"


def test_there_is_a_tenant_to_start_from() -> None:
    assert TENANTS


@pytest.mark.parametrize("tenant", TENANTS)
def test_the_settings_to_start_from_are_valid(tmp_path: Path, tenant: str) -> None:
    # A copy, because a checkout may be writable by its group, which the driver refuses.
    folder = tmp_path / "config"
    shutil.copytree(CONFIG, folder)
    for file in folder.rglob("*.toml"):
        file.chmod(0o644)
    assert load(str(folder), tenant).tenant.name == tenant
