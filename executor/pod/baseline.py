"""What in a security context is beyond the Pod Security Standard "baseline", in words. Pure.

Stricter in one thing: every container drops ALL capabilities before it adds any.
Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from executor.settings.forms import Capability, Sysctl

if TYPE_CHECKING:
    from collections.abc import Iterator

_CONTEXT = frozenset(
    {
        "allowPrivilegeEscalation",
        "appArmorProfile",
        "capabilities",
        "readOnlyRootFilesystem",
        "runAsGroup",
        "runAsNonRoot",
        "runAsUser",
        "seLinuxOptions",
        "seccompProfile",
    }
)
_POD_CONTEXT = frozenset(
    {
        "appArmorProfile",
        "fsGroup",
        "fsGroupChangePolicy",
        "runAsGroup",
        "runAsNonRoot",
        "runAsUser",
        "seLinuxChangePolicy",
        "seLinuxOptions",
        "seccompProfile",
        "supplementalGroups",
        "supplementalGroupsPolicy",
        "sysctls",
    }
)
_SELINUX_TYPES = frozenset({"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"})


def of_pod(context: dict[str, Any]) -> Iterator[str]:
    """Yield what of a pod's security context is beyond the standard, one sentence each."""
    yield from (f"securityContext.{key} is not allowed" for key in sorted(context.keys() - _POD_CONTEXT))
    yield from _confinement("securityContext", context)
    if "seccompProfile" not in context:
        yield "securityContext.seccompProfile may not be removed"
    for sysctl in context.get("sysctls") or ():
        if sysctl.get("name") not in get_args(Sysctl):
            yield f"securityContext.sysctls: {sysctl.get('name')} is not safe"


def of_container(where: str, context: dict[str, Any]) -> Iterator[str]:
    """Yield the same of a container, which is called `where`."""
    yield from (f"{where}.securityContext.{key} is not allowed" for key in sorted(context.keys() - _CONTEXT))
    yield from _confinement(f"{where}.securityContext", context)
    capabilities = context.get("capabilities") or {}
    if "ALL" not in (capabilities.get("drop") or ()):
        yield f"{where}.securityContext.capabilities must drop ALL"
    for one in capabilities.get("add") or ():
        if one not in get_args(Capability):
            yield f'{where}.securityContext.capabilities: {one} is beyond Pod Security "baseline"'


def _confinement(where: str, context: dict[str, Any]) -> Iterator[str]:
    for kind in ("seccompProfile", "appArmorProfile"):
        if (context.get(kind) or {}).get("type", "RuntimeDefault") not in {"RuntimeDefault", "Localhost"}:
            yield f"{where}.{kind} may not be unconfined"
    options = context.get("seLinuxOptions") or {}
    if options.get("type", "") not in _SELINUX_TYPES or options.get("user") or options.get("role"):
        yield f'{where}.seLinuxOptions is beyond Pod Security "baseline"'
