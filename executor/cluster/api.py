"""The few calls of a job's path.

The full client costs 0.4 s and 45 MB a process, and a job starts seven processes or more. Every call has connect and
read time-outs. What may be tried again is tried again, by `Patience` alone; a create looks for its pod before that.
"""

from __future__ import annotations

import json
from contextlib import contextmanager

from executor.cluster import address, credentials, refusals
from executor.cluster.patience import TRIES, Patience
from executor.cluster.refusals import Busy
from executor.cluster.watch import PodWatch
from executor.cluster.wire import Wire
from executor.errors import ClusterRefused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from typing import Any, Self

    from executor.cluster.wire import Answer
    from executor.job import Connection

_CONNECT_SECONDS = 10
_READ_SECONDS = 30
_WATCH_SLACK_SECONDS = 5
_LONGEST_WISH_SECONDS = 30.0
_LONGEST_REFUSAL = 1_000_000
_NOT_FOUND = 404
_CONFLICT = 409
_BAD_REQUEST = 400
_UNAUTHORIZED = 401
_METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_METADATA_CHANGES = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"


class Api:
    """The API server, as the tenant's service account sees its namespace.

    `patience` bounds the seconds that one call may take, tries and pauses included; a minute at most. `tries` is how
    often it may be made.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        on_retry: Callable[[BaseException], None] = lambda _: None,
        patience: float,
        tries: int = TRIES,
    ) -> None:
        self.connection = connection
        self.namespace = connection.namespace
        self._context = credentials.tls_context(connection)
        self._patience = Patience(patience, tries=tries, on_retry=on_retry)
        self._reused: Wire | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._forget()

    # ------------------------------------------------------------ the calls

    def create_pod(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """Create a pod, once: after an unclear answer the name is looked for before anything is sent again.

        Raises:
            ClusterRefused: quota, policy, a missing right; 409 when the name is taken.
            ClusterUnreachable: it is not known whether the pod exists now.
        """
        path = self._pods(manifest["metadata"]["name"])
        sent = False

        def create() -> dict[str, Any]:
            nonlocal sent
            again, sent = sent, True
            found = self._unless_absent("GET", path) if again else None
            if found is not None:
                return found
            try:
                return self._json("POST", self._pods(), body=manifest)
            except ClusterRefused as refused:
                if not again or refused.reason != "AlreadyExists":
                    raise
            # The first request landed after the look: the name is random, so the pod is ours.
            return self._json("GET", path)

        return self._patience.tried(create)

    def create_secret(self, secret: dict[str, Any]) -> None:
        """Create a Secret; one of this name that is there already is ours from an earlier try, for names are random."""
        self._patience.tried(lambda: self._unless({_CONFLICT}, "POST", self._path("secrets"), body=secret))

    def delete_secret(self, name: str) -> bool:
        """Delete a Secret; false when there was none."""
        return self._patience.tried(lambda: self._unless_absent("DELETE", self._path("secrets", name))) is not None

    def patch_pod(self, name: str, changes: dict[str, Any]) -> dict[str, Any]:
        """Change some fields of a pod by a JSON merge patch (RFC 7386: null removes one), and return the pod."""
        return self._patience.tried(lambda: self._json("PATCH", self._pods(name), body=changes))

    def claim_pod(self, pod: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any] | None:
        """Change a pod as it was when it was read; None when somebody has changed or deleted it since.

        Sent once: when it is not known what became of it, the pod counts as somebody else's.
        """
        seen = pod["metadata"]
        changes = changes | {"metadata": {**changes["metadata"], "resourceVersion": seen["resourceVersion"]}}
        self._patience.begin()
        try:
            return self._json("PATCH", self._pods(seen["name"]), body=changes)
        except ClusterRefused as refused:
            if refused.status not in {_CONFLICT, _NOT_FOUND}:
                raise
            return None

    def resize_pod(self, name: str, containers: list[dict[str, Any]]) -> dict[str, Any]:
        """Give a running pod other resources; `containers` are its own, whole, but for these. Returns the pod.

        Raises:
            ClusterRefused: 404 where the cluster knows no resizing (before Kubernetes 1.33); quota, policy, a right.
        """
        path = f"{self._pods(name)}/resize"
        return self._patience.tried(lambda: self._json("PATCH", path, body={"spec": {"containers": containers}}))

    def get_pod(self, name: str) -> dict[str, Any] | None:
        """Return the pod, or None when there is none."""
        return self._patience.tried(lambda: self._unless_absent("GET", self._pods(name)))

    def delete_pod(self, name: str, *, grace_seconds: int | None = None) -> bool:
        """Delete a pod; false when there was none. Does not wait for the kubelet."""
        options = {} if grace_seconds is None else {"gracePeriodSeconds": grace_seconds}
        return self._patience.tried(lambda: self._unless_absent("DELETE", self._pods(name), body=options)) is not None

    def delete_pod_as_seen(self, metadata: dict[str, Any], *, grace_seconds: int | None = None) -> bool:
        """Delete a pod if it is still what `metadata` says; false when it is gone or was changed."""
        seen = {name: metadata[name] for name in ("uid", "resourceVersion") if metadata.get(name)}
        options: dict[str, Any] = {"preconditions": seen}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        path = self._pods(metadata["name"])
        answer = self._patience.tried(lambda: self._unless({_NOT_FOUND, _CONFLICT}, "DELETE", path, options))
        return answer is not None

    def list_pod_metadata(self, label_selector: str, *, limit: int) -> list[dict[str, Any]]:
        """Return `metadata` of the first `limit` pods with these labels."""
        return self.list_pods(label_selector, limit=limit)[0]

    def list_pods(self, label_selector: str, *, limit: int) -> tuple[list[dict[str, Any]], str]:
        """Return the same, and the version of the namespace's pods from which a watch can go on."""
        pods, about = self._page({"labelSelector": label_selector, "limit": limit})
        return pods, str(about.get("resourceVersion") or "")

    def page_of_pods(self, label_selector: str, *, limit: int, after: str = "") -> tuple[list[dict[str, Any]], str]:
        """Return `metadata` of some pods with these labels, and what to give as `after` for more; empty at the end.

        Raises:
            ClusterRefused: 410 when `after` is too old.
        """
        query = {"labelSelector": label_selector, "limit": limit, **({"continue": after} if after else {})}
        pods, about = self._page(query)
        return pods, str(about.get("continue") or "")

    def _page(self, query: dict[str, Any]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        path = self._pods(query=query)
        listed = self._patience.tried(lambda: self._json("GET", path, accept=_METADATA_ONLY))
        return [item["metadata"] for item in listed.get("items") or ()], listed.get("metadata") or {}

    def list_whole_pods(self, label_selector: str, *, limit: int) -> list[dict[str, Any]]:
        """Return the first `limit` pods with these labels, whole."""
        path = self._pods(query={"labelSelector": label_selector, "limit": limit})
        listed = self._patience.tried(lambda: self._json("GET", path))
        pods: list[dict[str, Any]] = listed.get("items") or []
        return pods

    def events_of(self, pod: str) -> list[dict[str, Any]]:
        """Return the newest events of a pod."""
        query = {"fieldSelector": f"involvedObject.name={pod},involvedObject.kind=Pod", "limit": 100}
        listed = self._patience.tried(lambda: self._json("GET", self._path("events", query=query)))
        events: list[dict[str, Any]] = listed.get("items") or []
        return events

    def watch_pod(self, name: str, *, resource_version: str, seconds: float) -> AbstractContextManager[PodWatch]:
        """Watch one pod for at most `seconds`; the watch ends early when the server ends the stream.

        A deleted pod comes once more, as it last was, with `metadata.deletionTimestamp`.

        Raises:
            ClusterRefused: 410 when `resource_version` is too old: read the pod again.
        """
        query = {"fieldSelector": f"metadata.name={name}", "resourceVersion": resource_version}
        return self._watch(query, seconds)

    def watch_pods(self, *, resource_version: str, seconds: float) -> AbstractContextManager[PodWatch]:
        """Watch all pods of the namespace for at most `seconds`: their metadata only.

        Raises:
            ClusterRefused: 410 when `resource_version` is too old.
        """
        query = {"resourceVersion": resource_version} if resource_version else {}
        return self._watch(query, seconds, accept=_METADATA_CHANGES)

    @contextmanager
    def _watch(self, query: dict[str, Any], seconds: float, accept: str = "") -> Iterator[PodWatch]:
        self._patience.begin()
        path = self._pods(query={"watch": "true", **query, "timeoutSeconds": max(1, int(seconds))})
        response = self._send("GET", path, accept=accept, read_seconds=seconds + _WATCH_SLACK_SECONDS)
        # Its own from now on: other calls while it lasts make another one.
        wire, self._reused = self._connected(), None
        try:
            yield PodWatch(response, wire, self.connection.server)
        finally:
            wire.close()

    # ------------------------------------------------------------ one request

    def _path(self, kind: str, name: str = "", query: dict[str, Any] | None = None) -> str:
        path = f"{address.path(self.connection.server)}/api/v1/namespaces/{address.quoted(self.namespace)}/{kind}"
        behind = f"?{address.query(query.items())}" if query else ""
        return path + (f"/{address.quoted(name)}" if name else "") + behind

    def _pods(self, name: str = "", query: dict[str, Any] | None = None) -> str:
        return self._path("pods", name, query)

    def _unless_absent(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any] | None:
        return self._unless({_NOT_FOUND}, method, path, body)

    def _unless(
        self, statuses: set[int], method: str, path: str, body: dict[str, Any] | None = None
    ) -> dict[str, Any] | None:
        """Return the answer, or None for a refusal with one of these statuses."""
        try:
            return self._json(method, path, body=body)
        except ClusterRefused as refused:
            if refused.status in statuses:
                return None
            raise

    def _json(self, method: str, path: str, *, body: dict[str, Any] | None = None, accept: str = "") -> dict[str, Any]:
        response = self._send(method, path, body=body, accept=accept)
        try:
            answer = json.loads(response.read())
            if not isinstance(answer, dict):
                # `null` in the place of a pod must not pass for a pod that is gone.
                raise ValueError("the answer is no object")
        except (OSError, ValueError, RecursionError) as error:
            self._forget()
            raise refusals.unreachable(self.connection.server, error) from error
        if response.is_last:
            self._forget()
        return answer

    def _send(
        self,
        method: str,
        path: str,
        *,
        body: dict[str, Any] | None = None,
        accept: str = "",
        read_seconds: float = 0.0,
    ) -> Answer:
        response = self._send_once(method, path, body, accept, read_seconds, renew=False)
        if response.status == _UNAUTHORIZED and self.connection.exec_plugin:
            self._forget()
            response = self._send_once(method, path, body, accept, read_seconds, renew=True)
        if response.status >= _BAD_REQUEST:
            raise self._refusal(response, f"{method} {address.path(path)}")
        return response

    def _send_once(
        self, method: str, path: str, body: dict[str, Any] | None, accept: str, read_seconds: float, *, renew: bool
    ) -> Answer:
        headers = {
            "Accept": accept or "application/json",
            "User-Agent": "kaniko-driver",
            **credentials.authorization(self.connection, renew=renew),
        }
        data = b""
        if body is not None:
            headers["Content-Type"] = "application/merge-patch+json" if method == "PATCH" else "application/json"
            data = json.dumps(body).encode()
        try:
            wire = self._connected()
            wire.wait_at_most(read_seconds or min(_READ_SECONDS, self._patience.left()))
            return wire.request(method, path, headers.items(), data)
        except OSError as error:
            self._forget()
            raise refusals.unreachable(self.connection.server, error) from error

    def _connected(self) -> Wire:
        if self._reused is None:
            self._reused = Wire(self.connection, self._context, seconds=min(_CONNECT_SECONDS, self._patience.left()))
        return self._reused

    def _forget(self) -> None:
        if self._reused is not None:
            self._reused.close()
            self._reused = None

    def _refusal(self, response: Answer, what: str) -> ClusterRefused:
        retry_after = response.headers.get("retry-after", "")
        try:
            status = json.loads(response.read(_LONGEST_REFUSAL))
        except (OSError, ValueError, RecursionError):
            status = {}
        self._forget()
        error = refusals.refused(response.status, status if isinstance(status, dict) else {}, what)
        if isinstance(error, Busy) and retry_after.isdecimal():
            error.retry_after = min(float(retry_after), _LONGEST_WISH_SECONDS)
        return error
