"""The tenant's runner as objects of the cluster: a Deployment in a namespace of its own, beside the tenant's. Pure.

The runner speaks to the API server as its own service account, which has the driver's Role in the tenant's namespace
and no rights anywhere else. Its token for GitLab is in a Secret that is named here and never rendered.

Decided: no PodDisruptionBudget. With one replica it would block every drain of a node for good; asked to go, the
runner takes no more jobs and finishes those it has. Decided: one replica, and the old one ends before the new one
starts, because two would take twice the jobs that the tenant's quota has room for.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from os.path import dirname
from typing import TYPE_CHECKING, Any

from executor.errors import SettingsInvalid
from executor.pod import names
from executor.settings.placemodel import RUNNER_LOGINS_FILE
from executor.settings.writer import write
from executor.tenancy import network
from executor.tenancy.objects import Maker
from executor.tenancy.sample import usual
from executor.tenancy.section import SETTINGS, section

if TYPE_CHECKING:
    from executor.settings.model import Tenant

_CONFIGURATION = "/etc/kaniko-runner"
_SECRET = "/run/secrets/kaniko-runner"  # noqa: S105 - a path
_PRIVATE = dirname(RUNNER_LOGINS_FILE)
_TOKEN = "@TOKEN@"  # noqa: S105 - stands where the token will
_AUTHORITY = "@AUTHORITY@"
_RBAC = "rbac.authorization.k8s.io"

# The runner reads its token from config.toml only. It comes by a pipe, since arguments are seen by every process.
_START = f"""\
set -eu
umask 077
token=$(cat {_SECRET}/token)
case $token in
    "" | *[!A-Za-z0-9._-]*) echo "the Secret's token is empty or no token of GitLab" >&2; exit 1 ;;
esac
authority=
[ ! -f {_SECRET}/ca.crt ] || authority={_SECRET}/ca.crt
printf 's/{_TOKEN}/%s/\\ns|{_AUTHORITY}|%s|\\n' "$token" "$authority" |
    sed -f - {_CONFIGURATION}/config.toml >{_PRIVATE}/config.toml
[ ! -f {_SECRET}/logins.json ] || cp {_SECRET}/logins.json {RUNNER_LOGINS_FILE}
# The operator log is the container's standard output; the runner's own log is its standard error.
[ -z "$OPERATOR_LOG" ] || ln -sf /proc/1/fd/1 "$OPERATOR_LOG"
exec gitlab-runner run --config {_PRIVATE}/config.toml --working-directory "$HOME"
"""


@dataclass(frozen=True, kw_only=True)
class Files:
    """The operator's own files, word for word, and where the driver's one says that the operator log goes."""

    driver: str
    tenant: str
    log: str


def render(tenant: Tenant, files: Files) -> list[dict[str, Any]]:
    """Return the objects, in the order of making.

    Raises:
        SettingsInvalid: a runner in the cluster cannot work with these settings; every reason is listed.
    """
    _check(tenant)
    namespace = names.runner_namespace(tenant.name)
    everywhere, here = Maker(tenant, ""), Maker(tenant, namespace)
    in_tenant = Maker(tenant, tenant.cluster.namespace)
    account = {"kind": "ServiceAccount", "name": names.DRIVER_ACCOUNT, "namespace": namespace}
    role = {"apiGroup": _RBAC, "kind": "Role", "name": names.DRIVER_ACCOUNT}
    data = {
        "config.toml": write(_configuration(tenant)),
        "driver.toml": files.driver,
        "tenant.toml": files.tenant,
        "start": _START,
    }
    return [
        everywhere.make("v1", "Namespace", namespace, labels=_pod_security()),
        here.make("v1", "ServiceAccount", names.DRIVER_ACCOUNT, automountServiceAccountToken=False),
        in_tenant.make(f"{_RBAC}/v1", "RoleBinding", names.RUNNER, roleRef=role, subjects=[account]),
        here.make("v1", "ConfigMap", names.RUNNER, data=data),
        here.make("networking.k8s.io/v1", "NetworkPolicy", names.DENY, spec=network.deny()),
        here.make("networking.k8s.io/v1", "NetworkPolicy", names.ALLOW, spec=network.allow_runner(tenant)),
        here.make("apps/v1", "Deployment", names.RUNNER, spec=_deployment(tenant, data, files.log)),
    ]


def _check(tenant: Tenant) -> None:
    wrong = {
        "runner.pod.image is not set: the image that `scripts/runner-image` is for": not tenant.runner.pod.image,
        "gitlab.url is not set: the runner asks it for jobs": not tenant.gitlab.url,
        "cluster.kubeconfig is set, and no such file is in the runner's pod: leave it out, so that the pod's own "
        "service account is used": bool(tenant.cluster.kubeconfig),
        f"registry.logins_file must be {RUNNER_LOGINS_FILE}, where the pod puts logins.json of the runner's Secret": (
            tenant.registry.logins_file not in {"", RUNNER_LOGINS_FILE}
        ),
        "network.api_server is empty: the runner's network policy would keep it from the API server": (
            not tenant.network.api_server
        ),
        "network.gitlab is empty: the runner's network policy would keep it from GitLab": not tenant.network.gitlab,
    }
    found = [text for text, is_wrong in wrong.items() if is_wrong]
    if found:
        raise SettingsInvalid(
            f"A runner inside the cluster cannot work with the settings of tenant {tenant.name!r}.",
            why="\n".join(found),
            remedy="The operator must correct the tenant's file; the page «run the runner in the cluster» shows one.",
        )


def _configuration(tenant: Tenant) -> dict[str, Any]:
    return {
        "concurrent": tenant.capacity.jobs,
        "check_interval": 3,
        # After SIGTERM, which only an operator by hand sends: the kubelet sends what the image names, SIGQUIT.
        "shutdown_timeout": 60,
        # The job's git and helper get it from the runner.
        "runners": [{"tls-ca-file": _AUTHORITY, **section(tenant, token=_TOKEN)}],
    }


def _pod_security() -> dict[str, str]:
    return {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")}


def _deployment(tenant: Tenant, data: dict[str, str], log: str) -> dict[str, Any]:
    labels = {"app.kubernetes.io/name": names.RUNNER, names.TENANT_LABEL: tenant.name}
    annotations = {
        # A change of the ConfigMap alone would restart nothing.
        "kaniko-driver/configuration": sha256(repr(sorted(data.items())).encode()).hexdigest()[:16],
        # Autoscalers give a pod ten minutes at most, whatever it asks for.
        "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
        "karpenter.sh/do-not-disrupt": "true",
    }
    return {
        "replicas": 1,
        "revisionHistoryLimit": 3,
        "strategy": {"type": "Recreate"},
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels, "annotations": annotations}, "spec": _pod(tenant, log)},
    }


def _pod(tenant: Tenant, log: str) -> dict[str, Any]:
    pod = tenant.runner.pod
    return {
        "serviceAccountName": names.DRIVER_ACCOUNT,
        "automountServiceAccountToken": True,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": pod.drain.seconds,
        "imagePullSecrets": [{"name": secret} for secret in pod.pull_secrets],
        # No user by number: the image names one, and OpenShift wants to choose.
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        **(_place(tenant) if pod.tenant_nodes else {}),
        "containers": [_container(tenant, log)],
        "volumes": _volumes(tenant, log),
    }


def _place(tenant: Tenant) -> dict[str, Any]:
    jobs = usual(tenant)["spec"]
    return {"affinity": {"nodeAffinity": jobs["affinity"]["nodeAffinity"]}, "tolerations": jobs["tolerations"]}


def _container(tenant: Tenant, log: str) -> dict[str, Any]:
    pod = tenant.runner.pod
    mounts = {
        "configuration": _CONFIGURATION,
        "settings": SETTINGS,
        "secret": _SECRET,
        "private": _PRIVATE,
        "home": "/home/gitlab-runner",
        "tmp": "/tmp",  # noqa: S108 - its own volume
    }
    return {
        "name": "runner",
        "image": pod.image,
        "command": ["/bin/sh", f"{_CONFIGURATION}/start"],
        "env": [
            {"name": "HOME", "value": mounts["home"]},
            {"name": "OPERATOR_LOG", "value": log},
            *(_optional(key, pod.secret) for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")),
        ],
        "resources": {
            "requests": {
                "cpu": pod.cpu_request.text,
                "memory": pod.memory_request.text,
                "ephemeral-storage": _DISK_REQUEST,
            },
            "limits": {"cpu": pod.cpu_limit.text, "memory": pod.memory_limit.text, "ephemeral-storage": _DISK_LIMIT},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            *({"name": name, "mountPath": path} for name, path in mounts.items()),
            *([{"name": "log", "mountPath": dirname(log)}] if log else []),
        ],
    }


# Scripts and answers of GitLab while a job runs, and logs until GitLab has them.
_DISK_REQUEST, _DISK_LIMIT = "256Mi", "4Gi"


def _optional(key: str, secret: str) -> dict[str, Any]:
    return {"name": key, "valueFrom": {"secretKeyRef": {"name": secret, "key": key, "optional": True}}}


def _volumes(tenant: Tenant, log: str) -> list[dict[str, Any]]:
    settings = [{"key": "driver.toml", "path": "driver.toml"}]
    settings += [{"key": "tenant.toml", "path": f"tenants/{tenant.name}.toml"}]
    configuration = [{"key": key, "path": key} for key in ("config.toml", "start")]
    return [
        {"name": "configuration", "configMap": {"name": names.RUNNER, "items": configuration}},
        {"name": "settings", "configMap": {"name": names.RUNNER, "items": settings}},
        {"name": "secret", "secret": {"secretName": tenant.runner.pod.secret}},
        # In memory: the token is in it.
        {"name": "private", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
        {"name": "home", "emptyDir": {"sizeLimit": "64Mi"}},
        {"name": "tmp", "emptyDir": {"sizeLimit": "3Gi"}},
        *([{"name": "log", "emptyDir": {"sizeLimit": "1Mi"}}] if log else []),
    ]
