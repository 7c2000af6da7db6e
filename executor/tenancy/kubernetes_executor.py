"""Every key of `[runners.kubernetes]` -> the setting that it becomes, or the reason why it becomes none. Pure.

Source: common/config.go `KubernetesConfig` of GitLab Runner 19.4. The reference page and `kaniko-driver migrate` are
both made from `KEYS`; a test holds that the list is complete.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from executor.tenancy import carry

if TYPE_CHECKING:
    from collections.abc import Callable

    from executor.tenancy.draft import Draft


@dataclass(frozen=True, kw_only=True)
class Key:
    """One key of the built-in executor."""

    name: str
    to: str = ""
    """The setting, or several with blanks between; empty where there is none."""
    note: str = ""
    """What is different; without a setting, the reason and what to do instead."""
    carry: Callable[[Draft, Any], None] | None = None
    harmless: tuple[Any, ...] = ()
    """Values that say what the driver does anyway, so that nobody has to be told."""


def _reason(name: str, note: str, *harmless: Any) -> Key:
    return Key(name=name, note=note, carry=carry.tell(f"{name}: {note}"), harmless=(False, "", 0, *harmless))


def _to(name: str, to: str, note: str = "") -> Key:
    return Key(name=name, to=to, note=note, carry=carry.same(to))


_YES = (True,)
_POD_LEVEL = "Each container has limits of its own; their sum is the pod's."
_CONNECTION = "A kubeconfig with rights in the tenant's namespace only: `kaniko-driver tenant kubeconfig` makes it."


def _gate(name: str, to: str, what: str) -> Key:
    return Key(name=name, to=to, note=f"A list of patterns; each must match the whole {what}", carry=carry.regex(to))


def _credential(name: str) -> Key:
    return Key(
        name=name, to="cluster.kubeconfig", note=_CONNECTION, carry=lambda draft, _: draft.needs_kubeconfig(name)
    )


def _resources() -> list[Key]:
    keys = []
    for prefix, table in (("", "build"), ("helper_", "helper"), ("service_", "service")):
        for resource in ("cpu", "memory", "ephemeral_storage"):
            for kind in ("limit", "request"):
                name = f"{prefix}{resource}_{kind}"
                most = f"overrides.{table}.{resource}_{kind}"
                keys += [
                    _to(name, f"resources.{table}.{resource}_{kind}"),
                    _to(f"{name}_overwrite_max_allowed", most, "Too much fails the job with the maximum named."),
                ]
    for resource in ("cpu", "memory"):
        for kind in ("limit", "request"):
            keys += [_reason(f"pod_{resource}_{kind}{suffix}", _POD_LEVEL) for suffix in ("", "_overwrite_max_allowed")]
    return keys


KEYS: tuple[Key, ...] = (
    # The connection
    _credential("host"),
    Key(
        name="context",
        to="cluster.context",
        carry=lambda draft, value: draft.needs_kubeconfig("context", context=value),
    ),
    *map(_credential, ("cert_file", "key_file", "ca_file", "bearer_token")),
    _reason("bearer_token_overwrite_allowed", "A job never chooses as whom the driver speaks to the cluster."),
    # Where and as what
    Key(name="namespace", to="cluster.namespace", carry=lambda draft, value: draft.set_namespace(value)),
    _reason("namespace_overwrite_allowed", "The namespace is the fence around the tenant; a job cannot leave it."),
    _reason("namespace_per_job", "The namespace is the tenant's; jobs in it are kept apart by their pods."),
    _reason("privileged", "No container is ever privileged; Kaniko needs no privileges."),
    _to("runtime_class_name", "pod.runtime_class"),
    Key(
        name="allow_privilege_escalation",
        to="pod.build.allow_privilege_escalation",
        note="For the build container only, and off unless set.",
        carry=lambda draft, value: draft.set("pod.build.allow_privilege_escalation", value),
        harmless=(False,),
    ),
    *_resources(),
    # Images
    Key(name="image", to="images.kaniko", note="Jobs without `image:` run in Kaniko's image.", carry=carry.image),
    Key(
        name="allowed_images",
        to="images.allowed",
        note="Without it any image was allowed; here none beside Kaniko's. `*` matches slashes too.",
        carry=carry.allowed_images,
    ),
    Key(
        name="allowed_pull_policies",
        to="images.allowed_pull_policies",
        carry=lambda draft, value: draft.set("images.allowed_pull_policies", [one.lower() for one in value]),
    ),
    _to("allowed_services", "services.allowed"),
    _reason("allowed_users", "Containers of a job are always root: Kaniko must be.", []),
    _reason("allowed_groups", "Containers of a job are always root: Kaniko must be.", []),
    Key(name="pull_policy", to="images.pull_policy", note="One policy, no list.", carry=carry.pull_policy),
    _to("image_pull_secrets", "images.pull_secrets"),
    _reason(
        "use_service_account_image_pull_secrets",
        "Kubernetes adds the pull secrets of a pod's service account where images.pull_secrets names none.",
    ),
    Key(
        name="helper_image",
        to="images.helper",
        note="Without variables: written with the version.",
        carry=carry.helper_image,
    ),
    _reason("helper_image_flavor", "images.helper names the whole image."),
    _reason(
        "helper_image_autoset_arch_and_os",
        "images.helper names the whole image; one of several architectures fits all.",
    ),
    # Placement
    Key(
        name="node_selector",
        to="nodes.labels",
        note="The tenant's own nodes; at least one label.",
        carry=carry.node_selector,
    ),
    _gate("node_selector_overwrite_allowed", "overrides.node_selector", "`KEY=VALUE`."),
    Key(name="node_tolerations", to="nodes.tolerations", carry=carry.node_tolerations),
    _gate("node_tolerations_overwrite_allowed", "overrides.tolerations", "`KEY=VALUE:EFFECT`."),
    Key(
        name="affinity",
        to="pod.node_requirements pod.node_preferences pod.affinity",
        note="Alternatives between required terms, `match_fields`, and pods of other namespaces are not carried over.",
        carry=carry.affinity,
    ),
    _to("scheduler_name", "pod.scheduler"),
    _to("priority_class_name", "pod.priority_class"),
    # The pod
    Key(
        name="pod_labels",
        to="pod.labels",
        note="Taken literally: no variables. Labels of the driver name job and project.",
        carry=lambda draft, value: draft.set_texts("pod.labels", value),
    ),
    _gate("pod_labels_overwrite_allowed", "overrides.labels", "`KEY=VALUE`."),
    Key(
        name="pod_annotations",
        to="pod.annotations",
        note="Taken literally: no variables.",
        carry=lambda draft, value: draft.set_texts("pod.annotations", value),
    ),
    _gate("pod_annotations_overwrite_allowed", "overrides.annotations", "`KEY=VALUE`."),
    _to("service_account", "pod.service_account", "Its token is never mounted."),
    _gate("service_account_overwrite_allowed", "overrides.service_accounts", "name. No token is mounted."),
    _reason("automount_service_account_token", "No container of a job ever gets a token of the cluster."),
    Key(
        name="pod_security_context",
        to="pod.security",
        note="Within Pod Security baseline; the user is always root.",
        carry=carry.security,
    ),
    _reason(
        "init_permissions_container_security_context",
        "There is no such container: the volumes are right from the start.",
        {},
    ),
    *(
        Key(
            name=f"{name}_container_security_context",
            to=f"pod.{name}",
            note="Capabilities of Pod Security baseline and privilege escalation; profiles are the pod's.",
            carry=carry.container(name),
        )
        for name in ("build", "helper", "service")
    ),
    Key(name="cap_add", to="pod.build.add_capabilities", note="For the build container only.", carry=carry.cap_add),
    Key(
        name="cap_drop",
        to="pod.build.drop_capabilities",
        note="Of those that the driver gives; all others are dropped anyway.",
        carry=carry.cap_drop,
    ),
    Key(
        name="volumes",
        to="pod.volumes",
        note="pvc, config_map, secret, empty_dir and csi. host_path: it opens the fence. nfs: through a claim.",
        carry=carry.volumes,
    ),
    Key(name="host_aliases", to="pod.host_aliases", carry=carry.host_aliases),
    _reason("services", "Services are named in the job; services.allowed says which it may have.", []),
    Key(name="dns_policy", to="pod.dns.policy", carry=carry.dns_policy),
    Key(name="dns_config", to="pod.dns", carry=carry.dns_config),
    Key(
        name="container_lifecycle",
        to="pod.build.post_start pod.build.pre_stop",
        note="Commands only.",
        carry=carry.lifecycle,
    ),
    Key(
        name="pod_spec",
        to="pod.patch",
        note="Strategic patches only; what opens the fence is refused.",
        carry=carry.pod_spec,
    ),
    # Time
    Key(
        name="pod_termination_grace_period_seconds",
        to="pod.termination_grace",
        carry=carry.seconds("pod.termination_grace"),
        harmless=(0,),
    ),
    _reason("cleanup_grace_period_seconds", "The pod is deleted with pod.termination_grace."),
    _reason("cleanup_resources_timeout", "The clean-up never waits for the kubelet, and has a bound of its own."),
    _reason("poll_interval", "The driver watches the pod and polls nothing."),
    Key(
        name="poll_timeout",
        to="timeouts.schedule timeouts.pull timeouts.start",
        note="Three waits: for a node, for images, and for what else a pod needs to start.",
        carry=carry.seconds("timeouts.schedule", "timeouts.pull", "timeouts.start"),
        harmless=(0,),
    ),
    _reason(
        "resource_availability_check_max_attempts", "The API server says itself when a Secret or account is missing."
    ),
    *(
        _reason(name, "The driver tries again for as long as timeouts.connection says.", {})
        for name in ("retry_limit", "retry_backoff_max", "retry_limits")
    ),
    # What there is no need for
    _reason("suspend_pvc_size", "A custom executor cannot suspend a job."),
    _reason("suspend_pvc_storage_class", "A custom executor cannot suspend a job."),
    _reason("logs_base_dir", "The job's output has a volume of its own, volumes.output."),
    _reason("scripts_base_dir", "Scripts travel over the connection into a volume of their own."),
    _reason("print_pod_warning_events", "Why a pod does not start is always said in the job log.", *_YES),
    _reason("pod_disruption_budget", "Job pods ask autoscalers to leave them alone, by annotation."),
    _reason(
        "autoscaler", "There are no pause pods; give the tenant's nodes a minimum in the cluster's autoscaler.", None
    ),
)


_HEAD = """\
# Settings of the built-in Kubernetes executor, and what becomes of them
Every key of `[runners.kubernetes]` in GitLab Runner 19.4, with the setting of a tenant's file that does the same, or
the reason why there is none. `kaniko-driver migrate` carries them over; the page
[migrate from the built-in executor](../how-to/migrate-from-the-built-in-executor.md) shows how. This page is made from
the code of that command.

| key of `[runners.kubernetes]` | setting of the tenant | what to know |
|---|---|---|
"""
_TAIL = """
Variables of jobs keep their names (`KUBERNETES_CPU_REQUEST`, `KUBERNETES_NODE_SELECTOR_*` and so on) and work within
the tenant's `[overrides]`. What needs interfaces that a custom executor does not have is not there: the web terminal,
suspended jobs, native steps.
"""


def page() -> str:
    """Return the reference page."""
    rows = (
        f"| `{key.name}` | {', '.join(f'`{one}`' for one in key.to.split()) or 'none'} | {key.note} |\n" for key in KEYS
    )
    return _HEAD + "".join(rows) + _TAIL


if __name__ == "__main__":
    import sys

    sys.stdout.write(page())
