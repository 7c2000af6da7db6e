"""Which image the build container gets, how it is pulled, and what runs the author's scripts in it.

The image's entrypoint does not run, and neither does the one that the job names: the container's first process is the
driver's, since scripts come later and one after the other. The built-in executor does the same unless told otherwise.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from executor.errors import JobRefused
from executor.scrub import image_without_login, readable
from executor.values import dataclass

if TYPE_CHECKING:
    from executor.runner.response import JobResponse
    from executor.settings.model import Tenant

# The images that people's pipelines name: the archived original, its forks, and mirrors of them.
_KANIKO = re.compile(r"(?:.*/)?(?:kaniko-project/(?:executor|debug)|[^/]+/kaniko|kaniko(?:-executor)?)(?:[:@].*)?")

# github.com/distribution/reference: host and port, path, tag, digest.
_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"(?:(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(?::[0-9]+)?/)?{_PART}(?:/{_PART})*"
    r"(?::\w[\w.-]{0,127})?(?:@[A-Za-z][A-Za-z0-9+._-]*:[0-9a-fA-F]{32,})?",
    re.ASCII,
)
PULL_POLICIES = {"always": "Always", "if-not-present": "IfNotPresent", "never": "Never"}
"""As people write them -> as Kubernetes does."""
_LONGEST_NAME = 1000
_LONGEST_QUOTE = 200


@dataclass(frozen=True, kw_only=True)
class BuildImage:
    """The decision."""

    name: str
    shell: str
    """`sh`: the driver's busybox, since a Kaniko build leaves other tools in /. `bash`: the image's, if it has one."""
    pull_policies: tuple[str, ...] = ()
    """As Kubernetes writes them, each for when a pull with the one before failed; none: the tenant's own."""
    authors: bool = False
    """The job's author chose it."""
    notes: tuple[str, ...] = ()
    """What the job's author should know of it."""


def choose_image(response: JobResponse, tenant: Tenant) -> BuildImage:
    """Decide.

    Raises:
        JobRefused: an image or a pull policy that the tenant does not allow.
    """
    pinned, wanted = tenant.images.kaniko, response.image
    notes = _notes(response)
    if wanted in ("", pinned):
        return BuildImage(name=pinned, shell="sh", notes=notes)
    require_image_name(wanted, "The image for this job")
    if any(fnmatchcase(wanted, pattern) for pattern in tenant.images.allowed):
        policies = choose_pull_policies(response.pull_policies, tenant, wanted)
        return BuildImage(name=wanted, shell="bash", pull_policies=policies, authors=True, notes=notes)
    if _KANIKO.fullmatch(wanted):
        notes = (f"using {pinned} in place of the job's image {wanted}", *notes)
        return BuildImage(name=pinned, shell="sh", notes=notes)
    allowed = ", ".join(tenant.images.allowed)
    raise JobRefused(
        f"The image for this job was refused: {wanted} is not among those that {tenant.name} allows.",
        why=f"Allowed beside Kaniko's own: {allowed}." if allowed else "Only Kaniko's own image is allowed.",
        remedy=f"Remove `image:` from the job, or ask the operator of {tenant.name} to add it to images.allowed.",
    )


def _notes(response: JobResponse) -> tuple[str, ...]:
    if not response.user:
        return ()
    # Another user could not read what the helper container cloned, and its files would have other cache keys.
    return ("the job's image:kubernetes:user is not used: scripts run as root, as Kaniko needs it",)


def choose_pull_policies(wanted: tuple[str, ...], tenant: Tenant, image: str) -> tuple[str, ...]:
    """Return the policies of the job's list that the tenant allows, in its order; none where the job names none.

    Raises:
        JobRefused: it allows none of them.
    """
    if not wanted:
        return ()
    allowed = tenant.images.allowed_pull_policies or (tenant.images.pull_policy,)
    if chosen := dict.fromkeys(PULL_POLICIES[policy] for policy in wanted if policy in allowed):
        return tuple(chosen)
    words = readable(", ".join(wanted), _LONGEST_QUOTE)
    raise JobRefused(
        f"The pull policy of {image} was refused: {words} is not among those that {tenant.name} allows.",
        why=f"Allowed: {', '.join(allowed)}.",
        remedy=f"Remove `pull_policy:` from the job, or ask the operator of {tenant.name} to add it to "
        "images.allowed_pull_policies.",
    )


def require_image_name(name: str, what: str) -> None:
    """Hold that a text can be the name of an image.

    Raises:
        JobRefused: it cannot; told without a login that it may contain.
    """
    if len(name) <= _LONGEST_NAME and _REFERENCE.fullmatch(name):
        return
    raise JobRefused(
        f"{what} has a name that no image can have: {image_without_login(name[:_LONGEST_QUOTE])!r}",
        why="It must read like registry.example.com/group/name:tag, in small letters but for host and tag, "
        "and without a login.",
        remedy="Correct it in .gitlab-ci.yml; if a variable stands in it, look whether that is set for this job.",
    )


def registry_of(image: str) -> str:
    """Return the host, and port, that an image is pulled from."""
    first, slash, _ = image.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else "docker.io"
