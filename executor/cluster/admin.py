"""The cluster as an operator sees it: whole objects applied, compared and deleted, with the operator's own rights.

For operator commands alone. The only module that imports the Kubernetes client, and only when a command needs it: it
reads every kind of kubeconfig that kubectl does. Objects stay plain dictionaries, as they are rendered.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from executor.errors import ClusterRefused, ClusterUnreachable, CredentialsInvalid

if TYPE_CHECKING:
    from collections.abc import Mapping

FIELD_MANAGER = "kaniko-driver"
_TIMEOUTS = (10.0, 60.0)
"""Seconds to connect, and to wait for an answer."""
_FORBIDDEN = 403
_NOT_FOUND = 404
_CONFLICT = 409
_UNPROCESSABLE = 422
_PLURALS = {
    "DaemonSet": "daemonsets",
    "EndpointSlice": "endpointslices",
    "LimitRange": "limitranges",
    "Namespace": "namespaces",
    "NetworkPolicy": "networkpolicies",
    "Node": "nodes",
    "Pod": "pods",
    "PriorityClass": "priorityclasses",
    "ReplicaSet": "replicasets",
    "ResourceQuota": "resourcequotas",
    "Role": "roles",
    "RoleBinding": "rolebindings",
    "Secret": "secrets",
    "Service": "services",
    "ServiceAccount": "serviceaccounts",
    "Deployment": "deployments",
    "ConfigMap": "configmaps",
    "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": "validatingadmissionpolicybindings",
}


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Names one object, or with an empty `name` all of a kind in a namespace."""

    version: str
    kind: str
    name: str = ""
    namespace: str = ""

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> Reference:
        """Name the object of a manifest."""
        meta = manifest["metadata"]
        return cls(
            version=manifest["apiVersion"],
            kind=manifest["kind"],
            name=meta["name"],
            namespace=meta.get("namespace", ""),
        )

    def __str__(self) -> str:
        place = f" in namespace {self.namespace}" if self.namespace else ""
        return f"{self.kind} {self.name}{place}" if self.name else f"{_PLURALS[self.kind]}{place}"

    @property
    def group(self) -> str:
        """Path below which the API server has all kinds of this version."""
        return f"/apis/{self.version}" if "/" in self.version else f"/api/{self.version}"

    @property
    def path(self) -> str:
        """Path of the object on the API server."""
        scope = f"/namespaces/{self.namespace}" if self.namespace else ""
        return f"{self.group}{scope}/{_PLURALS[self.kind]}" + (f"/{self.name}" if self.name else "")


@dataclass(frozen=True, kw_only=True)
class Server:
    """How somebody else could reach the same API server; the fields of a kubeconfig's cluster."""

    url: str
    authority: bytes
    """PEM; empty where the system's own authorities vouch for it."""
    tls_server_name: str
    insecure: bool
    proxy: str


class Admin:
    """The cluster, with the rights of a kubeconfig, of KUBECONFIG, or of the pod that this runs in."""

    def __init__(self, *, kubeconfig: str = "", context: str = "") -> None:
        """Read the credentials; nothing is sent yet.

        Raises:
            CredentialsInvalid: there are none, or they cannot be used.
        """
        self._client = _client(kubeconfig, context)

    @property
    def server(self) -> Server:
        """The server that this talks to."""
        configuration = self._client.configuration
        authority = b""
        if configuration.ssl_ca_cert:
            with open(configuration.ssl_ca_cert, "rb") as file:
                authority = file.read()
        return Server(
            url=configuration.host,
            authority=authority,
            tls_server_name=configuration.tls_server_name or "",
            insecure=not configuration.verify_ssl,
            proxy=configuration.proxy or "",
        )

    def serves(self, reference: Reference) -> bool:
        """Tell whether the cluster knows such objects at all."""
        try:
            known = self._ask("GET", reference.group, "look for", reference)
        except ClusterRefused as refused:
            if refused.status == _NOT_FOUND:
                return False
            raise
        return any(one["name"] == _PLURALS[reference.kind] for one in known["resources"])

    def resizes_pods(self) -> bool:
        """Tell whether pods can be resized in place (Kubernetes 1.33 and later, unless it is switched off)."""
        known = self._ask("GET", "/api/v1", "look for the kinds of", None)
        return any(one["name"] == "pods/resize" for one in known["resources"])

    def get(self, reference: Reference) -> dict[str, Any] | None:
        """Return the object as it is, or None when there is none."""
        try:
            found: dict[str, Any] = self._ask("GET", reference.path, "get", reference)
        except ClusterRefused as refused:
            if refused.status == _NOT_FOUND:
                return None
            raise
        return found

    def list(self, reference: Reference, *, labels: str = "") -> list[dict[str, Any]]:
        """Return all objects of a kind; `labels` is a selector such as `a=b,c`."""
        query = f"?{urlencode({'labelSelector': labels})}" if labels else ""
        found: list[dict[str, Any]] = self._ask("GET", reference.path + query, "list", reference)["items"]
        return found

    def apply(self, manifest: Mapping[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
        """Create the object or bring it to this content by server-side apply; returns what came of it.

        Fields that somebody else has set by hand are taken over: what is rendered from the settings is how it shall be.
        """
        reference = Reference.of(manifest)
        query = {"fieldManager": FIELD_MANAGER, "force": "true"} | ({"dryRun": "All"} if dry_run else {})
        path = f"{reference.path}?{urlencode(query)}"
        made: dict[str, Any] = self._ask("PATCH", path, "apply", reference, dict(manifest))
        return made

    def delete(self, reference: Reference) -> bool:
        """Begin to delete the object; false when there was none."""
        try:
            self._ask("DELETE", reference.path, "delete", reference, {"propagationPolicy": "Background"})
        except ClusterRefused as refused:
            if refused.status == _NOT_FOUND:
                return False
            raise
        return True

    def token(self, account: Reference, *, seconds: int, bound_to: Mapping[str, Any]) -> dict[str, Any]:
        """Request a token of a service account; valid until its time is over or the Secret `bound_to` is deleted.

        Returns:
            `token`, and `expirationTimestamp`, which may come sooner than asked for.
        """
        bound = {"apiVersion": "v1", "kind": "Secret"} | {key: bound_to["metadata"][key] for key in ("name", "uid")}
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": seconds, "boundObjectRef": bound},
        }
        made = self._ask("POST", f"{account.path}/token", "create a token for", account, body)
        status: dict[str, Any] = made["status"]
        return status

    def _ask(
        self, method: str, path: str, verb: str, reference: Reference | None, body: dict[str, Any] | None = None
    ) -> Any:
        # Imported here: they come with the client.
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        kind = "application/apply-patch+yaml" if method == "PATCH" else "application/json"
        what = f"{verb} {reference or 'the cluster'}"
        try:
            answer = self._client.call_api(
                path,
                method,
                header_params={"Accept": "application/json", "Content-Type": kind},
                body=body,
                auth_settings=["BearerToken"],
                _preload_content=False,
                _return_http_data_only=True,
                _request_timeout=_TIMEOUTS,
            )
            return json.loads(answer.data)
        except ApiException as error:
            raise _refused(error, what) from error
        except (HTTPError, OSError, ValueError) as error:
            raise ClusterUnreachable(
                f"The API server gave no usable answer ({self._client.configuration.host}).",
                # urllib3 wraps what happened into how often it was tried.
                why=f"could not {what}: {getattr(error, 'reason', None) or error}",
                remedy="Check that this machine reaches it: kubectl get --raw /version",
            ) from error


def _client(kubeconfig: str, context: str) -> Any:
    # Imported here: it costs half a second and 45 MB, and `--help` needs none of it.
    import yaml

    try:
        from kubernetes import client, config
    except ModuleNotFoundError as error:
        raise CredentialsInvalid(
            "This installation of kaniko-driver has no Kubernetes client.",
            why=str(error),
            remedy="Run the command from a complete one: the runner's image has the client only when it was gathered "
            "with `scripts/runner-image --complete`.",
        ) from error

    try:
        in_pod = os.environ.get("KUBERNETES_SERVICE_HOST") and not os.environ.get("KUBECONFIG")
        if kubeconfig or context or not in_pod:
            return config.new_client_from_config(
                config_file=kubeconfig or None, context=context or None, persist_config=False
            )
        configuration = client.Configuration()
        config.load_incluster_config(client_configuration=configuration)
        return client.ApiClient(configuration)
    except (
        config.ConfigException,
        yaml.YAMLError,
        OSError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
    ) as error:
        raise CredentialsInvalid(
            "There are no credentials for the cluster that could be used.",
            why=_unusable(kubeconfig, error, own_words=isinstance(error, config.ConfigException | OSError)),
            remedy="Name a kubeconfig with the rights of a cluster administrator by --kubeconfig or KUBECONFIG, and "
            "one of its contexts by --context.",
        ) from error


def _unusable(kubeconfig: str, error: Exception, *, own_words: bool) -> str:
    """Say why a kubeconfig cannot be used; of what read it only words that do not quote it, and with it a token.

    Args:
        kubeconfig: as it was named; empty where none was.
        error: what reading it ended with.
        own_words: the client, or the system, itself says what is wrong.
    """
    # The client says of a file that is not there that it holds no configuration.
    if kubeconfig and not os.path.exists(kubeconfig):
        return f"{kubeconfig}: No such file or directory"
    if own_words:
        return str(error)
    return f"{kubeconfig or 'The file that KUBECONFIG or ~/.kube/config names'} is no kubeconfig."


def _refused(error: Any, what: str) -> ClusterRefused:
    try:
        status = json.loads(error.body)
    except (ValueError, TypeError):
        status = {}
    message = str(status.get("message") or error.reason or f"HTTP {error.status}")
    return ClusterRefused(
        f"The API server refused to {what}.",
        status=error.status,
        reason=str(status.get("reason") or ""),
        why=f"{error.status} {message}",
        remedy=_REMEDIES.get(error.status, ""),
    )


_REMEDIES = {
    401: "The credentials are expired or wrong: renew them, or name others by --kubeconfig and --context.",
    _FORBIDDEN: "Whoever sets up tenants needs the right that the message names; usually that is a cluster "
    "administrator. Hand them the output of `kaniko-driver tenant render`, or have the right given to you.",
    _CONFLICT: "Somebody changed it at the same moment: try again.",
    _UNPROCESSABLE: "The cluster cannot take this content; the message names the field. The setting behind it must "
    "be changed, or the cluster is too old for it (Kubernetes 1.29 is the least).",
}


def host_of(server: Server) -> tuple[str, int]:
    """Return host and port of a server's address."""
    parts = urlsplit(server.url)
    return parts.hostname or "", parts.port or 443
