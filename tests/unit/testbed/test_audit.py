"""What scripts/audit makes of pip-audit's report."""

from __future__ import annotations

import json
from typing import Any

import pytest

from testbed.audit import CLEAN, FOUND, NOT_AUDITED, judge

GOOD = {"name": "click", "version": "8.1", "vulns": []}
BAD = {"name": "idna", "version": "1.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.0"], "aliases": []}]}
UNKNOWN = {"name": "tenacity", "skip_reason": "not found on PyPI"}


@pytest.mark.parametrize(
    ("packages", "code", "words"),
    [
        ([GOOD], CLEAN, "no known holes in 1 packages"),
        ([GOOD, UNKNOWN], CLEAN, "not audited: tenacity"),
        ([GOOD, BAD], FOUND, "idna 1.0: PYSEC-1, fixed in 2.0"),
        ([UNKNOWN, BAD], FOUND, "PYSEC-1"),
        ([UNKNOWN, UNKNOWN], NOT_AUDITED, "NOTHING WAS AUDITED: who was asked knows none of 2 packages"),
        ([], NOT_AUDITED, "NOTHING WAS AUDITED"),
    ],
)
def test_only_what_was_looked_up_counts_as_audited(packages: list[dict[str, Any]], code: int, words: str) -> None:
    verdict = judge(json.dumps({"dependencies": packages, "fixes": []}), "")
    assert verdict.code == code
    assert words in verdict.words


def test_no_report_is_no_audit_and_tells_why() -> None:
    verdict = judge("", "WARNING:x\nERROR:pip_audit: could not connect")
    assert verdict.code == NOT_AUDITED
    assert "could not connect" in verdict.words
