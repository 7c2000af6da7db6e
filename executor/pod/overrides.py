"""What a job wishes for its own pod, within its tenant's gates. Pure: settings and wishes -> settings of this job.

The names are those of GitLab Runner's own executor, so that pipelines stay as they are. Wishes come from variables
that anybody who can start a pipeline may set: nothing here trusts them. A wish at a closed gate is ignored and told,
one beyond an open gate fails the job with the bound named, and nothing is ever cut silently.
Source of the names: executors/kubernetes/overwrites.go of GitLab Runner 19.4.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, get_args

from executor.errors import JobRefused
from executor.settings import checks, forms
from executor.settings.declare import Form
from executor.settings.model import Toleration
from executor.settings.units import Bytes, Cpu
from executor.values import replace

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from executor.settings.gates import Most
    from executor.settings.model import Containers, Resources, Tenant
    from executor.settings.units import Pattern

PREFIX = "KUBERNETES_"
_CONTAINERS = {"build": "", "helper": "HELPER_", "service": "SERVICE_"}
_AMOUNTS: dict[str, type[Cpu | Bytes]] = {"cpu": Cpu, "memory": Bytes, "ephemeral_storage": Bytes}
_KINDS = ("request", "limit")
_EFFECTS: dict[str, Any] = {one: one for one in ("", "NoSchedule", "PreferNoSchedule", "NoExecute")}
_NEVER = (
    "BEARER_TOKEN",
    *(f"POD_{what}_{kind}" for what in ("CPU", "MEMORY") for kind in ("REQUEST", "LIMIT")),
)
"""Names that GitLab Runner knows and no gate here opens: the driver's own login, and amounts of the pod as a whole."""
_SHOWN_AT_MOST = 100
"""Characters of a wish in a message."""
_LISTED_AT_MOST = 12
_LONGEST = 4096
"""Characters of any wish: labels are shorter by far, and patterns need not be tried on more."""
_DRIVERS_OWN = "kaniko-driver"


class _Wishes:
    """The job's variables, and what became of them."""

    def __init__(self, *, tenant: str, values: Mapping[str, str]) -> None:
        self.tenant = tenant
        self.values = values
        self.granted: list[str] = []
        self.ignored: list[str] = []

    def one(self, name: str, *, open_gate: bool) -> str:
        """Return a wish by its name without the prefix; empty where there is none or its gate is closed.

        Raises:
            JobRefused: it is too long for any gate.
        """
        value = self.values.get(PREFIX + name, "")
        if value and not open_gate:
            self.ignored.append(PREFIX + name)
            return ""
        if len(value) > _LONGEST:
            raise self.refusal(name, value, f"It has more than {_LONGEST} characters.")
        if value:
            self.granted.append(PREFIX + name)
        return value

    def several(self, prefix: str, patterns: tuple[Pattern, ...], gate: str) -> Iterator[tuple[str, str]]:
        """Yield names and values of the wishes with a prefix, in the order of their names.

        Raises:
            JobRefused: one is of none of the patterns.
        """
        for variable in sorted(self.values):
            if not variable.startswith(PREFIX + prefix) or not self.values[variable]:
                continue
            name = variable.removeprefix(PREFIX)
            value = self.one(name, open_gate=bool(patterns))
            if value:
                self.require(name, value, patterns, gate)
                yield name, value

    def require(self, name: str, value: str, patterns: tuple[Pattern, ...], gate: str) -> None:
        """Refuse what is of none of the patterns."""
        if not any(pattern.matches(value) for pattern in patterns):
            allowed = ", ".join(pattern.text for pattern in patterns)
            raise self.refusal(name, value, f"{gate} of {self.tenant} allows: {allowed}.")

    def refusal(self, name: str, value: str, why: str) -> JobRefused:
        """Make the error for a wish."""
        return JobRefused(
            f"The job's variable {_listed([PREFIX + name])} was refused: {_shown(value)}",
            why=why,
            remedy=f"Correct or remove the variable, or ask the operator of {self.tenant}.",
        )


def apply(tenant: Tenant, variables: Mapping[str, str]) -> tuple[Tenant, tuple[str, ...]]:
    """Return the settings as this job's pod gets them, and lines for the job log.

    Args:
        tenant: the operator's settings.
        variables: the job's own variables, expanded; only those that begin with PREFIX are looked at.

    Raises:
        JobRefused: a wish that is malformed or beyond what its gate allows.
    """
    wishes = _Wishes(tenant=tenant.name, values=variables)
    _refuse_namespace(tenant, wishes)
    changed = replace(
        tenant,
        resources=_resources(tenant, wishes),
        nodes=replace(tenant.nodes, tolerations=(*tenant.nodes.tolerations, *_tolerations(tenant, wishes))),
        pod=replace(
            tenant.pod,
            node_selector=tenant.pod.node_selector | _node_selector(tenant, wishes),
            labels=tenant.pod.labels | _labels(tenant, wishes),
            annotations=tenant.pod.annotations | _annotations(tenant, wishes),
            service_account=_service_account(tenant, wishes) or tenant.pod.service_account,
        ),
    )
    for name in _NEVER:
        wishes.one(name, open_gate=False)
    return (changed if wishes.granted else tenant), tuple(_notes(wishes))


def of_service(tenant: Tenant, service: str, variables: Mapping[str, str]) -> tuple[Resources, tuple[str, ...]]:
    """Return what one service gets, by variables of its own that win over the job's, and lines for the job log.

    Args:
        tenant: the settings as `apply` made them for this job.
        service: its image, for the log.
        variables: the service's own.

    Raises:
        JobRefused: a wish that is malformed or beyond what its gate allows.
    """
    wishes, prefix = _Wishes(tenant=tenant.name, values=variables), _CONTAINERS["service"]
    current = tenant.resources.service
    wished = _amounts("service", prefix, tenant.overrides.service, wishes)
    resources = _consistent(current, wished, prefix, wishes) if wished else current
    return resources, tuple(_notes(wishes, f"variables of the service {service}"))


def _notes(wishes: _Wishes, whose: str = "job's variables") -> Iterator[str]:
    if wishes.granted:
        yield f"as the {whose} ask: {_listed(wishes.granted)}"
    if wishes.ignored:
        yield f"ignored, since {wishes.tenant} opens no gate for it ([overrides]): {_listed(wishes.ignored)}"


def _listed(names: list[str]) -> str:
    shown = [re.sub(r"[^A-Za-z0-9_.-]", "?", name)[:_SHOWN_AT_MOST] for name in names[:_LISTED_AT_MOST]]
    more = f" and {len(names) - _LISTED_AT_MOST} more" if len(names) > _LISTED_AT_MOST else ""
    return ", ".join(shown) + more


def _shown(value: str) -> str:
    """Make a text of the job's author safe for the log: `repr` escapes what a terminal would obey."""
    return repr(value[:_SHOWN_AT_MOST]) + ("…" if len(value) > _SHOWN_AT_MOST else "")


def _refuse_namespace(tenant: Tenant, wishes: _Wishes) -> None:
    name = "NAMESPACE_OVERWRITE"
    value = wishes.values.get(PREFIX + name, "")
    if value and value != tenant.cluster.namespace:
        raise wishes.refusal(name, value, f"All jobs of {tenant.name} run in the namespace {tenant.cluster.namespace}.")


# ---------------------------------------------------------------- amounts


def _resources(tenant: Tenant, wishes: _Wishes) -> Containers:
    changes = {}
    for container, prefix in _CONTAINERS.items():
        current: Resources = getattr(tenant.resources, container)
        wished = _amounts(container, prefix, getattr(tenant.overrides, container), wishes)
        if wished:
            changes[container] = _consistent(current, wished, prefix, wishes)
    return replace(tenant.resources, **changes)


def _amounts(container: str, prefix: str, most: Most, wishes: _Wishes) -> dict[str, Any]:
    """Return the amounts that the job asks for, by the field's name."""
    wished = {}
    for what, unit in _AMOUNTS.items():
        for kind in _KINDS:
            key, name = f"{what}_{kind}", f"{prefix}{what.upper()}_{kind.upper()}"
            bound = getattr(most, key)
            text = wishes.one(name, open_gate=bound is not None)
            if not text:
                continue
            try:
                amount = unit.parse(text)
            except ValueError:
                example = "500m or 2" if unit is Cpu else "512Mi or 4Gi"
                raise wishes.refusal(name, text, f"That is no amount such as {example}.") from None
            if _size(amount) > _size(bound):
                gate = f"overrides.{container}.{key}"
                raise wishes.refusal(name, text, f"The maximum is {bound.text} ({gate} of {wishes.tenant}).")
            wished[key] = amount
    return wished


def _consistent(current: Resources, wished: dict[str, Any], prefix: str, wishes: _Wishes) -> Resources:
    """Lay the wishes over the settings; a request that the job did not ask for follows a lower limit down."""
    for what in _AMOUNTS:
        request, limit = f"{what}_request", f"{what}_limit"
        if request in wished:
            bound = wished.get(limit, getattr(current, limit))
            if _size(wished[request]) > _size(bound):
                name = f"{prefix}{request.upper()}"
                other = f"{PREFIX}{prefix}{limit.upper()}"
                why = f"A request cannot be above the limit, which is {bound.text}; {other} sets it."
                raise wishes.refusal(name, wished[request].text, why)
        elif limit in wished and _size(getattr(current, request)) > _size(wished[limit]):
            wished = wished | {request: wished[limit]}
    return replace(current, **wished)


def _size(amount: Any) -> Any:
    return amount.cores if isinstance(amount, Cpu) else amount.count


# ---------------------------------------------------------------- keys and values


def _pair(name: str, value: str, kind: tuple[Any, Any], wishes: _Wishes) -> tuple[str, str]:
    """Split `KEY=VALUE` and check both; `kind` is the form of the key and of the value."""
    key, equals, rest = value.partition("=")
    if not equals:
        raise wishes.refusal(name, value, "It must be written KEY=VALUE.")
    for part, form in zip((key, rest), kind, strict=True):
        _check_form(form, part, name, value, wishes)
    return key, rest


def _check_form(annotated: Any, part: str, name: str, value: str, wishes: _Wishes) -> None:
    form: Form = get_args(annotated)[1]
    try:
        form.check(part)
    except ValueError:
        raise wishes.refusal(name, value, f"{_shown(part)} {form.words}.") from None


_LABEL = (forms.LabelKey, forms.LabelValue)
# Bytes that are no text arrive as surrogates, which no manifest can carry.
_TEXT = Annotated[str, Form(name="text", pattern=r"[^\ud800-\udfff]*", words="is no text")]
_ANNOTATION = (forms.AnnotationKey, _TEXT)


def _node_selector(tenant: Tenant, wishes: _Wishes) -> dict[str, str]:
    selector: dict[str, str] = {}
    for name, text in wishes.several("NODE_SELECTOR_", tenant.overrides.node_selector, "overrides.node_selector"):
        key, value = _pair(name, text, _LABEL, wishes)
        fixed = tenant.nodes.labels.get(key) or _only(tenant.pod.node_selector.get(key)) or _only(selector.get(key))
        if fixed and value not in fixed:
            raise wishes.refusal(name, text, f"Nodes of {tenant.name} have {key} = {' or '.join(fixed)} here.")
        selector[key] = value
    return selector


def _only(value: str | None) -> tuple[str, ...]:
    return () if value is None else (value,)


def _tolerations(tenant: Tenant, wishes: _Wishes) -> Iterator[Toleration]:
    for name, text in wishes.several("NODE_TOLERATIONS_", tenant.overrides.tolerations, "overrides.tolerations"):
        pair, _, effect = text.partition(":")
        if effect not in _EFFECTS:
            why = "It must be written KEY=VALUE:EFFECT; effects are NoSchedule, PreferNoSchedule and NoExecute."
            raise wishes.refusal(name, text, why)
        key, equals, value = pair.partition("=")
        _check_form(forms.LabelKey, key, name, text, wishes)
        _check_form(forms.LabelValue, value, name, text, wishes)
        yield Toleration(key=key, operator="Equal" if equals else "Exists", value=value, effect=_EFFECTS[effect])


def _labels(tenant: Tenant, wishes: _Wishes) -> dict[str, str]:
    labels = {}
    for name, text in wishes.several("POD_LABELS_", tenant.overrides.labels, "overrides.labels"):
        key, value = _free(name, text, _LABEL, wishes)
        labels[key] = value
    return labels


def _annotations(tenant: Tenant, wishes: _Wishes) -> dict[str, str]:
    annotations = {}
    for name, text in wishes.several("POD_ANNOTATIONS_", tenant.overrides.annotations, "overrides.annotations"):
        key, value = _free(name, text, _ANNOTATION, wishes)
        annotations[key] = value
    return annotations


def _free(name: str, text: str, kind: tuple[Any, Any], wishes: _Wishes) -> tuple[str, str]:
    key, value = _pair(name, text, kind, wishes)
    if reason := checks.reserved_key(key):
        raise wishes.refusal(name, text, f"{reason}.")
    return key, value


def _service_account(tenant: Tenant, wishes: _Wishes) -> str:
    name, patterns = "SERVICE_ACCOUNT_OVERWRITE", tenant.overrides.service_accounts
    value = wishes.one(name, open_gate=bool(patterns))
    if not value:
        return ""
    if value.startswith(_DRIVERS_OWN):
        raise wishes.refusal(name, value, "Service accounts of the driver are not for builds.")
    wishes.require(name, value, patterns, "overrides.service_accounts")
    _check_form(forms.ObjectName, value, name, value, wishes)
    return value
