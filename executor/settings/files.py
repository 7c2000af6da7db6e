"""The text of files on the runner's host that a tenant's settings name."""

from __future__ import annotations

from executor.errors import SettingsInvalid, in_words
from executor.values import dataclass, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from executor.settings.model import Tenant


@dataclass(frozen=True, kw_only=True)
class Authorities:
    """PEM text of authorities beside the usual ones."""

    s3: str = ""
    """Of the layer cache's server; may be empty."""
    registries: dict[str, str] = field(default_factory=dict)
    """Host of a registry -> text."""


def authorities(tenant: Tenant) -> Authorities:
    """Read the files of `cache.ca_file` and `registry.authorities`.

    Raises:
        SettingsInvalid: one cannot be read.
    """
    return Authorities(
        s3=text_of(tenant.cache.ca_file, "cache.ca_file") if tenant.cache.mode != "off" else "",
        registries={host: text_of(path, "registry.authorities") for host, path in tenant.registry.authorities.items()},
    )


def text_of(path: str, setting: str) -> str:
    """Return the text of the file that a setting names; empty where it names none.

    Raises:
        SettingsInvalid: it cannot be read.
    """
    if not path:
        return ""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsInvalid(
            "A file that the tenant's settings name cannot be read.",
            why=f"{path}: {in_words(error)}",
            remedy=f"The operator must correct {setting}.",
        ) from error
