"""Quantities as the cluster writes them (`500m`, `4Gi`), to compare and to show. Pure."""

from __future__ import annotations

import re
from decimal import Decimal

_AMOUNT = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?)(?P<suffix>[numkMGTPE]|[KMGTPE]i|e[0-9]+|)")
_FACTORS = {
    "": Decimal(1),
    **{suffix: Decimal(1000) ** -power for power, suffix in enumerate("mun", 1)},
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate("kMGTPE", 1)},
    **{f"{suffix}i": Decimal(1024) ** power for power, suffix in enumerate("KMGTPE", 1)},
}
_BYTES = ("memory", "storage", "ephemeral-storage")


def amount(text: str) -> Decimal:
    """Return a quantity in cores, bytes or pieces; none is larger than what cannot be read, which is 0."""
    match = _AMOUNT.fullmatch(text)
    if match is None:
        return Decimal(0)
    suffix = match["suffix"]
    factor = _FACTORS[suffix] if suffix in _FACTORS else Decimal(10) ** int(suffix[1:])
    return Decimal(match["number"]) * factor


def total(texts: list[str]) -> Decimal:
    """Return the sum of quantities."""
    return sum((amount(text) for text in texts), Decimal(0))


def shown(resource: str, number: Decimal | int, *, unit: str = "") -> str:
    """Write an amount for people: bytes in binary units, all else as a number of `unit`s (`m`: thousandths)."""
    if resource.rpartition(".")[2] not in _BYTES:
        value = Decimal(number) * _FACTORS[unit] if resource == "cpu" else Decimal(number)
        return f"{value.normalize():f}"
    value = Decimal(number)
    for suffix in ("", "Ki", "Mi", "Gi"):
        if value < 1024:  # noqa: PLR2004 - the step of binary units
            return f"{value:.4g}{suffix}"
        value /= 1024
    return f"{value:.4g}Ti"
