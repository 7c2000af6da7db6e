"""How the cache registry, and no other container of the pod, comes by its keys for S3. Pure.

`secret`: a Secret of the tenant. `sts`: a Secret of this job alone. `service-account` and `pod-identity`: a token of
the pod's service account for AWS' audience, projected here for one container; AWS' own webhooks would give it to all.
Sources: aws-sdk-go-v2/config (web identity, container credentials), EKS Pod Identity's agent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from executor.pod import names

if TYPE_CHECKING:
    from executor.cache.use import Use
    from executor.settings.model import Cache

VOLUME = "cache-identity"
FOLDER = "/cache-identity"
_FILE = "token"
_LIFE_SECONDS = 3600
"""The kubelet renews it at four fifths, and AWS' own library reads it again."""
_POD_IDENTITY = "http://169.254.170.23/v1/credentials"
SKIP_ANNOTATION = "eks.amazonaws.com/skip-containers"
_PAIR = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_TOKEN = "AWS_SESSION_TOKEN"  # noqa: S105 - the name of a variable
AUDIENCES = {"service-account": "sts.amazonaws.com", "pod-identity": "pods.eks.amazonaws.com"}


def has_identity(cache: Cache) -> bool:
    """Tell whether the keys come by a token of the pod's service account."""
    return cache.credentials in AUDIENCES


def environment(cache: Cache, use: Use, *, tenant: str, pod: str) -> list[dict[str, Any]]:
    """Return the variables of the cache registry that keys come from."""
    if cache.credentials == "sts":
        return [_reference(name, names.cache_secret(pod)) for name in (*_PAIR, _TOKEN)]
    if cache.credentials == "secret":
        secret = (cache.read_only_secret if use.mode == "read-only" else "") or cache.secret
        return [_reference(name, secret) for name in _PAIR]
    # Nothing of the job: a pod that waits for one must be the same.
    file = f"{FOLDER}/{_FILE}"
    values = {"AWS_REGION": cache.region}
    if cache.credentials == "pod-identity":
        values |= {"AWS_CONTAINER_CREDENTIALS_FULL_URI": _POD_IDENTITY, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": file}
    else:
        role = (cache.read_only_role if use.mode == "read-only" else "") or cache.role
        values |= {"AWS_ROLE_ARN": role, "AWS_WEB_IDENTITY_TOKEN_FILE": file, "AWS_ROLE_SESSION_NAME": tenant}
        if cache.sts_endpoint:
            values["AWS_ENDPOINT_URL_STS"] = cache.sts_endpoint
    return [{"name": name, "value": value} for name, value in values.items()]


def volumes(cache: Cache) -> list[dict[str, Any]]:
    """Return the volume with the token; none where keys come another way."""
    if not has_identity(cache):
        return []
    token = {"audience": AUDIENCES[cache.credentials], "expirationSeconds": _LIFE_SECONDS, "path": _FILE}
    return [{"name": VOLUME, "projected": {"sources": [{"serviceAccountToken": token}]}}]


def mounts(cache: Cache) -> list[dict[str, Any]]:
    """Return the mounts of the cache registry for it."""
    return [{"name": VOLUME, "mountPath": FOLDER, "readOnly": True}] if has_identity(cache) else []


def marks(cache: Cache, containers: list[str]) -> dict[str, str]:
    """Return annotations that keep AWS' webhooks from giving an identity to containers."""
    return {SKIP_ANNOTATION: ",".join(containers)} if has_identity(cache) else {}


def _reference(name: str, secret: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": name}}}
