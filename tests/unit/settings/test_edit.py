"""Single values change in a file that a person wrote, and nothing else does."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from executor.errors import SettingsInvalid
from executor.settings.edit import with_values

KEY = ("resources", "build", "memory_limit")
EXAMPLE = Path(__file__).parents[3] / "config/tenants/tenant-a.toml"


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("[resources.build]\nmemory_limit = '1Gi' # why\n", '[resources.build]\nmemory_limit = "2Gi" # why\n'),
        ('[resources]\nbuild.memory_limit="1Gi"\n', '[resources]\nbuild.memory_limit="2Gi"\n'),
        (
            "[resources]\nbuild = { cpu_limit = '1', memory_limit = '1Gi' }\n",
            "[resources]\nbuild = { cpu_limit = '1', memory_limit = \"2Gi\" }\n",
        ),
        (
            "[ resources . build ] # x\n# y\ncpu_limit = '1'\n\n# of z\n[z]\n",
            "[ resources . build ] # x\n# y\ncpu_limit = '1'\nmemory_limit = \"2Gi\"\n\n# of z\n[z]\n",
        ),
        ("version = 1\n", 'version = 1\n\n[resources.build]\nmemory_limit = "2Gi"\n'),
        ("version = 1", 'version = 1\n\n[resources.build]\nmemory_limit = "2Gi"\n'),
        ("[resources.build]", '[resources.build]\nmemory_limit = "2Gi"\n'),
    ],
)
def test_a_value_is_changed_or_added_where_it_belongs(text: str, changed: str) -> None:
    assert with_values(text, {KEY: "2Gi"}) == changed


def test_the_example_changes_in_one_line() -> None:
    before = EXAMPLE.read_text(encoding="utf-8")
    after = with_values(before, {KEY: "9Gi"})
    assert tomllib.loads(after)["resources"]["build"]["memory_limit"] == "9Gi"
    assert sum(one != other for one, other in zip(before.splitlines(), after.splitlines(), strict=True)) == 1


@pytest.mark.parametrize("text", ["resources.build = { cpu_limit = '1' }\n", "resources = 5\n"])
def test_a_file_that_cannot_be_changed_safely_is_left_to_its_owner(text: str) -> None:
    with pytest.raises(SettingsInvalid, match=r"resources\.build\.memory_limit cannot be changed") as raised:
        with_values(text, {KEY: "2Gi"})
    assert 'memory_limit = "2Gi"' in raised.value.remedy
