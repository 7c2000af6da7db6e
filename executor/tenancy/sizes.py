"""What one job pod takes and may take, added up as the cluster adds it up. Pure.

Computed from the manifest that the driver sends, so that quota and limits cannot drift from it.
Source: k8s.io/component-helpers/resource/helpers.go.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from executor.settings.units import Bytes, Cpu

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

RESOURCES = ("cpu", "memory", "ephemeral-storage")
Amounts = dict[str, Decimal]
"""Resource -> cores or bytes."""

_BINARY = (("Ti", 2**40), ("Gi", 2**30), ("Mi", 2**20), ("Ki", 2**10))


def of_pod(manifest: Mapping[str, Any], kind: str) -> Amounts:
    """Return what the whole pod takes; `kind` is `requests` or `limits`.

    Containers and sidecars count together; an init container only counts where it takes more than all that follow it.
    """
    spec = manifest["spec"]
    running = _sum(_amounts(container, kind) for container in spec["containers"])
    sidecars = peak = _sum(())
    for container in spec.get("initContainers", ()):
        own = _sum((sidecars, _amounts(container, kind)))
        if container.get("restartPolicy") == "Always":
            sidecars = own
        peak = _most((peak, own))
    return _most((_sum((running, sidecars)), peak))


def of_largest_container(manifest: Mapping[str, Any]) -> Amounts:
    """Return the highest limit of each resource that any container has."""
    return _most(_amounts(container, "limits") for container in all_containers(manifest))


def all_containers(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the containers of a pod, those that come first included."""
    spec = manifest["spec"]
    return [*spec.get("initContainers", ()), *spec["containers"]]


def times(amounts: Amounts, count: int) -> Amounts:
    """Return what `count` pods take."""
    return {name: amount * count for name, amount in amounts.items()}


def written(amounts: Amounts) -> dict[str, str]:
    """Write the amounts as Kubernetes would: `1500m`, `4Gi`."""
    return {name: _cores(amount) if name == "cpu" else _bytes(int(amount)) for name, amount in amounts.items()}


def _amounts(container: Mapping[str, Any], kind: str) -> Amounts:
    quantities = container["resources"][kind]
    return {
        name: Cpu.parse(quantities[name]).cores if name == "cpu" else Decimal(Bytes.parse(quantities[name]).count)
        for name in RESOURCES
    }


def _sum(parts: Iterable[Amounts]) -> Amounts:
    total = dict.fromkeys(RESOURCES, Decimal(0))
    for part in parts:
        total = {name: total[name] + part[name] for name in RESOURCES}
    return total


def _most(parts: Iterable[Amounts]) -> Amounts:
    most = dict.fromkeys(RESOURCES, Decimal(0))
    for part in parts:
        most = {name: max(most[name], part[name]) for name in RESOURCES}
    return most


def _cores(amount: Decimal) -> str:
    return str(int(amount)) if amount == int(amount) else f"{int(amount * 1000)}m"


def _bytes(count: int) -> str:
    for suffix, size in _BINARY:
        if count % size == 0:
            return f"{count // size}{suffix}"
    return str(count)
