"""The API server, as its administrator: plain JSON over HTTPS, quick to start, enough for setting the bed up.

Each request enters the bed's network namespace by itself, so that any process may call it.
"""

from __future__ import annotations

import http.client
import json
import ssl
from typing import Any

from testbed import layout, pki
from testbed.errors import BedError
from testbed.network import inside

FIELD_MANAGER = "kaniko-bed"
# kind -> (API group path, plural)
KINDS = {
    "Event": ("/api/v1", "events"),
    "LimitRange": ("/api/v1", "limitranges"),
    "Namespace": ("/api/v1", "namespaces"),
    "NetworkPolicy": ("/apis/networking.k8s.io/v1", "networkpolicies"),
    "Node": ("/api/v1", "nodes"),
    "Pod": ("/api/v1", "pods"),
    "PriorityClass": ("/apis/scheduling.k8s.io/v1", "priorityclasses"),
    "ReplicaSet": ("/apis/apps/v1", "replicasets"),
    "ResourceQuota": ("/api/v1", "resourcequotas"),
    "Role": ("/apis/rbac.authorization.k8s.io/v1", "roles"),
    "RoleBinding": ("/apis/rbac.authorization.k8s.io/v1", "rolebindings"),
    "Secret": ("/api/v1", "secrets"),
    "ServiceAccount": ("/api/v1", "serviceaccounts"),
    "ValidatingAdmissionPolicy": ("/apis/admissionregistration.k8s.io/v1", "validatingadmissionpolicies"),
    "ValidatingAdmissionPolicyBinding": ("/apis/admissionregistration.k8s.io/v1", "validatingadmissionpolicybindings"),
}


class ApiError(BedError):
    """The API server said no."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"API server: {status} {text}")
        self.status = status


def path_of(kind: str, name: str = "", namespace: str = "") -> str:
    """Return the URL path of an object, or of all of a kind."""
    group, plural = KINDS[kind]
    scope = f"/namespaces/{namespace}" if namespace else ""
    return f"{group}{scope}/{plural}" + (f"/{name}" if name else "")


def request(method: str, path: str, body: Any = None, content_type: str = "application/json") -> Any:
    """Make one request and return the parsed answer (a string where it is no JSON).

    Raises:
        ApiError: the status is not 2xx.
        OSError: no connection, or none that answered within a minute.
    """
    context = ssl.create_default_context(cafile=layout.PKI / "ca.crt")
    certificate = layout.PKI / f"{pki.ADMIN}.crt"
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    with inside():
        connection = http.client.HTTPSConnection(layout.HOST_ADDRESS, layout.API_PORT, context=context, timeout=60)
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, {"Content-Type": content_type, "Accept": "application/json"})
            answer = connection.getresponse()
            data = answer.read().decode()
        finally:
            connection.close()
    if not 200 <= answer.status < 300:  # noqa: PLR2004 - HTTP's success range
        raise ApiError(answer.status, data.strip())
    return json.loads(data) if answer.getheader("Content-Type", "").startswith("application/json") else data


def ready() -> bool:
    """Whether the API server takes requests; OSError while it does not listen yet."""
    try:
        return bool(request("GET", "/readyz") == "ok")
    except ApiError:
        return False


def apply(manifest: dict[str, Any]) -> Any:
    """Create the object or bring it to this content (server-side apply)."""
    meta = manifest["metadata"]
    path = path_of(manifest["kind"], meta["name"], meta.get("namespace", ""))
    return request("PATCH", f"{path}?fieldManager={FIELD_MANAGER}&force=true", manifest, "application/apply-patch+yaml")


def get(kind: str, name: str, namespace: str = "") -> dict[str, Any] | None:
    """Return one object, or None when there is none of that name."""
    try:
        found: dict[str, Any] = request("GET", path_of(kind, name, namespace))
    except ApiError as error:
        if error.status == http.client.NOT_FOUND:
            return None
        raise
    return found


def items(kind: str, namespace: str = "") -> list[dict[str, Any]]:
    """Return all objects of a kind, in one namespace or in all."""
    found: list[dict[str, Any]] = request("GET", path_of(kind, namespace=namespace))["items"]
    return found


def account_token(account: str, namespace: str, seconds: int) -> str:
    """Return a new token of a service account, valid for so many seconds."""
    path = f"{path_of('ServiceAccount', account, namespace)}/token"
    body = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": seconds},
    }
    token: str = request("POST", path, body)["status"]["token"]
    return token
