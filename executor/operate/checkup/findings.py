"""What a check found, and how checks are run: side by side, each with its own trouble and nobody else's."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from executor.errors import DriverError
from executor.operate.shown import advice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Verdict = Literal["good", "warning", "problem", "skipped"]
_AT_ONCE = 16


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One check's result."""

    check: str
    """Stable name, for scripts."""
    verdict: Verdict
    what: str
    remedy: str = ""
    """What to do; for `skipped`, how to have it checked."""
    commands: tuple[str, ...] = ()
    """Shell commands that do it, for `--fix`, where such there are."""
    tenant: str = ""
    """Empty for what concerns the host."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check that is yet to be made."""

    name: str
    tenant: str
    make: Callable[[], Iterable[Finding]]


def good(check: str, what: str) -> Finding:
    """Say that all is well."""
    return Finding(check=check, verdict="good", what=what)


def skipped(check: str, what: str, remedy: str = "") -> Finding:
    """Say why something was not looked at."""
    return Finding(check=check, verdict="skipped", what=what, remedy=remedy)


def warning(check: str, what: str, remedy: str, *commands: str) -> Finding:
    """Say what will hurt some day."""
    return Finding(check=check, verdict="warning", what=what, remedy=remedy, commands=commands)


def problem(check: str, what: str, remedy: str, *commands: str) -> Finding:
    """Say what keeps jobs from running, or tenants from being apart."""
    return Finding(check=check, verdict="problem", what=what, remedy=remedy, commands=commands)


def of_error(check: str, error: DriverError) -> Finding:
    """Make a finding of an error that a check ended with."""
    what = f"{error.what} {error.why}".strip()
    return problem(check, what, advice(error) or "The message says what to look at.")


def run(checks: list[Check]) -> Iterator[Finding]:
    """Make all checks at once and yield their findings in the order of the checks."""
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        for check, future in [(check, pool.submit(_made, check)) for check in checks]:
            for finding in future.result():
                yield replace(finding, tenant=check.tenant)


def _made(check: Check) -> list[Finding]:
    try:
        return list(check.make())
    except DriverError as error:
        return [of_error(check.name, error)]
    except Exception as error:  # noqa: BLE001 - one check's defect must not hide what the others found
        what = f"this check itself failed: {type(error).__name__}: {error}"
        return [problem(check.name, what, "This is a defect of kaniko-driver: please report it.")]
