"""The `[overrides]` tables: what a job may wish, by variables with the names of GitLab Runner's own executor.

Every gate is closed until the operator opens it. A wish at a closed gate is ignored with one line in the job log; a
wish beyond an open one fails the job with the bound named, and is never cut silently.
"""

from __future__ import annotations

from executor.settings.declare import dataclass, setting
from executor.settings.units import Bytes, Cpu, Pattern  # noqa: TC001 - the reader evaluates the types of fields


@dataclass(frozen=True, kw_only=True)
class Most:
    """The most that a job may ask for, one container; a gate without a figure is closed."""

    cpu_request: Cpu | None = setting("Bound of KUBERNETES_…CPU_REQUEST.", None)
    cpu_limit: Cpu | None = setting("Bound of KUBERNETES_…CPU_LIMIT.", None)
    memory_request: Bytes | None = setting("Bound of KUBERNETES_…MEMORY_REQUEST.", None)
    memory_limit: Bytes | None = setting("Bound of KUBERNETES_…MEMORY_LIMIT.", None)
    ephemeral_storage_request: Bytes | None = setting("Bound of KUBERNETES_…EPHEMERAL_STORAGE_REQUEST.", None)
    ephemeral_storage_limit: Bytes | None = setting("Bound of KUBERNETES_…EPHEMERAL_STORAGE_LIMIT.", None)


@dataclass(frozen=True, kw_only=True)
class Overrides:
    """Gates of what a job may change of its own pod. A pattern must match the whole text."""

    build: Most
    helper: Most
    service: Most
    node_selector: tuple[Pattern, ...] = setting(
        "Patterns of `KEY=VALUE` that KUBERNETES_NODE_SELECTOR_* may have. It narrows the tenant's nodes only.", ()
    )
    tolerations: tuple[Pattern, ...] = setting(
        "Patterns of `KEY=VALUE:EFFECT` that KUBERNETES_NODE_TOLERATIONS_* may have.", ()
    )
    labels: tuple[Pattern, ...] = setting("Patterns of `KEY=VALUE` that KUBERNETES_POD_LABELS_* may have.", ())
    annotations: tuple[Pattern, ...] = setting(
        "Patterns of `KEY=VALUE` that KUBERNETES_POD_ANNOTATIONS_* may have.", ()
    )
    service_accounts: tuple[Pattern, ...] = setting(
        "Patterns of names that KUBERNETES_SERVICE_ACCOUNT_OVERWRITE may have; no token is mounted in any case.", ()
    )
