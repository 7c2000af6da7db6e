"""The namespace, the nodes that nobody runs, and a client that keeps its connection."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Self

from executor.pod.names import DEADLINE_ANNOTATION, JOB_LABEL, TENANT_LABEL
from executor.settings.load import load
from executor.tenancy.sample import usual
from testbed import api, cluster, layout, pki

if TYPE_CHECKING:
    from collections.abc import Iterator

    Json = dict[str, Any]

NAMESPACE = "sim"
TENANT = layout.TENANTS[0]
NODES = 10
READY = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
DONE = {"terminated": {"exitCode": 0, "reason": "Completed"}}
WORKERS = 8
WATCH_SECONDS = 20
_LOCAL = threading.local()


def request(method: str, path: str, body: Json | None = None, kind: str = "application/json") -> Json:
    """Make one request on this thread's own connection, as the cluster's administrator."""
    connection: http.client.HTTPSConnection | None = getattr(_LOCAL, "connection", None)
    if connection is None:
        connection = _LOCAL.connection = _connection(seconds=60)
    words = (method, path, json.dumps(body) if body else None, {"Content-Type": kind})
    try:
        connection.request(*words)
        answer = connection.getresponse()
    except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
        connection.close()  # the server ends one that nobody has used for a while; a request makes another
        connection.request(*words)
        answer = connection.getresponse()
    found: Json = json.loads(answer.read())
    if answer.status >= http.client.BAD_REQUEST:
        raise api.ApiError(answer.status, str(found.get("message")))
    return found


def _connection(*, seconds: float) -> http.client.HTTPSConnection:
    context = ssl.create_default_context(cafile=layout.PKI / "ca.crt")
    certificate = layout.PKI / f"{pki.ADMIN}.crt"
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    return http.client.HTTPSConnection(layout.HOST_ADDRESS, layout.API_PORT, context=context, timeout=seconds)


def job_pod(ident: int, *, overdue: float, gated: bool) -> Json:
    """A job's pod as the driver makes it, but for the simulated nodes; `gated` ones are never scheduled."""
    text = json.dumps(usual(load(str(layout.DRIVER), TENANT.name).tenant))
    pod: Json = json.loads(text.replace(f'"{TENANT.node_label}"', f'"{NAMESPACE}"'))
    meta = pod["metadata"]
    meta |= {"name": f"kaniko-job-{ident}-sim", "namespace": NAMESPACE}
    meta["labels"] |= {TENANT_LABEL: NAMESPACE, JOB_LABEL: str(ident)}
    meta["annotations"][DEADLINE_ANNOTATION] = str(int(time.time() - overdue))
    pod["spec"]["serviceAccountName"] = "default"
    if gated:
        pod["spec"]["schedulingGates"] = [{"name": "sim/never"}]
    return pod


@contextmanager
def namespace() -> Iterator[None]:
    """Have the namespace for the block; the caller is in the bed's network namespace."""
    cluster.kubectl("wait", "--for=delete", f"namespace/{NAMESPACE}", "--timeout=300s")  # that of an earlier run
    api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    while api.get("ServiceAccount", "default", NAMESPACE) is None:
        time.sleep(0.1)
    try:
        yield
    finally:
        path = f"{api.path_of('Pod', namespace=NAMESPACE)}?gracePeriodSeconds=0"
        with suppress(api.ApiError, OSError):
            request("DELETE", path)
        cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def create(idents: range, *, overdue: float) -> None:
    """Make pods of jobs with these numbers, which no node will ever take."""
    path = api.path_of("Pod", namespace=NAMESPACE)
    text = json.dumps(job_pod(0, overdue=overdue, gated=True))

    def make(ident: int) -> None:
        pod = json.loads(text)
        pod["metadata"]["name"] = f"kaniko-job-{ident}-sim"
        pod["metadata"]["labels"][JOB_LABEL] = str(ident)
        request("POST", path, pod)

    with ThreadPoolExecutor(WORKERS) as pool:
        for _ in pool.map(make, idents):
            pass


def _changed_pods(over: threading.Event) -> Iterator[Json]:
    """Yield the namespace's pods, and then each that was made or changed, until the event or the server ends it."""
    path = api.path_of("Pod", namespace=NAMESPACE)
    listed = request("GET", path)
    yield from listed["items"]
    connection = _connection(seconds=WATCH_SECONDS + 5)
    try:
        version = listed["metadata"]["resourceVersion"]
        connection.request("GET", f"{path}?watch=true&resourceVersion={version}&timeoutSeconds={WATCH_SECONDS}")
        for line in connection.getresponse():
            if over.is_set():
                return
            change = json.loads(line)
            if change["type"] in {"ADDED", "MODIFIED"}:
                yield change["object"]
    finally:
        connection.close()


def count() -> int:
    """How many pods the namespace has."""
    listed = request("GET", f"{api.path_of('Pod', namespace=NAMESPACE)}?limit=1")
    more = int(listed["metadata"].get("remainingItemCount") or 0)
    return len(listed["items"]) + more


def requests_since(start: str) -> Counter[str]:
    """Count the driver's requests for the namespace in the audit log, by verb and resource."""
    seen: dict[str, str] = {}
    with layout.AUDIT_LOG.open() as log:
        for line in log:
            if '"namespace":"sim"' not in line or '"userAgent":"kaniko-driver"' not in line:
                continue
            event = json.loads(line)
            if event["requestReceivedTimestamp"] >= start:
                what = event["objectRef"]
                resource = "/".join(filter(None, (what["resource"], what.get("subresource"))))
                seen[event["auditID"]] = f"{event['verb']} {resource}"
    return Counter(seen.values())


class Nodes:
    """Nodes without machines, whose pods report themselves as started; use it as a context manager."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._beat, self._report)]

    def __enter__(self) -> Self:
        for number in range(NODES):
            node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": self._name(number)}}
            node["metadata"]["labels"] = {"tenant": NAMESPACE}  # type: ignore[index] # a table
            with suppress(api.ApiError):
                request("POST", api.path_of("Node"), node)
        self._say_ready()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(30)
        for number in range(NODES):
            with suppress(api.ApiError):
                request("DELETE", api.path_of("Node", self._name(number)))

    @staticmethod
    def _name(number: int) -> str:
        return f"sim{number}"

    def _say_ready(self) -> None:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        room = {"cpu": "1000", "memory": "4Ti", "ephemeral-storage": "100Ti", "pods": "500"}
        ready = {"type": "Ready", "status": "True", "reason": "Simulated", "lastHeartbeatTime": now}
        change = {"status": {"capacity": room, "allocatable": room, "conditions": [ready]}}
        for number in range(NODES):
            path = f"{api.path_of('Node', self._name(number))}/status"
            request("PATCH", path, change, "application/strategic-merge-patch+json")
            taints = {"spec": {"taints": None}}
            request("PATCH", api.path_of("Node", self._name(number)), taints, "application/merge-patch+json")

    def _beat(self) -> None:
        while not self._over.wait(5):
            with suppress(api.ApiError, OSError):
                self._say_ready()

    def _report(self) -> None:
        """Say of every pod that got a node that its containers run; end those that are deleted."""
        started: set[str] = set()
        with ThreadPoolExecutor(WORKERS) as pool:
            while not self._over.is_set():
                with suppress(api.ApiError, OSError, http.client.HTTPException):
                    for pod in _changed_pods(self._over):
                        name = pod["metadata"]["name"]
                        if pod["metadata"].get("deletionTimestamp"):
                            pool.submit(self._end, pod)
                        elif pod["spec"].get("nodeName") and name not in started:
                            started.add(name)
                            pool.submit(self._start, pod)

    @staticmethod
    def _start(pod: Json) -> None:
        states = {"tools": DONE, "build": READY, "helper": READY, "cache-registry": READY}
        statuses = [
            {"name": one["name"], "image": one["image"], "imageID": "", "ready": True, "restartCount": 0}
            | {"state": states[one["name"]]}
            for one in pod["spec"]["containers"]
        ]
        change = {"status": {"phase": "Running", "containerStatuses": statuses}}
        path = f"{api.path_of('Pod', pod['metadata']['name'], NAMESPACE)}/status"
        with suppress(api.ApiError):
            request("PATCH", path, change, "application/strategic-merge-patch+json")

    @staticmethod
    def _end(pod: Json) -> None:
        path = f"{api.path_of('Pod', pod['metadata']['name'], NAMESPACE)}?gracePeriodSeconds=0"
        with suppress(api.ApiError):
            request("DELETE", path)
