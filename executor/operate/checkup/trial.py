"""One short-lived job pod of the tenant, made by the driver's own rights, and what can be seen from inside of it.

It is the pod that a job would get, with the same image, node, policies and limits; only its job's number is 0. It is
deleted whatever happens; should even that fail, its deadline is short, and the tenant's next cleanup takes it.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

from executor.cache import use
from executor.cluster.api import Api
from executor.diagnosis import cause
from executor.errors import ClusterRefused, ClusterUnreachable
from executor.operate.checkup.findings import good, problem, skipped, warning
from executor.operate.checkup.inside import seen_inside
from executor.pod import names
from executor.pod.manifest import PodRequest, render
from executor.pod.readiness import takes_scripts
from executor.settings.files import authorities
from executor.values import replace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from executor.job import Connection
    from executor.operate.checkup.findings import Finding
    from executor.operate.checkup.inside import Plan
    from executor.settings.model import Tenant

_PATIENCE = 20.0
_LOOK_SECONDS = 5.0
_LIFE_SECONDS = 900
_FORBIDDEN = 403


def trial(tenant: Tenant, connection: Connection, plan: Plan) -> Iterator[Finding]:
    """Make the pod, look around in it, and delete it."""
    now = int(time.time())
    request = PodRequest(
        name=names.pod_name(0),
        attempt=names.attempt_id(),
        job_id=0,
        project_id=0,
        annotations={},
        build_image=tenant.images.kaniko,
        cache=_cache_use(tenant),
        authorities=authorities(tenant),
        deadline=_LIFE_SECONDS,
        delete_after=now + _LIFE_SECONDS,
    )
    with _pod(connection, render(tenant, request)) as made:
        if isinstance(made, ClusterRefused):
            yield _refused(tenant, made)
            return
        began = time.monotonic()
        failure = _await_ready(connection, made, plan)
        if failure:
            yield failure
            return
        yield good("trial-pod", f"started like a job's, ready after {time.monotonic() - began:.1f} s")
        yield from seen_inside(tenant, connection, request.name, plan)


def _cache_use(tenant: Tenant) -> use.Use:
    found = use.of_tenant(tenant.cache, tenant.name)
    # Its keys are made for each job: they are asked for from here, and the pod does without.
    return replace(found, mode="off") if tenant.cache.credentials == "sts" else found


@contextlib.contextmanager
def _pod(connection: Connection, manifest: dict[str, Any]) -> Iterator[dict[str, Any] | ClusterRefused]:
    """Give the pod, or why it was refused; it is deleted after the block, also when its making is in doubt."""
    name = manifest["metadata"]["name"]
    with Api(connection, patience=_PATIENCE) as api:
        try:
            try:
                made: dict[str, Any] | ClusterRefused = api.create_pod(manifest)
            except ClusterRefused as refused:
                made = refused
            yield made
        finally:
            with Api(connection, patience=_PATIENCE) as another:
                another.delete_pod(name, grace_seconds=0)


def _refused(tenant: Tenant, refused: ClusterRefused) -> Finding:
    if refused.status == _FORBIDDEN and "exceeded quota" in refused.why:
        return warning(
            "trial-pod",
            f"the quota is full now, so no trial pod could be made: {refused.why}",
            "Try again when fewer jobs run; with none running it is too small for the settings.",
            f"kaniko-driver tenant apply {tenant.name}",
        )
    return problem(
        "trial-pod",
        f"the cluster refuses the tenant's job pods: {refused.why}",
        "The message names what refused it: an admission policy, Pod Security, a limit, a missing account.",
        f"kaniko-driver tenant apply {tenant.name} --diff",
    )


def _await_ready(connection: Connection, pod: dict[str, Any], plan: Plan) -> Finding | None:
    """Wait for the pod; the finding says why it did not start."""
    name, end = pod["metadata"]["name"], time.monotonic() + plan.wait
    found: cause.Diagnosis | None = None
    with Api(connection, patience=_PATIENCE) as api:
        while (left := end - time.monotonic()) > 0 and not plan.stop.is_set():
            version = pod["metadata"]["resourceVersion"]
            for state in (pod, *_changes(api, name, version, min(left, _LOOK_SECONDS))):
                pod = state
                if takes_scripts(pod):
                    return None
                found = cause.of_waiting_pod(pod)
                if found is not None and found.final:
                    return _not_started(found)
            pod = api.get_pod(name) or pod
    if plan.stop.is_set():
        return skipped("trial-pod", "interrupted")
    if found is not None:
        return _not_started(found)
    return problem(
        "trial-pod",
        f"not ready within {plan.wait} s, and nothing says why",
        f"Look at its namespace: kubectl get events -n {connection.namespace}; or wait longer: --wait.",
    )


def _changes(api: Api, name: str, version: str, seconds: float) -> Iterator[dict[str, Any]]:
    with (
        contextlib.suppress(ClusterUnreachable, ClusterRefused),
        api.watch_pod(name, resource_version=version, seconds=seconds) as watch,
    ):
        for _, state in iter(watch.next, None):
            yield state
            if takes_scripts(state):
                return


def _not_started(found: cause.Diagnosis) -> Finding:
    return problem("trial-pod", f"{found.what} {found.why}".strip(), found.remedy)
