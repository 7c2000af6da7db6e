"""What one job may do with its tenant's layer cache. Pure.

GitLab's word on the ref decides, and nothing that a job can set: a variable of the job, or a sign that it belongs to a
fork, can only take rights away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast, get_args

from executor.cache import generation
from executor.values import dataclass

if TYPE_CHECKING:
    from executor.runner.response import JobResponse
    from executor.settings.model import Cache

Mode = Literal["read-write", "read-only", "off"]
"""In the order of what they allow, the most first."""
_MODES = get_args(Mode)
WISH = "KANIKO_DRIVER_CACHE"
"""Variable by which a job asks for less."""
_SOURCE_PROJECT = "CI_MERGE_REQUEST_SOURCE_PROJECT_ID"


@dataclass(frozen=True, kw_only=True)
class Use:
    """Where a job reads and writes."""

    mode: Mode
    prefix: str
    """Path above the generations that is read, and written where the mode allows it."""
    also_read: str = ""
    """A second one that is only read; empty: none."""
    notes: tuple[str, ...] = ()
    """Lines for the job log."""


def of_tenant(cache: Cache, tenant: str) -> Use:
    """Return what a job of the tenant may do at the most."""
    return Use(mode=cache.mode, prefix=generation.folder(cache.prefix, tenant))


def of_protected_ref(cache: Cache, tenant: str) -> Use:
    """Return what a job of a protected ref may do that asks for nothing less."""
    folder = generation.folder(cache.prefix, tenant)
    return Use(mode=cache.mode, prefix=f"{folder}/{generation.PROTECTED}" if cache.protected_apart else folder)


def of_job(cache: Cache, tenant: str, response: JobResponse) -> Use:
    """Decide for one job."""
    if cache.mode == "off":
        return of_tenant(cache, tenant)
    folder = generation.folder(cache.prefix, tenant)
    protected = f"{folder}/{generation.PROTECTED}"
    mode: Mode = cache.mode
    notes: list[str] = []
    if not response.protected:
        mode = _less(mode, cache.unprotected)
    if _is_from_a_fork(response) and mode == "read-write":
        mode = "read-only"
        notes.append("the layer cache is read-only for this job: it builds another project's branch")
    wish = response.last_value(WISH)
    if wish in _MODES:
        mode = _less(mode, cast("Mode", wish))
    elif wish:
        notes.append(f"ignored: {WISH} can be read-only or off")
    if not cache.protected_apart:
        return Use(mode=mode, prefix=folder, notes=tuple(notes))
    if response.protected:
        return Use(mode=mode, prefix=protected, notes=tuple(notes))
    return Use(mode=mode, prefix=folder, also_read=protected, notes=tuple(notes))


def _less(one: Mode, other: Mode) -> Mode:
    return max(one, other, key=_MODES.index)


def _is_from_a_fork(response: JobResponse) -> bool:
    """Tell whether any variable says so: keys may repeat, and an author can add some but take none away."""
    sources = {variable.value for variable in response.variables if variable.key == _SOURCE_PROJECT}
    return bool(sources - {"", str(response.project_id)})
