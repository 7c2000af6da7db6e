"""The fence at the API server: a ValidatingAdmissionPolicy that takes no pod but such as the driver makes. Pure.

It holds against whoever has the driver's token, not only against mistakes of the driver. What Pod Security "baseline"
refuses is refused here too where a build could hurt its neighbours, in case somebody relabels the namespace.
Needs Kubernetes 1.30. Source: https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from executor.pod import cachekeys, names
from executor.tenancy import sizes

if TYPE_CHECKING:
    from executor.settings.model import Tenant
    from executor.settings.units import Pattern

# Added to every pod by the API server itself (DefaultTolerationSeconds, TaintNodesByCondition).
_OWN_TOLERATIONS = (
    "node.kubernetes.io/not-ready",
    "node.kubernetes.io/unreachable",
    "node.kubernetes.io/memory-pressure",
)
_VOLUMES = ("emptyDir", "secret", "configMap", "projected", "downwardAPI", "persistentVolumeClaim", "ephemeral", "csi")
"""Those of Pod Security "restricted": none reaches into the node."""

# As a job writes it: KEY=VALUE:EFFECT, or KEY:EFFECT for any value.
_TOLERATION = (
    "(t.key + (has(t.operator) && t.operator == 'Exists' ? '' : '=' + (has(t.value) ? t.value : ''))"
    " + (has(t.effect) && t.effect != '' ? ':' + t.effect : ''))"
)


def policy(tenant: Tenant, pod: dict[str, Any]) -> dict[str, Any]:
    """Return the policy's spec; `pod` is the largest job pod that the tenant's settings allow."""
    return {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "resourceRules": [
                {
                    "apiGroups": [""],
                    "apiVersions": ["v1"],
                    "operations": ["CREATE", "UPDATE"],
                    "resources": ["pods", "pods/ephemeralcontainers", "pods/resize"],
                }
            ]
        },
        # So that the pods of yesterday's settings can still be labelled and deleted.
        "matchConditions": [
            {"name": "changes-the-spec", "expression": "request.operation == 'CREATE' || object.spec != oldObject.spec"}
        ],
        "variables": [
            {
                "name": "containers",
                "expression": "object.spec.containers"
                " + (has(object.spec.initContainers) ? object.spec.initContainers : [])",
            },
            {"name": "volumes", "expression": "has(object.spec.volumes) ? object.spec.volumes : []"},
            {"name": "tolerations", "expression": "has(object.spec.tolerations) ? object.spec.tolerations : []"},
        ],
        "validations": [
            {"expression": expression, "message": f"{tenant.name}: {message}", "reason": "Forbidden"}
            for message, expression in _rules(tenant, pod)
        ],
    }


def binding(tenant: Tenant, policy_name: str) -> dict[str, Any]:
    """Return the spec that puts the policy into force in the tenant's namespace."""
    return {
        "policyName": policy_name,
        "validationActions": ["Deny", "Audit"],
        "matchResources": {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": tenant.cluster.namespace}}
        },
    }


def image_pattern(pattern: str) -> str:
    """Write a pattern of images.allowed as an anchored regular expression (RE2)."""
    words = {"*": ".*", "?": "."}
    return "^" + "".join(words.get(letter) or re.escape(letter) for letter in pattern) + "$"


def _rules(tenant: Tenant, pod: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what must hold: words for whoever is refused, and the expression."""
    return [
        ("the pod must require the tenant's nodes, in every term of its node affinity", _on_own_nodes(tenant)),
        (
            "a pod must not choose its node by nodeName, past the scheduler",
            "request.operation != 'CREATE' || !has(object.spec.nodeName) || object.spec.nodeName == ''",
        ),
        ("an image is not among those of the tenant's settings", _images(tenant)),
        (
            "no container may be privileged",
            _each("!has(c.securityContext) || " + _false("c.securityContext.privileged")),
        ),
        (
            "the node's network, processes and IPC are out of bounds",
            " && ".join(f"({_false(f'object.spec.{name}')})" for name in ("hostNetwork", "hostPID", "hostIPC")),
        ),
        (
            "no container may take a port of the node",
            _each("!has(c.ports) || c.ports.all(p, !has(p.hostPort) || p.hostPort == 0)"),
        ),
        (
            f"volumes may only be of the kinds {', '.join(_VOLUMES)}",
            f"variables.volumes.all(v, {' || '.join(f'has(v.{kind})' for kind in _VOLUMES)})",
        ),
        ("a container adds a capability that job pods do not need", _capabilities(pod)),
        ("pods get no service account token", _without_identity(tenant)),
        ("this is not a service account of job pods", _service_account(tenant, pod)),
        (
            "containers cannot be added to a job pod, since they could have no limits",
            "!has(object.spec.ephemeralContainers) || size(object.spec.ephemeralContainers) == 0",
        ),
        (
            "each container needs limits for cpu, memory and ephemeral-storage, none above the tenant's highest",
            _limits(pod),
        ),
        ("a toleration is not among those of the tenant's settings", _tolerations(tenant, pod)),
        ("this is not the priority class of job pods", _priority(pod)),
        ("this is not the runtime class of job pods", _runtime(pod)),
        *_user_namespace(pod),
    ]


def _without_identity(tenant: Tenant) -> str:
    """No token of the cluster; one for AWS where the tenant's keys come by it, and for the cache registry alone."""
    plain = "has(object.spec.automountServiceAccountToken) && !object.spec.automountServiceAccountToken"
    token, mounts = "!has(s.serviceAccountToken)", ""
    if tenant.cache.mode != "off" and cachekeys.has_identity(tenant.cache):
        audience = _text(cachekeys.AUDIENCES[tenant.cache.credentials])
        volume = _text(cachekeys.VOLUME)
        told = "s.serviceAccountToken.audience"
        token += f" || (v.name == {volume} && has({told}) && {told} == {audience})"
        alone = f"c.name == {_text(names.CACHE_REGISTRY)} || !has(c.volumeMounts)"
        mounts = f" && {_each(f'{alone} || c.volumeMounts.all(m, m.name != {volume})')}"
    return (
        f"{plain} && variables.volumes.all(v, !has(v.projected) || !has(v.projected.sources)"
        f" || v.projected.sources.all(s, {token})){mounts}"
    )


def _each(condition: str) -> str:
    return f"variables.containers.all(c, {condition})"


def _false(field: str) -> str:
    return f"!has({field}) || !{field}"


def _text(value: str) -> str:
    """Write a string literal; JSON's are CEL's."""
    return json.dumps(value, ensure_ascii=False)


def _list(values: Any) -> str:
    return "[" + ", ".join(map(_text, values)) + "]"


def _on_own_nodes(tenant: Tenant) -> str:
    required = "object.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution"
    matches = " && ".join(
        f"(has(t.matchExpressions) && t.matchExpressions.exists(e, e.key == {_text(key)} && e.operator == 'In'"
        f" && has(e.values) && e.values.all(v, v in {_list(values)})))"
        for key, values in tenant.nodes.labels.items()
    )
    return (
        f"has(object.spec.affinity) && has(object.spec.affinity.nodeAffinity) && has({required})"
        f" && size({required}.nodeSelectorTerms) > 0 && {required}.nodeSelectorTerms.all(t, {matches})"
    )


def _images(tenant: Tenant) -> str:
    images = tenant.images
    exact = dict.fromkeys(
        image for image in (images.kaniko, images.helper, images.tools, images.cache_registry) if image
    )
    patterns = [
        f"c.image.matches({_text(image_pattern(pattern))})" for pattern in (*images.allowed, *tenant.services.allowed)
    ]
    return _each(" || ".join([f"c.image in {_list(exact)}", *patterns]))


def _capabilities(pod: dict[str, Any]) -> str:
    contexts = [container.get("securityContext", {}) for container in sizes.all_containers(pod)]
    added = sorted({name for context in contexts for name in context.get("capabilities", {}).get("add", ())})
    capabilities = "c.securityContext.capabilities"
    return _each(
        f"!has(c.securityContext) || !has({capabilities}) || !has({capabilities}.add)"
        f" || {capabilities}.add.all(a, a in {_list(added)})"
    )


def _service_account(tenant: Tenant, pod: dict[str, Any]) -> str:
    # The API server fills in "default" where a pod names none.
    own = pod["spec"].get("serviceAccountName") or "default"
    wishes = [_matches("object.spec.serviceAccountName", one) for one in tenant.overrides.service_accounts]
    return " || ".join([f"object.spec.serviceAccountName == {_text(own)}", *wishes])


def _matches(text: str, pattern: Pattern) -> str:
    return f"{text}.matches({_text(f'^(?:{pattern.text})$')})"


def _limits(pod: dict[str, Any]) -> str:
    within = " && ".join(
        f"{_text(name)} in c.resources.limits"
        f" && !quantity(c.resources.limits[{_text(name)}]).isGreaterThan(quantity({_text(most)}))"
        for name, most in sizes.written(sizes.of_largest_container(pod)).items()
    )
    return _each(f"has(c.resources) && has(c.resources.limits) && {within}")


def _tolerations(tenant: Tenant, pod: dict[str, Any]) -> str:
    own = [
        " && ".join(_same(f"t.{field}", toleration.get(field, "")) for field in ("key", "operator", "value", "effect"))
        for toleration in pod["spec"].get("tolerations", ())
    ]
    wishes = [_matches(_TOLERATION, one) for one in tenant.overrides.tolerations]
    allowed = " || ".join([f"t.key in {_list(_OWN_TOLERATIONS)}", *(f"({one})" for one in own), *wishes])
    return f"variables.tolerations.all(t, has(t.key) && ({allowed}))"


def _same(field: str, value: str) -> str:
    return f"has({field}) && {field} == {_text(value)}" if value else f"(!has({field}) || {field} == '')"


def _priority(pod: dict[str, Any]) -> str:
    own = pod["spec"].get("priorityClassName", "")
    field = "object.spec.priorityClassName"
    # Without one of its own a pod gets the cluster's default class, whatever its name is.
    return _same(field, own) if own else f"!has({field}) || !{field}.startsWith('system-')"


def _runtime(pod: dict[str, Any]) -> str:
    # A sandbox that the tenant's settings choose must not be left out, nor another runtime be chosen.
    return _same("object.spec.runtimeClassName", pod["spec"].get("runtimeClassName", ""))


def _user_namespace(pod: dict[str, Any]) -> list[tuple[str, str]]:
    if pod["spec"].get("hostUsers", True):
        return []
    return [
        ("the pod's root must be nobody on the node", "has(object.spec.hostUsers) && !object.spec.hostUsers"),
    ]
