"""Explain why an image cannot be pulled, by the words of registries, containerd and CRI-O.

Pure. The order of the table matters: a rate limit comes with "denied", and a registry that hides what one may not see
says "does not exist" and "authorization failed" in one breath.
"""

from __future__ import annotations

from executor.categories import Category
from executor.diagnosis.model import OPERATOR, Diagnosis
from executor.values import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

REASONS = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "ErrImageNeverPull",
        "InvalidImageName",
        "ImageInspectError",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    }
)
"""Of a container that waits for its image."""
_FINAL = frozenset({"ErrImageNeverPull", "InvalidImageName"})

_TABLE: tuple[tuple[str, tuple[str, ...], str, str], ...] = (
    (
        Category.IMAGE_RATE_LIMITED,
        ("toomanyrequests", "too many requests", "rate limit", "pull qps exceeded"),
        "The registry allows no more pulls for now.",
        f"Run the job again later; if it stays, {OPERATOR} should log in to the registry or mirror it.",
    ),
    (
        Category.IMAGE_TLS,
        ("x509:", "tls:", "server gave http response to https client", "certificate"),
        "The node does not trust the registry's certificate, or the registry speaks no TLS.",
        f"{OPERATOR.capitalize()} must give the nodes the registry's certificate authority.",
    ),
    (
        Category.IMAGE_DNS,
        ("no such host", "server misbehaving", "name resolution", "dial tcp: lookup"),
        "The node cannot resolve the registry's name.",
        f"Is the registry's name spelled right? Otherwise {OPERATOR} must look at the nodes' DNS.",
    ),
    (
        Category.NODE_PRESSURE,
        ("no space left on device",),
        "The node's disk is full.",
        f"Run the job again; {OPERATOR} must make room on the node.",
    ),
    (
        Category.IMAGE_PLATFORM,
        ("no match for platform", "no matching manifest", "does not match the specified platform"),
        "The image does not exist for this kind of processor.",
        "Use an image that is built for the nodes' processors.",
    ),
    (
        Category.IMAGE_DENIED,
        (
            "pull access denied",
            "unauthorized",
            "authentication required",
            "no basic auth credentials",
            "insufficient_scope",
            "authorization failed",
            "forbidden",
            "access denied",
            "denied:",
        ),
        "The registry refuses the image to this login, or has none of this name.",
        (
            "Is its name right? For a private image the job needs a login of that registry (DOCKER_AUTH_CONFIG, or "
            f"GitLab's own registry), or {OPERATOR} must set a pull secret."
        ),
    ),
    (
        Category.IMAGE_NOT_FOUND,
        (
            "not found",
            "manifest unknown",
            "manifest_unknown",
            "name_unknown",
            "name unknown",
            "repository does not exist",
        ),
        "The registry has no image of this name, or no such tag.",
        f"Correct name and tag where the job gives them (`image:` or `services:`); otherwise {OPERATOR} must.",
    ),
    (
        Category.IMAGE_UNREACHABLE,
        (
            "connection refused",
            "i/o timeout",
            "no route to host",
            "network is unreachable",
            "deadline exceeded",
            "connection reset",
            "connection timed out",
            "unexpected eof",
            ": eof",
            "500 internal",
            "502 bad",
            "503 service",
            "504 gateway",
            "registryunavailable",
        ),
        "The registry does not answer, or with an error of its own.",
        f"Run the job again later; if it stays, {OPERATOR} must look at the registry and the nodes' way to it.",
    ),
)
_OTHER = (
    "Correct its name where the job gives it (`image:` or `services:`); otherwise "
    f"{OPERATOR} must check its name, the pull secret and the nodes' network."
)
PASSING = frozenset(
    {Category.IMAGE_RATE_LIMITED, Category.IMAGE_DNS, Category.IMAGE_UNREACHABLE, Category.NODE_PRESSURE}
)
"""What may well be over in a minute or two."""
ALL = frozenset({category for category, *_ in _TABLE} | {Category.IMAGE_FAILED})
ANSWERED = frozenset({Category.IMAGE_NOT_FOUND, Category.IMAGE_DENIED, Category.IMAGE_PLATFORM})
"""The registry's own word, which hardly changes by asking again. An image that the author named is theirs to mend then:
many registries say "denied" of images that do not exist."""


def of_pull(*, container: str, image: str, reason: str, message: str) -> Diagnosis:
    """Explain a pull that fails.

    Args:
        container: whose image it is.
        image: its name as it was asked for.
        reason: of the container that waits, one of REASONS.
        message: what the container runtime says.
    """
    category, cause, remedy = _found(reason, message)
    return Diagnosis(
        category=category,
        what=f"The image of the {container} container cannot be pulled: {image}",
        why=f"{cause} {reason}: {message}".strip(),
        remedy=remedy,
        final=reason in _FINAL,
        container=container,
        backing_off=reason == "ImagePullBackOff",
    )


def with_its_login(refused: Diagnosis, events: list[dict[str, Any]]) -> Diagnosis:
    """Say of a pull that a registry refused whether the node could not read a Secret with a login for it.

    The kubelet pulls without that login then, and tells it by an event alone. One that it could not read once, because
    the API server was slow, was there for the second try.
    """
    for event in events:
        if event.get("reason") == "FailedToRetrieveImagePullSecret" and int(event.get("count") or 1) > 1:
            return replace(
                refused,
                category=Category.SECRET_MISSING,
                why=f"{refused.why}\nThe node could not read the Secret of a login: {event.get('message')}",
                remedy=f"{OPERATOR.capitalize()} must check the pull secrets of the tenant (images.pull_secrets).",
            )
    return refused


def _found(reason: str, message: str) -> tuple[str, str, str]:
    if reason == "InvalidImageName":
        return Category.IMAGE_NOT_FOUND, "No image can have this name.", _OTHER
    if reason == "ErrImageNeverPull":
        remedy = f"Use another `pull_policy:`, or {OPERATOR} must put the image onto the nodes."
        return Category.IMAGE_NOT_FOUND, "The node does not have it, and its pull policy is Never.", remedy
    words = f"{reason} {message}".lower()
    for category, needles, cause, remedy in _TABLE:
        if any(needle in words for needle in needles):
            return category, cause, remedy
    return Category.IMAGE_FAILED, "", _OTHER
