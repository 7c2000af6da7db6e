"""Differences show what an operator wrote, and not what the API server keeps for itself."""

from __future__ import annotations

from typing import Any

from executor.tenancy.changes import lines

FOUND: dict[str, Any] = {
    "kind": "ResourceQuota",
    "metadata": {"name": "q", "uid": "1", "resourceVersion": "5", "managedFields": [], "generation": 3},
    "spec": {"hard": {"pods": "22"}},
    "status": {"used": {"pods": "3"}},
}


def after(pods: str) -> dict[str, Any]:
    return {"kind": "ResourceQuota", "metadata": {"name": "q", "uid": "1"}, "spec": {"hard": {"pods": pods}}}


def test_the_same_content_is_no_change() -> None:
    assert lines(FOUND, after("22"), name="q") == []


def test_a_change_is_shown_with_both_values() -> None:
    shown = lines(FOUND, after("5"), name="q")
    assert "-    pods: '22'" in shown
    assert "+    pods: '5'" in shown


def test_a_new_object_is_shown_whole() -> None:
    shown = lines(None, after("5"), name="q")
    assert [line for line in shown if line.startswith("-") and not line.startswith("---")] == []
    assert "+kind: ResourceQuota" in shown
