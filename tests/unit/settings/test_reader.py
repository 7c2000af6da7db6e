"""Every mistake in a settings file is told with its file, its line and the nearest name."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from executor.settings.lines import line_of
from executor.settings.model import Tenant, Toleration
from executor.settings.reader import Flat, Problem, TomlFile, build
from tests.support.tenants import MINIMAL

NAME = "tenants/tenant-a.toml"


def read(text: str) -> tuple[Flat, list[str]]:
    """Read a tenant's text; returns values and problems."""
    file = TomlFile(NAME, text)
    values = file.flat(Tenant, file.table)
    return values, [str(problem) for problem in file.problems]


def value(text: str, *path: str) -> Any:
    values, problems = read(text)
    assert problems == []
    return values[path]


def problem(text: str) -> str:
    _, problems = read(text)
    (only,) = problems
    return only


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[cache]\nbuket = 'b'", "tenant-a.toml, line 2: unknown key 'cache.buket'; did you mean 'bucket'?"),
        ("\n\n[imags]\nkaniko = 'x'", "tenant-a.toml, line 3: unknown key 'imags'; did you mean 'images'?"),
        ("[volumes]\nqqq = '1Gi'", "line 2: unknown key 'volumes.qqq'; known here: builds, cache, output"),
        ("cache.mod = 'off'", "line 1: unknown key 'cache.mod'; did you mean 'mode'?"),
        (
            "[resources]\nbuild = { cpu_limt = '1' }",
            "unknown key 'resources.build.cpu_limt'; did you mean 'cpu_limit'?",
        ),
        ("[resources.build]\n# cpu_limt =\n\ncpu_limt = '1'", "line 4: unknown key 'resources.build.cpu_limt'"),
    ],
)
def test_an_unknown_key_is_told_with_its_line_and_the_nearest_name(text: str, words: str) -> None:
    assert words in problem(text)


def test_the_name_of_a_tenant_is_its_files_and_not_a_setting() -> None:
    told = problem("name = 'other'")
    assert "line 1: unknown key 'name'" in told
    assert "did you mean" not in told


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[cluster]\nnamespace = 5", "line 2: cluster.namespace: 5 must be text in quotes"),
        ("[cache]\nport = '5000'", "line 2: cache.port: '5000' must be a whole number"),
        ("[cache]\nport = 5000.0", "cache.port: 5000.0 must be a whole number"),
        ("[cache]\nport = true", "cache.port: True must be a whole number"),
        ("[cache]\npath_style = 1", "cache.path_style: 1 must be true or false"),
        ("[cache]\npath_style = 'yes'", "cache.path_style: 'yes' must be true or false"),
        ("[cache]\nmode = 'readwrite'", "cache.mode: 'readwrite' is not one of 'read-write', 'read-only', 'off'"),
        ("[images]\nallowed = 'a/*'", "images.allowed: 'a/*' must be a list in brackets"),
        ("[images]\nallowed = [1]", "images.allowed[0]: 1 must be text in quotes"),
        ("[volumes]\nbuilds = 10", "volumes.builds: 10 must be text in quotes, such as '2Gi'"),
        ("[volumes]\nbuilds = '10 GB'", "volumes.builds: '10 GB' is no Kubernetes quantity"),
        ("[timeouts]\nidle = 900", "timeouts.idle: 900 must be text in quotes, such as '90s'"),
        ("[timeouts]\nidle = '15 min'", "timeouts.idle: '15 min' is no time span"),
        ("[nodes]\nlabels = ['a']", "nodes.labels: ['a'] must be a table"),
        ("[nodes]\nlabels = { tenant = 'a' }", "nodes.labels.tenant: 'a' must be a list in brackets"),
        ("cache = 'off'", "cache is a table: write [cache]"),
        ("[resources]\nbuild = '2'", "resources.build is a table: write [resources.build]"),
        ("[[cache]]\nmode = 'off'", "cache is a table: write [cache]"),
        ("[nodes]\ntolerations = [{ kye = 'a' }]", "unknown key 'nodes.tolerations[0].kye'; did you mean 'key'?"),
        ("[nodes]\ntolerations = [{ value = 'a' }]", "nodes.tolerations[0]: the key 'key' is missing"),
        (
            "[nodes]\ntolerations = [{ key = 'a', operator = 'In' }]",
            "nodes.tolerations[0].operator: 'In' is not one of 'Equal'",
        ),
        ("[nodes]\ntolerations = ['a']", "nodes.tolerations[0]: 'a' must be a table in braces"),
    ],
)
def test_a_wrong_value_is_told_with_what_would_be_right(text: str, words: str) -> None:
    assert words in problem(text)


def test_tables_inline_tables_and_dotted_keys_are_the_same_settings() -> None:
    spellings = (
        "[cache]\nbucket = 'b'\nport = 1",
        "cache = { bucket = 'b', port = 1 }",
        "cache.bucket = 'b'\ncache.port = 1",
        "['cache']\n'bucket' = 'b'\n\"port\" = 1",
    )
    assert len({tuple(sorted(read(text)[0].items())) for text in spellings}) == 1
    assert value(spellings[0], "cache", "bucket") == "b"


def test_lists_of_tables_become_values() -> None:
    inline = value("[nodes]\ntolerations = [{ key = 't', value = 'a', effect = 'NoSchedule' }]", "nodes", "tolerations")
    assert inline == (Toleration(key="t", value="a", effect="NoSchedule"),)
    assert value("[[nodes.tolerations]]\nkey = 't'\noperator = 'Exists'", "nodes", "tolerations") == (
        Toleration(key="t", operator="Exists"),
    )


def test_label_keys_may_be_anything_and_are_kept_as_written() -> None:
    labels = value("[nodes.labels]\n'example.com/tenant' = ['a', 'b']\nzone = ['x']", "nodes", "labels")
    assert labels == {"example.com/tenant": ("a", "b"), "zone": ("x",)}


@pytest.mark.parametrize(
    ("text", "line"),
    [("[cache]\nmode = off\n", 2), ("a = 1\na = 2\n", 2), ("[cache]\nbucket = 'b\n", 2), ("\n\n[cache", 3)],
)
def test_a_syntax_error_is_told_with_its_line(text: str, line: int) -> None:
    file = TomlFile(NAME, text)
    (told,) = file.problems
    assert told.line == line
    assert "this is no TOML" in str(told)


def test_a_syntax_error_hides_no_further_complaints_behind_an_exception() -> None:
    values, problems = read("[cache\n")
    assert values == {}
    assert len(problems) == 1


def test_all_mistakes_of_a_file_are_told_at_once() -> None:
    _, problems = read("[cache]\nmode = 'x'\nprt = 1\n[volumes]\nbuilds = 1\n")
    assert len(problems) == 3


class TestLineOf:
    TEXT = """\
# cache.mode = "commented"
[cache] # a comment
mode = "off"
"quoted" = 1

[resources]
build = { cpu_limit = "1" }
allowed = [
    "a/*",
    "mode=x",
]
[[nodes.tolerations]]
key = "a"
[ resources . helper ]
cpu_limit="1"
[images]
cache.deep = "dotted"
"""

    @pytest.mark.parametrize(
        ("path", "line"),
        [
            (("cache", "mode"), 3),
            (("cache", "quoted"), 4),
            (("cache",), 2),
            (("resources", "allowed"), 8),
            (("nodes", "tolerations"), 12),
            (("nodes", "tolerations", "0", "key"), 13),
            (("resources", "helper", "cpu_limit"), 15),
            (("images", "cache", "deep"), 17),
            # Not found itself: the nearest place around it.
            (("cache", "bucket"), 2),
            (("resources", "build", "cpu_limit"), 7),
            (("volumes", "builds"), 0),
        ],
    )
    def test_the_key_is_found_or_the_nearest_place_around_it(self, path: tuple[str, ...], line: int) -> None:
        assert line_of(self.TEXT, path) == line

    def test_every_key_of_a_real_file_is_found_where_it_stands(self) -> None:
        lines = MINIMAL.splitlines()
        for table, keys in tomllib.loads(MINIMAL).items():
            for key in keys if isinstance(keys, dict) else ():
                assert lines[line_of(MINIMAL, (table, key)) - 1].startswith(key)


def test_problems_sort_by_file_and_line_and_read_as_a_sentence() -> None:
    problems = [Problem("b", 1, "x"), Problem("a", 10, "x"), Problem("a", 9, "y"), Problem("a", 0, "whole")]
    assert [str(found) for found in sorted(problems)] == ["a: whole", "a, line 9: y", "a, line 10: x", "b, line 1: x"]


def test_build_names_every_required_setting_that_nobody_set() -> None:
    missing: list[tuple[str, ...]] = []
    build(Tenant, {("name",): "a", ("cluster", "namespace"): "n"}, missing)
    assert missing == [("nodes", "labels"), ("images", "kaniko"), ("images", "helper")]


def test_one_figure_of_a_container_keeps_the_defaults_of_the_others() -> None:
    text = MINIMAL.replace("version = 1\n", "") + "[resources.build]\ncpu_limit = '8'\n"
    values, _ = read(text)
    built: Tenant = build(Tenant, values | {("name",): "a"}, [])
    assert (built.resources.build.cpu_limit.text, built.resources.build.memory_limit.text) == ("8", "4Gi")
    assert built.resources.helper.cpu_limit.text == "1"
