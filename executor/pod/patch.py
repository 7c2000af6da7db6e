"""Lay a patch over a pod's spec, as Kubernetes merges strategic patches. Pure.

Tables are merged key by key. Lists are merged by the key that the API gives them, and replaced as a whole where it
gives none (tolerations and arguments, for example). `$patch` and `$retainKeys` are understood, and nothing else.
Source: the patchStrategy and patchMergeKey tags of k8s.io/api/core/v1, and
k8s.io/apimachinery/pkg/util/strategicpatch.
"""

from __future__ import annotations

from typing import Any

from executor.errors import SettingsInvalid

_POD = {
    "volumes": "name",
    "containers": "name",
    "initContainers": "name",
    "imagePullSecrets": "name",
    "hostAliases": "ip",
    "resourceClaims": "name",
    "schedulingGates": "name",
    "topologySpreadConstraints": "topologyKey",
}
_CONTAINER = {"env": "name", "volumeMounts": "mountPath", "volumeDevices": "devicePath", "ports": "containerPort"}
_INSIDE = {"containers": _CONTAINER, "initContainers": _CONTAINER}

_DIRECTIVE, _RETAIN = "$patch", "$retainKeys"

Keys = dict[str, str]
"""Name of a list -> the field that tells its entries apart."""


def patched(spec: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """Return the spec with the patch laid over it.

    Raises:
        SettingsInvalid: the patch does not fit the spec's shape or has an unknown directive.
    """
    merged = _table(spec, patch, "", _POD)
    return merged if merged is not None else {}


def _table(current: Any, patch: dict[str, Any], path: str, keys: Keys) -> dict[str, Any] | None:
    """Merge two tables; None where the patch deletes this one."""
    directive = patch.get(_DIRECTIVE, "merge")
    if directive not in {"merge", "replace", "delete"}:
        raise _wrong(
            path, f"knows no directive {_DIRECTIVE} = {directive!r}; there are 'merge', 'replace' and 'delete'"
        )
    if directive == "delete":
        return None
    base = {} if directive == "replace" or not isinstance(current, dict) else current
    if _RETAIN in patch:
        base = {key: value for key, value in base.items() if key in patch[_RETAIN]}
    merged = dict(base)
    for key, value in patch.items():
        if key in {_DIRECTIVE, _RETAIN}:
            continue
        if key.startswith("$"):
            raise _wrong(path, f"has the directive {key!r}, which is not supported")
        result = _value(base.get(key), value, f"{path}.{key}" if path else key, key, keys)
        if result is None:
            merged.pop(key, None)
        else:
            merged[key] = result
    return merged


def _value(current: Any, patch: Any, path: str, key: str, keys: Keys) -> Any:
    if key not in keys:
        return _table(current, patch, path, {}) if isinstance(patch, dict) else patch
    if not isinstance(patch, list) or not all(isinstance(entry, dict) for entry in patch):
        raise _wrong(path, "must be a list of tables")
    return _list(list(current or ()), patch, path, keys[key], _INSIDE.get(key, {}))


def _list(current: list[Any], patch: list[dict[str, Any]], path: str, name: str, inside: Keys) -> list[Any]:
    if any(entry == {_DIRECTIVE: "replace"} for entry in patch):
        current = []
        patch = [entry for entry in patch if entry != {_DIRECTIVE: "replace"}]
    merged = list(current)
    for entry in patch:
        if name not in entry:
            raise _wrong(path, f"has an entry without {name!r}, by which entries are told apart: {entry!r}")
        place = next((n for n, one in enumerate(merged) if one.get(name) == entry[name]), len(merged))
        result = _table(merged[place] if place < len(merged) else {}, entry, f"{path}[{entry[name]}]", inside)
        merged[place : place + 1] = [] if result is None else [result]
    return merged


def _wrong(path: str, what: str) -> SettingsInvalid:
    return SettingsInvalid(
        "The tenant's pod.patch cannot be laid over the job pod.",
        why=f"pod.patch{f'.{path}' if path else ''} {what}.",
        remedy="The operator must correct [pod.patch]; `kaniko-driver validate` checks it.",
    )
