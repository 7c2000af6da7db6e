"""A patch is merged as Kubernetes merges strategic patches of pods."""

from __future__ import annotations

from typing import Any

import pytest

from executor.errors import SettingsInvalid
from executor.pod.patch import patched

SPEC: dict[str, Any] = {
    "restartPolicy": "Never",
    "nodeSelector": {"a": "1", "b": "2"},
    "tolerations": [{"key": "t"}],
    "containers": [
        {
            "name": "build",
            "image": "i",
            "command": ["a", "b"],
            "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}],
            "volumeMounts": [{"mountPath": "/a", "name": "v"}],
        },
        {"name": "helper", "image": "h"},
    ],
    "volumes": [{"name": "v", "emptyDir": {"sizeLimit": "1Gi"}}],
    "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["a"]}],
}


def container(spec: dict[str, Any], name: str = "build") -> dict[str, Any]:
    found: dict[str, Any] = {one["name"]: one for one in spec["containers"]}[name]
    return found


def test_tables_are_merged_and_what_was_there_is_left_as_it_was() -> None:
    before = repr(SPEC)
    assert patched(SPEC, {"nodeSelector": {"b": "3", "c": "4"}})["nodeSelector"] == {"a": "1", "b": "3", "c": "4"}
    assert repr(SPEC) == before
    assert patched(SPEC, {}) == SPEC


def test_lists_without_a_key_are_replaced() -> None:
    assert patched(SPEC, {"tolerations": [{"key": "u"}]})["tolerations"] == [{"key": "u"}]
    changed = patched(SPEC, {"containers": [{"name": "build", "command": ["c"]}]})
    assert container(changed)["command"] == ["c"]


def test_lists_with_a_key_are_merged_by_it_in_place() -> None:
    patch = {
        "containers": [
            {
                "name": "build",
                "env": [{"name": "Y", "value": "3"}, {"name": "Z", "value": "4"}],
                "volumeMounts": [{"mountPath": "/a", "readOnly": True}, {"mountPath": "/b", "name": "v"}],
            },
            {"name": "extra", "image": "e"},
        ],
        "hostAliases": [{"ip": "10.0.0.2", "hostnames": ["b"]}],
    }
    changed = patched(SPEC, patch)
    assert [one["name"] for one in changed["containers"]] == ["build", "helper", "extra"]
    build = container(changed)
    assert build["env"] == [{"name": "X", "value": "1"}, {"name": "Y", "value": "3"}, {"name": "Z", "value": "4"}]
    assert build["volumeMounts"] == [
        {"mountPath": "/a", "name": "v", "readOnly": True},
        {"mountPath": "/b", "name": "v"},
    ]
    assert build["image"] == "i"
    assert [one["ip"] for one in changed["hostAliases"]] == ["10.0.0.1", "10.0.0.2"]


def test_entries_and_tables_are_deleted_and_replaced_by_directives() -> None:
    build = {"name": "build", "env": [{"name": "X", "$patch": "delete"}]}
    assert container(patched(SPEC, {"containers": [build]}))["env"] == [{"name": "Y", "value": "2"}]
    assert "nodeSelector" not in patched(SPEC, {"nodeSelector": {"$patch": "delete"}})
    assert patched(SPEC, {"nodeSelector": {"$patch": "replace", "z": "1"}})["nodeSelector"] == {"z": "1"}
    new = patched(SPEC, {"volumes": [{"$patch": "replace"}, {"name": "w", "emptyDir": {}}]})
    assert new["volumes"] == [{"name": "w", "emptyDir": {}}]
    assert patched(SPEC, {"containers": [{"name": "absent", "$patch": "delete"}]}) == SPEC


def test_a_volume_may_change_its_kind() -> None:
    patch = {"volumes": [{"name": "v", "$retainKeys": ["name", "secret"], "secret": {"secretName": "s"}}]}
    assert patched(SPEC, patch)["volumes"] == [{"name": "v", "secret": {"secretName": "s"}}]


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        ({"containers": [{"image": "x"}]}, "pod.patch.containers has an entry without 'name'"),
        ({"containers": {"build": {}}}, "pod.patch.containers must be a list of tables"),
        ({"containers": "x"}, "pod.patch.containers must be a list of tables"),
        ({"containers": ["x"]}, "pod.patch.containers must be a list of tables"),
        ({"volumes": [{"name": "v", "$patch": "remove"}]}, "pod.patch.volumes[v] knows no directive $patch = 'remove'"),
        ({"$setElementOrder/containers": []}, "'$setElementOrder/containers', which is not supported"),
        ({"containers": [{"name": "build", "env": [{"value": "1"}]}]}, "containers[build].env has an entry without"),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(patch: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        patched(SPEC, patch)
    assert words in refused.value.why
    assert "[pod.patch]" in refused.value.remedy
