"""Which image the build container gets, and what runs the author's scripts in it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from executor.errors import JobRefused

if TYPE_CHECKING:
    from executor.runner.response import JobResponse
    from executor.settings.model import Tenant

# The images that people's pipelines name: the archived original, its forks, and mirrors of them.
_KANIKO = re.compile(r"(?:.*/)?(?:kaniko-project/(?:executor|debug)|[^/]+/kaniko|kaniko(?:-executor)?)(?:[:@].*)?")


@dataclass(frozen=True, kw_only=True)
class BuildImage:
    """The decision."""

    name: str
    shell: str
    """`sh`: the driver's busybox, since a Kaniko build leaves other tools in /. `bash`: the image's, if it has one."""
    notes: tuple[str, ...] = ()
    """What the job's author should know of it."""


def choose_image(response: JobResponse, tenant: Tenant) -> BuildImage:
    """Decide.

    Raises:
        JobRefused: an image that the tenant does not allow, or services.
    """
    if response.services:
        raise JobRefused(
            f"This runner starts no services, and the job asks for: {', '.join(response.services)}.",
            remedy="Kaniko needs none (docker:dind in particular): remove `services:` from the job.",
        )
    pinned, wanted = tenant.images.kaniko, response.image
    if wanted in ("", pinned):
        return BuildImage(name=pinned, shell="sh")
    if any(fnmatchcase(wanted, pattern) for pattern in tenant.images.allowed):
        return BuildImage(name=wanted, shell="bash")
    if _KANIKO.fullmatch(wanted):
        return BuildImage(name=pinned, shell="sh", notes=(f"using {pinned} in place of the job's image {wanted}",))
    allowed = ", ".join(tenant.images.allowed)
    raise JobRefused(
        f"The image for this job was refused: {wanted} is not among those that {tenant.name} allows.",
        why=f"Allowed beside Kaniko's own: {allowed}." if allowed else "Only Kaniko's own image is allowed.",
        remedy=f"Remove `image:` from the job, or ask the operator of {tenant.name} to add it to images.allowed.",
    )
