"""Read the API server's refusal of a pod for which a quota of the namespace has no room.

Pure. The words are those of apiserver/pkg/admission/plugin/resourcequota/controller.go; a refusal for any other reason
is none of this module's.
"""

from __future__ import annotations

import re

from executor.diagnosis.amounts import amount
from executor.values import dataclass

_EXCEEDED = re.compile(
    r"exceeded quota: (?P<quota>[^,\s]+), requested: (?P<requested>\S*), used: (?P<used>\S*), limited: (?P<limited>\S*)"
)
_UNKNOWN = re.compile(r"status unknown for quota: (?P<quota>[^,\s]+)")


@dataclass(frozen=True, kw_only=True)
class Shortage:
    """What a quota lacks; the tables are resource -> quantity as the cluster writes it, of what is short alone."""

    quota: str
    requested: dict[str, str]
    used: dict[str, str]
    limited: dict[str, str]

    @property
    def words(self) -> str:
        """Which quota, and how full it is."""
        full = ", ".join(f"{name} {self.used.get(name, '?')} of {most}" for name, most in self.limited.items())
        return f"quota {self.quota}: used {full}" if full else f"quota {self.quota}: its use is not known yet"

    @property
    def hopeless(self) -> str:
        """What a single pod wants more of than the quota has when nothing is used; empty when it only has to wait."""
        return ", ".join(
            f"{name} {wanted} of {self.limited[name]}"
            for name, wanted in self.requested.items()
            if name in self.limited and amount(wanted) > amount(self.limited[name])
        )


def of_refusal(message: str) -> Shortage | None:
    """Return what is short, or None where the refusal is not for want of room."""
    if found := _EXCEEDED.search(message):
        requested, used, limited = (_table(found[name]) for name in ("requested", "used", "limited"))
        return Shortage(quota=found["quota"], requested=requested, used=used, limited=limited)
    # A quota that was made or changed this moment, and has not been counted yet.
    if found := _UNKNOWN.search(message):
        return Shortage(quota=found["quota"], requested={}, used={}, limited={})
    return None


def _table(text: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in text.split(",") if "=" in part)
