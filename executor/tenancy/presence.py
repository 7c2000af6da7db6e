"""A tenant's images kept on its nodes, so that no job waits for a pull: a DaemonSet in a namespace of its own. Pure.

Not among the job pods: their quota counts pods and knows no number of nodes, and their admission policy refuses what
the DaemonSet controller makes of affinity and tolerations. Here Pod Security is "restricted", nothing may be reached,
and no account has a right. Each image is run once by the busybox of the tools image, since an image need not have any
program of its own that would end; what then stays is one process that sleeps. The kubelet's clean-up of images leaves
those alone that a pod of the node has used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from executor.pod import names
from executor.tenancy import network
from executor.tenancy.objects import Maker
from executor.tenancy.sample import usual

if TYPE_CHECKING:
    from executor.settings.model import Tenant

_FOLDER = "/tools"
_BUSYBOX = f"{_FOLDER}/busybox"
_TAKES = {"cpu": "5m", "memory": "16Mi", "ephemeral-storage": "32Mi"}
_MAY_TAKE = {"cpu": "200m", "memory": "64Mi", "ephemeral-storage": "64Mi"}
_NOBODY = 65534
_LONG = str(2**31 - 1)
"""Seconds: 68 years."""


def render(tenant: Tenant) -> list[dict[str, Any]]:
    """Return the objects, in the order of making; none where the tenant does not want them."""
    if not tenant.images.on_nodes:
        return []
    namespace = names.images_namespace(tenant.name)
    everywhere, here = Maker(tenant, ""), Maker(tenant, namespace)
    security = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")}
    return [
        everywhere.make("v1", "Namespace", namespace, labels=security),
        here.make("networking.k8s.io/v1", "NetworkPolicy", names.DENY, spec=network.deny()),
        here.make("apps/v1", "DaemonSet", names.IMAGES, spec=_daemon_set(tenant)),
    ]


def _daemon_set(tenant: Tenant) -> dict[str, Any]:
    labels = {"app.kubernetes.io/name": names.IMAGES, names.TENANT_LABEL: tenant.name}
    return {
        "selector": {"matchLabels": labels},
        # Nobody waits for these pods: a new image is to be everywhere soon.
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "100%"}},
        "template": {"metadata": {"labels": labels}, "spec": _pod(tenant)},
    }


def _pod(tenant: Tenant) -> dict[str, Any]:
    jobs = usual(tenant)["spec"]
    tools = tenant.images.tools
    # What the tenant's jobs really use, each once; the tools image is there already.
    others = dict.fromkeys(one["image"] for one in jobs["containers"] if one["image"] != tools)
    copy = ["/bin/busybox", "cp", "/bin/busybox", _BUSYBOX]
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        # Asleep for good, and so deaf to a friendly signal.
        "terminationGracePeriodSeconds": 1,
        "affinity": {"nodeAffinity": jobs["affinity"]["nodeAffinity"]},
        "tolerations": jobs["tolerations"],
        "imagePullSecrets": [{"name": secret} for secret in tenant.images.pull_secrets],
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _NOBODY,
            "runAsGroup": _NOBODY,
            "fsGroup": _NOBODY,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "initContainers": [
            _container("tools", tools, copy),
            *(_container(f"image-{number}", image, [_BUSYBOX, "true"]) for number, image in enumerate(others)),
        ],
        "containers": [_container("wait", tools, [_BUSYBOX, "sleep", _LONG])],
        "volumes": [{"name": "tools", "emptyDir": {"sizeLimit": "16Mi"}}],
    }


def _container(name: str, image: str, command: list[str]) -> dict[str, Any]:
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": command,
        "resources": {"requests": _TAKES, "limits": _MAY_TAKE},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "tools", "mountPath": _FOLDER, "readOnly": name != "tools"}],
    }
