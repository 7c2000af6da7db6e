"""The Secrets of one job: logins for pulling its own images, and the variables of its services.

Made only for jobs that need one. They belong to the pod, so that the cluster deletes them with it; since the owner must
exist first, the pod is created with a scheduling gate, which `prepare` takes away once the Secrets are there.
"""

from __future__ import annotations

import json
from base64 import b64encode
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from executor.pod import names
from executor.pod.image import registry_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from executor.pod.services import Services

GATE = "kaniko-driver/secrets"
# Under which keys `docker login` keeps the one registry whose address is not written in the names of its images.
_DOCKER_HUB = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})


def pull_logins(images: Iterable[str], *configs: str) -> dict[str, Any]:
    """Return the logins, as in `auths` of a docker config.json, for the registries of these images; later texts win."""
    registries = [registry_of(image) for image in images]
    return {
        address: login
        for text in configs
        for address, login in _auths(text).items()
        if isinstance(login, dict) and any(_serves(address, registry) for registry in registries)
    }


def _auths(text: str) -> dict[str, Any]:
    try:
        auths = json.loads(text)["auths"] if text else {}
    except (ValueError, TypeError, KeyError, RecursionError):
        # A variable of the job; Kaniko's wrapper says what is wrong with it when it is used for a build.
        return {}
    return auths if isinstance(auths, dict) else {}


def _serves(address: str, registry: str) -> bool:
    host = address.partition("://")[2] or address
    host = host.partition("/")[0]
    return fnmatchcase(registry, host) or (registry in _DOCKER_HUB and host in _DOCKER_HUB)


def pull_secret(pod: str, logins: Mapping[str, Any]) -> dict[str, Any]:
    """Make the Secret with which the kubelet pulls the job's images."""
    return _secret(
        names.pull_secret(pod), "kubernetes.io/dockerconfigjson", {".dockerconfigjson": json.dumps({"auths": logins})}
    )


def variable_secrets(pod: str, services: Services) -> list[dict[str, Any]]:
    """Make the Secret of each service's variables."""
    return [
        _secret(names.service_secret(pod, sidecar.container), "Opaque", sidecar.variables)
        for sidecar in services.sidecars
    ]


def cache_secret(pod: str, keys: Mapping[str, str]) -> dict[str, Any]:
    """Make the Secret with the S3 keys of one job, for its cache registry."""
    return _secret(names.cache_secret(pod), "Opaque", keys)


def _secret(name: str, kind: str, values: Mapping[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": kind,
        "metadata": {"name": name},
        "data": {key: b64encode(value.encode()).decode() for key, value in values.items()},
    }


def gate(manifest: dict[str, Any], secrets: Sequence[dict[str, Any]]) -> None:
    """Hold a pod back until its Secrets are there, and label them as it is."""
    for secret in secrets:
        secret["metadata"] |= {key: manifest["metadata"][key] for key in ("namespace", "labels")}
    if secrets:
        manifest["spec"]["schedulingGates"] = [{"name": GATE}]


def owned(secret: dict[str, Any], pod: dict[str, Any]) -> dict[str, Any]:
    """Return a Secret that goes when the pod goes."""
    metadata = pod["metadata"]
    owner = {"apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "uid": metadata["uid"]}
    return secret | {"metadata": secret["metadata"] | {"ownerReferences": [owner]}}
