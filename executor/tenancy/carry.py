"""How values of `[runners.kubernetes]` become settings of a tenant: one function for each shape of value. Pure.

Each takes the draft of a tenant's file and the value, as GitLab Runner 19.4 reads it (common/config.go). What has no
place is told. A value of another shape may raise KeyError, TypeError, ValueError or AttributeError.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from executor.tenancy.draft import Draft


def same(to: str) -> Callable[[Draft, Any], None]:
    """The value is the setting's own."""

    def carry(draft: Draft, value: Any) -> None:
        draft.set(to, value)

    return carry


def tell(what: str) -> Callable[[Draft, Any], None]:
    """There is no setting: say why."""

    def carry(draft: Draft, value: Any) -> None:  # noqa: ARG001 - one shape for all values
        draft.tell(what)

    return carry


def seconds(*settings: str) -> Callable[[Draft, Any], None]:
    """Whole seconds become time spans."""

    def carry(draft: Draft, value: Any) -> None:
        for to in settings:
            draft.set(to, f"{int(value)}s")

    return carry


def regex(to: str) -> Callable[[Draft, Any], None]:
    """A regular expression of Go becomes a list with one that matches the whole text."""

    def carry(draft: Draft, value: Any) -> None:
        pattern = whole(value)
        draft.set(to, [pattern])
        if pattern != value.removeprefix("^").removesuffix("$"):
            draft.tell(f"{to}: a pattern matches the whole text, so {value!r} became {pattern!r}. Is it meant so wide?")

    return carry


def whole(regex: str) -> str:
    """Return a pattern that matches the whole of each text in which Go would find `regex`."""
    if _alternatives(regex):
        # An anchor in it belongs to one of them.
        return f".*(?:{regex}).*"
    start, end = regex.startswith("^"), regex.endswith("$") and not regex.endswith("\\$")
    inner = regex[1 if start else 0 : len(regex) - (1 if end else 0)]
    before = "" if start or inner.startswith(".*") else ".*"
    return f"{before}{inner}{'' if end or inner.endswith('.*') else '.*'}"


def _alternatives(regex: str) -> bool:
    """Tell whether a `|` stands outside of all groups and classes."""
    left = re.sub(r"\\.|\[\^?\]?[^\]]*\]", "", regex)
    while (fewer := re.sub(r"\([^()]*\)", "", left)) != left:
        left = fewer
    return "|" in left


def image(draft: Draft, value: str) -> None:
    """The image of jobs without `image:`, which is Kaniko's where it is one."""
    if "kaniko" in value and "$" not in value:
        draft.set("images.kaniko", value)
    else:
        draft.tell(
            f"Jobs without `image:` ran in {value}; now they run in Kaniko's image, images.kaniko. Name an image in "
            "those jobs that are no builds."
        )


def helper_image(draft: Draft, value: str) -> None:
    """The helper image, unless variables are in its name."""
    if "$" in value:
        draft.tell(f"images.helper: write {value} with the runner's version in place of the variable.")
    else:
        draft.set("images.helper", value)


def allowed_images(draft: Draft, value: list[str]) -> None:
    """Globs of doublestar, where `*` ends at a slash, become patterns."""
    patterns = [re.sub(r"\*\*/?\*?|\*", "*", pattern) for pattern in value]
    for pattern in value:
        if re.search(r"[?\[{]", pattern) or pattern.startswith("**/"):
            draft.tell(
                f"images.allowed: {pattern!r} cannot be written as a pattern here, where only `*` is special and never "
                "stands in the name of the host. Name the registries in full."
            )
    good = [pattern for pattern, given in zip(patterns, value, strict=True) if not re.search(r"[?\[{]|^\*\*/", given)]
    if good:
        draft.set("images.allowed", good)
        draft.tell(
            "images.allowed: `*` now matches slashes too; look whether the patterns allow more than they should."
        )


def pull_policy(draft: Draft, value: str | list[str]) -> None:
    """The first of the policies."""
    policies = [value] if isinstance(value, str) else value
    draft.set("images.pull_policy", policies[0].lower())
    if len(policies) > 1:
        draft.tell(
            f"images.pull_policy: only the first of {', '.join(policies)}; a failed pull is tried again as it was."
        )


def node_selector(draft: Draft, value: Mapping[str, str]) -> None:
    """The labels by which the tenant's nodes are known."""
    draft.set("nodes.labels", {key: [label] for key, label in value.items()})


def node_tolerations(draft: Draft, value: Mapping[str, str]) -> None:
    """`KEY=VALUE` or `KEY` -> effect, where an empty one is every effect."""
    found = []
    for key, effect in value.items():
        name, equals, text = key.partition("=")
        comparison = {"operator": "Equal", "value": text} if equals else {"operator": "Exists"}
        found.append({"key": name, **comparison, **({"effect": effect} if effect else {})})
    draft.set("nodes.tolerations", found)


def affinity(draft: Draft, value: Mapping[str, Any]) -> None:
    """Nearness to nodes and pods, as far as it concerns the tenant alone."""
    _node_affinity(draft, value.get("node_affinity") or {})
    for key, relation in (("pod_affinity", "together"), ("pod_anti_affinity", "apart")):
        found = value.get(key) or {}
        for term in found.get("required_during_scheduling_ignored_during_execution") or ():
            _pod_term(draft, relation, term, {})
        for entry in found.get("preferred_during_scheduling_ignored_during_execution") or ():
            _pod_term(draft, relation, entry.get("pod_affinity_term") or {}, {"weight": entry.get("weight", 1)})


def _node_affinity(draft: Draft, value: Mapping[str, Any]) -> None:
    required = value.get("required_during_scheduling_ignored_during_execution") or {}
    terms = required.get("node_selector_terms") or []
    if len(terms) > 1:
        draft.tell(
            "affinity.node_affinity: several required terms are alternatives, which a tenant's nodes cannot be. Give "
            "the tenant's nodes one label and name it in nodes.labels."
        )
    elif terms:
        draft.append("pod.node_requirements", _requirements(draft, terms[0]))
    for entry in value.get("preferred_during_scheduling_ignored_during_execution") or ():
        conditions = _requirements(draft, entry.get("preference") or {})
        if conditions:
            draft.append("pod.node_preferences", [{"weight": entry.get("weight", 1), "match": conditions}])


def _requirements(draft: Draft, term: Mapping[str, Any]) -> list[dict[str, Any]]:
    if term.get("match_fields"):
        draft.tell("affinity: match_fields names single nodes; use a label of theirs in nodes.labels.")
    return [
        {"key": one["key"], "operator": one.get("operator", "In"), **_values(one)}
        for one in term.get("match_expressions") or ()
    ]


def _values(expression: Mapping[str, Any]) -> dict[str, Any]:
    values = expression.get("values")
    return {"values": list(values)} if values else {}


def _pod_term(draft: Draft, relation: str, term: Mapping[str, Any], weight: dict[str, int]) -> None:
    selector = term.get("label_selector") or {}
    beyond = [
        key for key in ("namespaces", "namespace_selector", "match_label_keys", "mismatch_label_keys") if term.get(key)
    ]
    if selector.get("match_expressions"):
        beyond.append("label_selector.match_expressions")
    if beyond:
        draft.tell(
            f"affinity: {', '.join(beyond)} of a pod term cannot be carried over: pods of other namespaces are not the "
            "tenant's business, and labels are compared for equality. Use `topology_key` and `labels` of pod.affinity."
        )
        return
    labels = selector.get("match_labels")
    place = term.get("topology_key")
    entry = {"relation": relation, **weight, **({"topology_key": place} if place else {})}
    draft.append("pod.affinity", [{**entry, **({"labels": dict(labels)} if labels else {})}])


def security(draft: Draft, value: Mapping[str, Any]) -> None:
    """The pod's security context."""
    for key in ("fs_group", "supplemental_groups", "selinux_type"):
        if value.get(key):
            draft.set(f"pod.security.{key}", value[key])
    for key, to in (("seccomp_profile", "seccomp_profile"), ("app_armor_profile", "apparmor_profile")):
        if profile := _profile(value.get(key)):
            draft.set(f"pod.security.{to}", profile)
    _tell_user(draft, value)


def _profile(value: Mapping[str, str] | None) -> str:
    if not value or not value.get("type"):
        return ""
    return f"localhost/{value.get('localhost_profile', '')}" if value["type"] == "Localhost" else value["type"]


def _tell_user(draft: Draft, value: Mapping[str, Any]) -> None:
    given = [key for key in ("run_as_user", "run_as_group", "run_as_non_root") if value.get(key)]
    if given:
        draft.tell(
            f"{', '.join(given)}: containers of a job are always root: Kaniko must be, and its cache keys depend on "
            "it. pod.host_users = false makes that root nobody on the node."
        )


def container(name: str) -> Callable[[Draft, Any], None]:
    """A container's security context."""

    def carry(draft: Draft, value: Mapping[str, Any]) -> None:
        capabilities = value.get("capabilities") or {}
        _capabilities(draft, name, capabilities.get("add") or [], capabilities.get("drop") or [])
        if value.get("allow_privilege_escalation"):
            draft.set(f"pod.{name}.allow_privilege_escalation", value["allow_privilege_escalation"])
        _tell_user(draft, value)
        if value.get("privileged"):
            draft.tell(f"The {name} container is never privileged; Kaniko needs no privileges.")
        if value.get("read_only_root_filesystem"):
            draft.tell("read_only_root_filesystem: Kaniko unpacks images into its own root, which must be writable.")
        if value.get("proc_mount") not in {None, "", "Default"}:
            draft.tell("proc_mount: an unmasked /proc opens the kernel to builds.")
        if any(value.get(key) for key in ("seccomp_profile", "app_armor_profile", "selinux_type")):
            draft.tell(f"Profiles of the {name} container alone: set them for the whole pod in [pod.security].")

    return carry


def _capabilities(draft: Draft, container: str, add: list[str], drop: list[str]) -> None:
    def plain(names: list[str]) -> list[str]:
        return [name.upper().removeprefix("CAP_") for name in names]

    # The driver drops all others anyway, and gives what Kaniko needs.
    if dropped := [name for name in plain(drop) if name in _GIVEN]:
        draft.append(f"pod.{container}.drop_capabilities", dropped)
    if added := [name for name in plain(add) if name not in _GIVEN]:
        draft.append(f"pod.{container}.add_capabilities", added)


_GIVEN = frozenset({"CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETFCAP", "SETGID", "SETUID"})


def cap_add(draft: Draft, value: list[str]) -> None:
    """Capabilities that the driver does not give anyway."""
    _capabilities(draft, "build", value, [])


def cap_drop(draft: Draft, value: list[str]) -> None:
    """Capabilities that the driver gives."""
    _capabilities(draft, "build", [], [name for name in value if name.upper() != "ALL"])


def volumes(draft: Draft, value: Mapping[str, Any]) -> None:
    """Volumes of every kind, each with the one place where it is mounted."""
    for kind, volumes in value.items():
        for volume in volumes or ():
            _volume(draft, kind, volume)


def _volume(draft: Draft, kind: str, volume: Mapping[str, Any]) -> None:
    name = str(volume.get("name", ""))
    if kind not in _SOURCES:
        draft.tell(f"volumes.{kind} {name!r}: {_NO_VOLUME.get(kind, 'unknown to this driver.')}")
        return
    if volume.get("mount_propagation"):
        draft.tell(f"volumes.{kind} {name!r}: mounts are not propagated to or from the node.")
    path = str(volume.get("mount_path", "")).rstrip("/")
    mount: dict[str, Any] = {"path": path, "containers": ["build", "helper"]}
    if volume.get("sub_path"):
        mount["sub_path"] = volume["sub_path"]
    if not volume.get("read_only") and kind in {"pvc", "empty_dir", "csi"}:
        mount["read_only"] = False
    plain = re.sub(r"[^a-z0-9-]+", "-", name.lower()).strip("-") or "volume"
    items = {"items": dict(volume["items"])} if volume.get("items") else {}
    draft.append("pod.volumes", [{"name": plain, **_SOURCES[kind](draft, volume), **items, "mounts": [mount]}])


def _empty_dir(draft: Draft, volume: Mapping[str, Any]) -> dict[str, Any]:
    size = volume.get("size_limit")
    if not size:
        draft.tell(
            f"volumes.empty_dir {volume.get('name')!r} had no size_limit; it gets 1Gi: look whether that is enough."
        )
    medium = {"medium": volume["medium"]} if volume.get("medium") else {}
    return {"empty_dir": {"size": size or "1Gi", **medium}}


def _csi(draft: Draft, volume: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG001 - one shape for all kinds
    attributes = {"attributes": dict(volume["volume_attributes"])} if volume.get("volume_attributes") else {}
    fs_type = {"fs_type": volume["fs_type"]} if volume.get("fs_type") else {}
    return {"csi": {"driver": volume.get("driver", ""), **fs_type, **attributes}}


_SOURCES: dict[str, Callable[[Draft, Mapping[str, Any]], dict[str, Any]]] = {
    "pvc": lambda _, volume: {"claim": volume.get("name", "")},
    "config_map": lambda _, volume: {"config_map": volume.get("name", "")},
    "secret": lambda _, volume: {"secret": volume.get("name", "")},
    "empty_dir": _empty_dir,
    "csi": _csi,
}
_NO_VOLUME = {
    "host_path": "a path of the node opens the fence between tenants. Use a claim, a ConfigMap or an image instead.",
    "nfs": "make a PersistentVolume of it and a claim in the tenant's namespace, and name that in pod.volumes.",
}


def host_aliases(draft: Draft, value: list[Mapping[str, Any]]) -> None:
    """Lines of /etc/hosts."""
    draft.set("pod.host_aliases", [{"ip": one["ip"], "hostnames": list(one["hostnames"])} for one in value])


def dns_policy(draft: Draft, value: str) -> None:
    """Where names are looked up."""
    if value == "cluster-first-with-host-net":
        draft.tell("dns_policy: job pods never use the node's network; `cluster-first` is the same for them.")
    else:
        draft.set("pod.dns.policy", value)


def dns_config(draft: Draft, value: Mapping[str, Any]) -> None:
    """Lines of resolv.conf."""
    for key in ("nameservers", "searches"):
        if value.get(key):
            draft.set(f"pod.dns.{key}", list(value[key]))
    if options := value.get("options"):
        draft.set("pod.dns.options", {one["name"]: str(one.get("value") or "") for one in options})


def lifecycle(draft: Draft, value: Mapping[str, Any]) -> None:
    """Commands that the kubelet runs in the build container."""
    for hook in ("post_start", "pre_stop"):
        handler = value.get(hook) or {}
        if command := (handler.get("exec") or {}).get("command"):
            draft.set(f"pod.build.{hook}", list(command))
        elif handler:
            draft.tell(
                f'container_lifecycle.{hook}: only commands; a request can be one: ["wget", "-qO-", "http://…"].'
            )


def pod_spec(draft: Draft, value: list[Mapping[str, Any]]) -> None:
    """Strategic merges of the pod's spec, one laid over the other."""
    # Imported here: nothing else of the driver's pure rooms reads YAML.
    import yaml

    for one in value:
        name = one.get("name") or "without a name"
        if one.get("patch_type", "strategic") != "strategic" or not one.get("patch"):
            draft.tell(
                f"pod_spec {name!r}: only strategic patches that stand in the file. Write what it changes as "
                "[pod.patch]."
            )
            continue
        try:
            patch = yaml.safe_load(one["patch"])
        except yaml.YAMLError:
            patch = None
        if isinstance(patch, dict):
            draft.merge("pod.patch", patch)
        else:
            draft.tell(f"pod_spec {name!r}: the patch is neither JSON nor YAML of a pod's spec.")
