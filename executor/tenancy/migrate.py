"""A runner's config.toml with `executor = "kubernetes"` -> tenant files and new runner sections. Pure.

What has no place here is told with what to do about it; nothing is dropped in silence. Tokens and keys are not copied.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from executor.settings.model import Tenant
from executor.settings.reader import hints_of
from executor.settings.writer import write
from executor.tenancy import section
from executor.tenancy.draft import Draft
from executor.tenancy.kubernetes_executor import KEYS

if TYPE_CHECKING:
    from collections.abc import Mapping

_BY_NAME = {key.name: key for key in KEYS}
# Names of earlier releases.
_FORMERLY = {"termination_grace_period_seconds": "pod_termination_grace_period_seconds"}
_SECRET = re.compile(r"(?i)token$|secret|password|private_?key|access_?key|account_?key")
_HIDDEN = "REPLACE-ME"
_EXECUTORS = frozenset(
    {"kubernetes", "docker", "machine", "ssh", "virtualbox", "parallels", "custom", "autoscaler", "instance"}
)
_LONGEST_NAME = 40


@dataclass(frozen=True, kw_only=True)
class Migrated:
    """What became of one `[[runners]]` section."""

    tenant: str
    settings: str
    """The tenant's file."""
    section: str
    """The new section of config.toml, with `REPLACE-ME` where secrets were."""
    findings: tuple[str, ...]
    """What could not be carried over or needs a decision, each with what to do."""


def migrate(document: Mapping[str, Any]) -> list[Migrated]:
    """Carry over every runner of the built-in Kubernetes executor; runners of other executors are none of ours.

    Args:
        document: the parsed config.toml.
    """
    runners = [one for one in document.get("runners") or () if _table(one).get("executor") == "kubernetes"]
    taken: dict[str, str] = {}
    return [_one(runner, _name(runner, taken), document, taken) for runner in runners]


def _table(value: Any) -> dict[str, Any]:
    """Return a table; anything else in its place is what GitLab Runner would refuse, and holds nothing for us."""
    return value if isinstance(value, dict) else {}


def _name(runner: Mapping[str, Any], taken: Mapping[str, str]) -> str:
    plain = re.sub(r"[^a-z0-9]+", "-", str(runner.get("name", "")).lower())[: _LONGEST_NAME - 3].strip("-") or "tenant"
    names = [plain, *(f"{plain}-{number}" for number in range(2, len(taken) + 3))]
    return next(name for name in names if name not in taken)


def _one(runner: Mapping[str, Any], name: str, document: Mapping[str, Any], taken: dict[str, str]) -> Migrated:
    draft = Draft(name)
    kubernetes = _table(runner.get("kubernetes"))
    if not kubernetes.get("namespace"):
        draft.set_namespace("")
    for key, value in kubernetes.items():
        _carry(draft, key, value)
    if not kubernetes.get("allowed_images"):
        draft.set("images.allowed", ["*"])
        draft.tell(
            "images.allowed is `*`: the runner allowed any image, so this does too. Name the tenant's registries."
        )
    _gitlab(draft, runner, document)
    _own_namespace(draft, taken)
    tenant = draft.finish()
    made_from = f"# Made from runner {runner.get('name', '')!r} by `kaniko-driver migrate`.\n"
    return Migrated(
        tenant=name,
        settings=made_from + write(_in_order(draft.values)),
        section=_section(runner, tenant, draft),
        findings=tuple(draft.findings),
    )


def _in_order(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: values[key] for key in ("version", *hints_of(Tenant)) if key in values}


def _carry(draft: Draft, name: str, value: Any) -> None:
    key = _BY_NAME.get(_FORMERLY.get(name, name))
    if key is None:
        draft.tell(f"{name}: GitLab Runner 19.4 has no such key, so nothing was carried over.")
    elif value in key.harmless or value in ("", {}, []) or key.carry is None:
        return
    else:
        try:
            key.carry(draft, value)
        except (AttributeError, KeyError, TypeError, ValueError):
            draft.tell(
                f"{name}: what stands there could not be read as GitLab Runner 19.4 reads it; nothing was carried over."
            )


def _gitlab(draft: Draft, runner: Mapping[str, Any], document: Mapping[str, Any]) -> None:
    if runner.get("url"):
        draft.set("gitlab.url", runner["url"])
    if jobs := runner.get("limit") or document.get("concurrent"):
        draft.set("capacity.jobs", jobs)
    cache = _table(runner.get("cache"))
    s3 = _table(cache.get("s3") or cache.get("S3"))
    for key, to in (("BucketName", "bucket"), ("ServerAddress", "server"), ("BucketLocation", "region")):
        if s3.get(key):
            draft.set(f"runner.cache_{to}", s3[key])
    draft.tell(
        "[network] is empty: list what builds may reach (registry, gitlab, s3), here or in driver.toml's "
        "[defaults.network]. Where network policies are enforced everything else is closed to them."
    )
    draft.tell(
        "The layer cache is off. Set [cache] for builds that reuse their layers; nothing in a pipeline has to change."
    )


def _own_namespace(draft: Draft, taken: dict[str, str]) -> None:
    namespace = draft.get("cluster.namespace") or draft.name
    if namespace in taken.values():
        draft.tell(
            f"cluster.namespace is {draft.name!r}, since another runner has {namespace!r}. If both are one "
            "customer, one file is enough: two runner sections may name one tenant."
        )
        namespace = draft.name
        draft.set("cluster.namespace", namespace)
    taken[draft.name] = namespace


def _section(runner: Mapping[str, Any], tenant: Tenant, draft: Draft) -> str:
    kept: dict[str, Any] = {}
    for key, value in runner.items():
        if key in {"builds_dir", "cache_dir"}:
            draft.tell(f"{key} of the section is left out: in job pods it is always /builds or /cache.")
        elif key == "shell" and value != "bash":
            draft.tell("shell of the section is left out: job pods run sh or bash.")
        elif key not in _EXECUTORS and key != "shell":
            kept[key] = _without_secrets(key, value)
    kept["executor"] = "custom"
    own = {key: value for key, value in kept.items() if not isinstance(value, dict)}
    tables = {key: value for key, value in kept.items() if isinstance(value, dict)}
    return write({"runners": [{**own, "custom": section.custom(tenant), **tables}]})


def _without_secrets(key: str, value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_secrets(name, item) for name, item in value.items()}
    return _HIDDEN if isinstance(value, str) and value and _SECRET.search(key) else value
