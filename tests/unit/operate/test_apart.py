"""What tenants would share against their will is found from their settings alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from executor.operate import apart
from executor.settings.survey import survey
from tests.support.tenants import MINIMAL, write_settings

if TYPE_CHECKING:
    from pathlib import Path

CACHE = "[cache]\nmode = 'read-write'\nbucket = 'layers'\nsecret = 's3'\n"


def tenant(name: str, *, namespace: str | None = None, label: str | None = None, more: str = "") -> str:
    own = MINIMAL.replace('namespace = "tenant-a"', f'namespace = "{namespace or name}"')
    return own.replace('["a"]', f'["{label or name}"]') + more


def compared(folder: Path, servers: dict[str, str] | None = None, /, **tenants: str) -> tuple[list[str], list[str]]:
    """Return problems and warnings of these tenants."""
    for name, text in tenants.items():
        path = write_settings(folder, tenant=text, name=name)
    found = survey(path)
    assert not found.problems
    apart.compare(found, servers or {})
    return [one.text for one in sorted(found.problems)], [one.text for one in sorted(found.warnings)]


def test_tenants_that_share_nothing_are_good(tmp_path: Path) -> None:
    assert compared(tmp_path, a=tenant("a"), b=tenant("b")) == ([], [])


def test_a_namespace_belongs_to_one_tenant_of_a_cluster(tmp_path: Path) -> None:
    both = {"a": tenant("a", namespace="x"), "b": tenant("b", namespace="x")}
    problems, _ = compared(tmp_path, **both)
    assert problems == ["x is also the namespace of a: tenants must be apart"]
    assert compared(tmp_path, {"a": "https://one", "b": "https://two"}, **both)[0] == []


@pytest.mark.parametrize(
    ("labels", "apart_by_labels"),
    [
        ("{ tenant = ['a'] }", True),
        ("{ tenant = ['b', 'c'], zone = ['x'] }", False),
        ("{ zone = ['x'] }", False),
        ("{ tenant = ['b'] }", False),
    ],
)
def test_nodes_are_apart_where_a_common_label_has_no_common_value(
    tmp_path: Path, labels: str, *, apart_by_labels: bool
) -> None:
    other = MINIMAL.replace('{ tenant = ["a"] }', labels).replace('"tenant-a"', '"a"')
    _, warnings = compared(tmp_path, a=other, b=tenant("b"))
    assert ("no label keeps these nodes apart" not in " ".join(warnings)) == apart_by_labels


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        ("p", "p", False),
        ("p", "p/a", True),
        ("p/b", "p", True),
        ("", "a", True),
        ("p", "/p/a/", True),
        ("p", "pa", False),
    ],
)
def test_cache_folders_may_not_lie_within_each_other(tmp_path: Path, one: str, other: str, *, overlap: bool) -> None:
    problems, warnings = compared(
        tmp_path,
        a=tenant("a", more=f"{CACHE}prefix = '{one}'\n"),
        b=tenant("b", more=f"{CACHE}prefix = '{other}'\n"),
    )
    assert bool(problems) == overlap
    assert any("has the same bucket" in warning for warning in warnings) != overlap


def test_names_of_which_one_begins_with_the_other_are_apart(tmp_path: Path) -> None:
    assert compared(tmp_path, a=tenant("a", more=CACHE), ab=tenant("ab", more=CACHE))[0] == []


def test_other_buckets_and_caches_that_are_off_are_nobodys_business(tmp_path: Path) -> None:
    inside = f"{CACHE}prefix = 'layer-cache/a'\n"
    off = inside.replace("read-write", "off")
    assert compared(tmp_path, a=tenant("a", more=CACHE), b=tenant("b", more=off)) == ([], [])
    other = inside.replace("layers", "others")
    assert compared(tmp_path, a=tenant("a", more=CACHE), b=tenant("b", more=other)) == ([], [])


def test_what_may_be_wrong_is_warned_of(tmp_path: Path) -> None:
    (tmp_path / "logins.json").write_text("{}")
    (tmp_path / "logins.json").chmod(0o600)
    shared = f"[registry]\nlogins_file = '{tmp_path}/logins.json'\n[runner]\ntags = ['kaniko']\n"
    _, warnings = compared(tmp_path, a=tenant("a", more=shared), b=tenant("b", more=shared))
    assert warnings == [
        "builds of a get the same logins",
        "a has the tag kaniko, too: GitLab may give its jobs to either",
    ]
