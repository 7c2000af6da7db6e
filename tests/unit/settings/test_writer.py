"""What is written is TOML, says the same, and can be read by a person."""

from __future__ import annotations

import tomllib

from executor.settings.writer import write

VALUES = {
    "version": 1,
    "text": 'a "quoted"\nline with \\ and \x7f and ü',
    "list": ["a", "b"],
    "flag": False,
    "nodes": {"labels": {"example.com/tenant": ["a"]}, "tolerations": [{"key": "k"}, {"key": "l", "value": ""}]},
    "deep": {"er": {"est": {"key": "value"}}},
}


def test_what_is_written_reads_as_the_same_values() -> None:
    assert tomllib.loads(write(VALUES)) == VALUES


def test_keys_that_need_quotes_have_them_and_others_do_not() -> None:
    assert '[nodes.labels]\n"example.com/tenant" = ["a"]\n' in write(VALUES)


def test_a_table_that_holds_only_tables_has_no_heading() -> None:
    assert "[deep]" not in write(VALUES)
    assert "[deep.er.est]" in write(VALUES)


def test_empty_tables_are_left_out() -> None:
    assert write({"a": 1, "b": {}, "c": {"d": {}}}) == "a = 1\n"


def test_a_comment_stands_above_its_key_line_by_line() -> None:
    said = write({"nodes": {"labels": {"a": "b"}}}, {("nodes", "labels"): "Whose\nnodes."})
    assert said == '# Whose\n# nodes.\n[nodes.labels]\na = "b"\n'


def test_a_comment_of_a_list_of_tables_is_said_once() -> None:
    assert write({"list": [{"a": 1}, {"a": 2}]}, {("list",): "Once."}).count("# Once.") == 1
