"""Quantities of the cluster mean what Kubernetes takes them for."""

from __future__ import annotations

from decimal import Decimal

import pytest

from executor.diagnosis.amounts import amount, shown, total


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *(("8", 8), ("7910m", Decimal("7.91")), ("1Ki", 1024), ("2k", 2000), ("1.5Gi", 1.5 * 2**30)),
        *(("250u", Decimal("0.00025")), ("3e6", 3_000_000), ("x", 0), ("0", 0)),
    ],
)
def test_amounts_of_the_cluster_are_read(text: str, number: float | Decimal) -> None:
    assert amount(text) == number


@pytest.mark.parametrize(
    ("resource", "number", "unit", "text"),
    [
        ("cpu", Decimal("0.25"), "", "0.25"),
        ("cpu", 1500, "m", "1.5"),
        ("pods", 12, "m", "12"),
        ("memory", 512, "", "512"),
        ("memory", 1024, "", "1Ki"),
        ("limits.memory", 3 * 2**30, "", "3Gi"),
        ("requests.ephemeral-storage", 5 * 2**40, "", "5Ti"),
    ],
)
def test_amounts_are_shown_in_the_units_of_people(resource: str, number: int, unit: str, text: str) -> None:
    assert shown(resource, number, unit=unit) == text


def test_amounts_add_up_whatever_their_units() -> None:
    assert total(["1", "500m", "1Ki"]) == Decimal("1025.5")
    assert total([]) == 0
