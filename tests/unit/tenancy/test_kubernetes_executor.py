"""Every key of the built-in executor has a setting or a written reason, and the page about it says so."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from executor.settings.model import Tenant
from executor.settings.reader import hints_of, is_table
from executor.tenancy.kubernetes_executor import KEYS, Key, page

# From `KubernetesConfig` in common/config.go of GitLab Runner 19.4, in its order.
SOURCE = (Path(__file__).parent / "data" / "kubernetes-config-keys.txt").read_text().split()
PAGE = Path(__file__).parents[3] / "docs/en/reference/kubernetes-executor-settings.md"


def test_every_key_of_the_runners_source_is_there_once() -> None:
    assert sorted(key.name for key in KEYS) == sorted(SOURCE)


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.name)
def test_every_key_has_a_setting_or_a_reason(key: Key) -> None:
    assert key.to or key.note
    assert key.carry


@pytest.mark.parametrize("setting", sorted({one for key in KEYS for one in key.to.split()}))
def test_the_settings_that_are_named_exist(setting: str) -> None:
    model: Any = Tenant
    for part in setting.split("."):
        assert is_table(model), setting
        assert part in hints_of(model), setting
        model = hints_of(model)[part]


def test_the_page_is_the_one_that_the_code_makes() -> None:
    # To write it anew: python -m executor.tenancy.kubernetes_executor >docs/en/reference/…
    assert PAGE.read_text() == page()


def test_the_page_has_a_row_for_every_key() -> None:
    rows = re.findall(r"^\| `([a-z0-9_]+)` \|", page(), re.MULTILINE)
    assert sorted(rows) == sorted(SOURCE)
