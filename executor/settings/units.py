"""Values that carry their unit: Kubernetes quantities and durations.

Source of the quantity syntax: k8s.io/apimachinery/pkg/api/resource/quantity.go.
"""

from __future__ import annotations

import re
from decimal import Decimal

from executor.values import dataclass

_QUANTITY = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?)(?P<suffix>m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi|)")
_FACTORS = {
    "": Decimal(1),
    "m": Decimal("0.001"),
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate("kMGTP", 1)},
    **{f"{suffix}i": Decimal(1024) ** power for power, suffix in enumerate("KMGTP", 1)},
}
# What `parse` accepts, as one regular expression each: for JSON Schemas.
_NUMBER = r"(?!0+(?:\.0+)?[A-Za-z]*$)[0-9]+(?:\.[0-9]+)?"
CPU_FORM = rf"{_NUMBER}m?"
BYTES_FORM = rf"(?!0+\.[0-9]+$){_NUMBER}(?:k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?"
DURATION_FORM = r"(?=.*[1-9])(?:[0-9]+h)?(?:[0-9]+m)?(?:[0-9]+s)?"
_DURATION = re.compile(r"(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9]+)s)?")
_REGEX_TOKEN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|.", re.DOTALL)
_NOT_IN_RE2 = re.compile(r"\(\?(?:[=!>#(]|<[=!]|P=|[A-Za-z-]*[aLux])|[*+?}]\+|\\[1-9Z]")


def _amount(text: str) -> Decimal:
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no Kubernetes quantity such as 500m, 2 or 4Gi")
    return Decimal(match["number"]) * _FACTORS[match["suffix"]]


@dataclass(frozen=True)
class Cpu:
    """An amount of CPU as Kubernetes writes it: `500m`, `2`, `1.5`."""

    text: str
    cores: Decimal

    @classmethod
    def parse(cls, text: str) -> Cpu:
        """Parse a quantity.

        Raises:
            ValueError: it is no quantity, zero, or has a unit of bytes.
        """
        cores = _amount(text)
        if not cores or text[-1] not in "m0123456789":
            raise ValueError(f"{text!r} is no amount of CPU such as 500m or 2")
        return cls(text, cores)


@dataclass(frozen=True)
class Bytes:
    """An amount of memory or storage as Kubernetes writes it: `512Mi`, `4Gi`, `1000000`."""

    text: str
    count: int

    @classmethod
    def parse(cls, text: str) -> Bytes:
        """Parse a quantity.

        Raises:
            ValueError: it is no quantity, zero, or in thousandths (`400m` would be 0.4 byte).
        """
        count = _amount(text)
        if count < 1 or text.endswith("m"):
            raise ValueError(f"{text!r} is no amount of bytes such as 512Mi or 4Gi")
        return cls(text, int(count))


@dataclass(frozen=True)
class Duration:
    """A time span as Go writes it, in whole seconds: `90s`, `5m`, `1h30m`."""

    text: str
    seconds: int

    @classmethod
    def parse(cls, text: str) -> Duration:
        """Parse a time span.

        Raises:
            ValueError: it is none, or zero.
        """
        match = _DURATION.fullmatch(text)
        hours, minutes, seconds = (int(part or 0) for part in match.groups()) if match else (0, 0, 0)
        total = 3600 * hours + 60 * minutes + seconds
        if not total:
            raise ValueError(f"{text!r} is no time span such as 90s, 5m or 1h30m")
        return cls(text, total)


@dataclass(frozen=True)
class Pattern:
    """A regular expression of the operator that Python and RE2 both know; it must match the whole text.

    RE2, since the cluster's admission policy holds jobs to the same pattern (github.com/google/re2/wiki/Syntax).
    """

    text: str

    @classmethod
    def parse(cls, text: str) -> Pattern:
        """Check that it is one.

        Raises:
            ValueError: it is none, or empty.
        """
        try:
            re.compile(text)
        except re.error as error:
            raise ValueError(f"{text!r} is no regular expression: {error}") from error
        if not text:
            raise ValueError("an empty pattern matches nothing; leave it out")
        if found := _NOT_IN_RE2.search("".join(map(_operator, _REGEX_TOKEN.findall(text)))):
            raise ValueError(
                f"{text!r} contains {found[0]!r}: the cluster's own check of jobs (RE2) knows no lookaround, "
                "backreference, possessive repetition or flag of Python"
            )
        return cls(text)

    def matches(self, text: str) -> bool:
        """Tell whether the whole text is of this pattern; without the anchors a part of it would do."""
        return re.fullmatch(self.text, text) is not None


def _operator(token: str) -> str:
    """Return a token of a regular expression; a space for what stands for a character, however it is written."""
    character = token.startswith("[") or (token.startswith("\\") and token[1] not in "123456789Z")
    return " " if character else token
