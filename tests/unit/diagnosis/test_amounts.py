"""Quantities of the cluster mean what Kubernetes takes them for."""

from __future__ import annotations

from decimal import Decimal

import pytest

from executor.diagnosis.amounts import amount


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *(("8", 8), ("7910m", Decimal("7.91")), ("1Ki", 1024), ("2k", 2000), ("1.5Gi", 1.5 * 2**30)),
        *(("250u", Decimal("0.00025")), ("3e6", 3_000_000), ("x", 0), ("0", 0)),
    ],
)
def test_amounts_of_the_cluster_are_read(text: str, number: float | Decimal) -> None:
    assert amount(text) == number
