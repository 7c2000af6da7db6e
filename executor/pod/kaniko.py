"""What every call of `/kaniko/executor` gets beside the author's words: flags, feature flags, authorities. Pure.

The wrapper in the build container reads it from files beside itself (shell/executor).
"""

from __future__ import annotations

from executor.cache import registry
from executor.pod import names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from executor.cache.use import Use
    from executor.settings.files import Authorities
    from executor.settings.model import Registry, Tenant

# Chosen for pods of a few GiB: compressing cached layers in memory costs 3.5 times a layer's size.
_FLAGS = (
    "--compressed-caching=false",
    "--push-retry=3",
    "--image-fs-extract-retry=3",
)
_DOWNLOAD_RETRIES, _WITH_MIRRORS = 3, 1
"""Kaniko also tries again where an image does not exist, for seconds; the next mirror is the better second try."""

FEATURES = {
    # What is not in a key can be changed without a miss: without these a build may find a layer of another one.
    "FF_KANIKO_HASH_DIR_FRAMING": True,
    "FF_KANIKO_RESOLVE_CACHE_KEY": True,
    "FF_KANIKO_ROLLING_CACHE_KEY": True,
    "FF_KANIKO_SCOPED_DOCKERIGNORE": True,
    # A deleted file of a cached layer must not come back as a deletion in another stage.
    "FF_KANIKO_SKIP_WRITE_WHITEOUTS": True,
    # Together they let a build that finds everything skip whole stages, and the download of their base images.
    "FF_KANIKO_CACHE_LOOKAHEAD": True,
    "FF_KANIKO_INFER_CROSS_STAGE_CACHE_KEY": True,
    "FF_KANIKO_SKIP_CACHED_STAGES": True,
}
"""Of the maintained fork (osscontainertools/kaniko), 1.28; Kaniko 1.24 reads none of them."""


def files(tenant: Tenant, use: Use | None, authorities: Authorities) -> dict[str, str]:
    """Return files of the tools volume by name.

    Args:
        tenant: its settings.
        use: what the job may do with the layer cache; None where it has none.
        authorities: of registries with certificates of their own.
    """
    own = tenant.kaniko
    certificates = {f"registry-{number}.pem": pem for number, pem in enumerate(authorities.registries.values(), 1)}
    trusted = (
        f"--registry-certificate={host}={names.TOOLS_FOLDER}/{file}"
        for host, file in zip(authorities.registries, certificates, strict=True)
    )
    features = FEATURES | own.features
    return {
        "flags.default": _lines(*_FLAGS, *_base_images(tenant.registry), *trusted, *own.flags),
        "flags.cache": _lines(*(registry.kaniko_flags(tenant.cache, use) if use else ())),
        "flags.locked": _lines(*own.locked_flags),
        "features": _lines(*(f"{name}={str(on).lower()}" for name, on in sorted(features.items()))),
        **certificates,
    }


def _base_images(settings: Registry) -> Iterator[str]:
    yield f"--image-download-retry={_WITH_MIRRORS if settings.mirrors else _DOWNLOAD_RETRIES}"
    for host, mirrors in settings.mirrors.items():
        # Kaniko knows Docker Hub by this name alone.
        known = "index.docker.io" if host == "docker.io" else host
        yield from (f"--registry-map={known}={mirror}" for mirror in mirrors)
    if settings.mirrors_only:
        yield "--skip-default-registry-fallback=true"


def _lines(*entries: str) -> str:
    return "".join(f"{entry}\n" for entry in entries)
