"""tenant apply: look at what is there, say what would change, and change it."""

from __future__ import annotations

import ipaddress
import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from executor.cluster.admin import Admin, Reference, host_of
from executor.errors import ClusterRefused, SettingsInvalid
from executor.operate.shown import agreed
from executor.operate.tenant_objects import rendered, resizes
from executor.pod import names
from executor.pod.names import TENANT_LABEL
from executor.pod.names import warm as warm_name
from executor.settings import network
from executor.settings.load import load
from executor.tenancy import changes

if TYPE_CHECKING:
    from executor.settings.model import Tenant

_WOULD_CHANGE = 2
_LEFT_OUT = "left out"
_POLICIES = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
_COLOURS = {"+": "green", "-": "red", "@": "cyan"}
_REMOVED = "removed"
_STATES = ("created", "changed", "unchanged", _REMOVED, _LEFT_OUT)
_NO_POLICY = (
    "this cluster has no ValidatingAdmissionPolicy (Kubernetes 1.30 and later have) and does not itself refuse pods "
    "that are made with the driver's token and go beyond the tenant's settings. Everything else holds."
)
_NO_RESIZE = (
    "this cluster does not resize pods in place (Kubernetes 1.33 and later do), so warm pods wait with the requests of "
    "a job, whatever capacity.warm_small says."
)
# Whoever owns these is not a tenant.
_NOT_TENANTS = ("default", "kube-system", "kube-public", "kube-node-lease")


@dataclass(frozen=True, kw_only=True)
class Step:
    """One object, and what applying it does."""

    manifest: dict[str, Any]
    state: str
    """`created`, `changed`, `unchanged`, `removed` where settings want it no more, or `left out` where the cluster does
    not know such objects."""
    difference: list[str]

    @property
    def reference(self) -> Reference:
        """The object's name."""
        return Reference.of(self.manifest)


def apply_tenant(
    name: str, *, settings: str, rights: tuple[str, str], with_runner: bool, diff: bool, yes: bool, output: str
) -> None:
    """Carry out the command; `rights` are kubeconfig and context of the operator.

    Raises:
        SettingsInvalid: they cannot be used, or would let builds reach the API server.
        ClusterRefused: a right is missing, or the cluster cannot take an object.
    """
    loaded = load(settings, name)
    tenant = loaded.tenant
    manifests = rendered(settings, loaded, with_runner=with_runner)
    admin = Admin(kubeconfig=rights[0], context=rights[1])
    check_namespace(admin, tenant)
    _check_owners(admin, tenant, manifests)
    notes = _check_network(admin, tenant)
    if not resizes(admin, tenant):
        manifests = rendered(settings, loaded, with_runner=with_runner, resizes=False)
        notes.append(_NO_RESIZE)
    steps = [*plan(admin, manifests), *outdated(admin, tenant, manifests)]
    for note in [*notes, *_notes(steps)]:
        click.echo(f"Note: {note}", err=True)
    wanted = [step for step in steps if step.state in {"created", "changed", _REMOVED}]
    if output == "text":
        _show(steps, diff=diff)
    if diff or not wanted:
        _report(steps, output)
        sys.exit(_WOULD_CHANGE if diff and wanted else 0)
    if not yes:
        agreed(f"Apply these {len(wanted)} changes to {admin.server.url}?")
    for step in wanted:
        if step.state == _REMOVED:
            admin.delete(step.reference)
        else:
            admin.apply(step.manifest)
        if output == "text":
            click.echo(f"{step.state} {step.reference}")
    _report(steps, output)


def plan(admin: Admin, manifests: list[dict[str, Any]]) -> list[Step]:
    """Ask the API server what applying each object would do, and change nothing."""
    policies = next((Reference.of(one) for one in manifests if one["kind"] in _POLICIES), None)
    known = policies is None or admin.serves(policies)
    steps: list[Step] = []
    for manifest in manifests:
        reference = Reference.of(manifest)
        if manifest["kind"] in _POLICIES and not known:
            steps.append(Step(manifest=manifest, state=_LEFT_OUT, difference=[]))
            continue
        # In a namespace that is yet to be made, the API server refuses even to try.
        fresh = reference.namespace and any(step.state == "created" and _is_home(step, reference) for step in steps)
        found = None if fresh else admin.get(reference)
        after = manifest if fresh else admin.apply(manifest, dry_run=True)
        difference = changes.lines(found, after, name=str(reference))
        state = "created" if found is None else "changed" if difference else "unchanged"
        steps.append(Step(manifest=manifest, state=state, difference=difference))
    return steps


def outdated(admin: Admin, tenant: Tenant, manifests: list[dict[str, Any]]) -> list[Step]:
    """Find what keeps images, or warm pods of earlier settings; pods that jobs have claimed are no longer its own."""
    own = Reference(version="apps/v1", kind="ReplicaSet", namespace=tenant.cluster.namespace)
    wanted = {one["metadata"]["name"] for one in manifests if one["kind"] == "ReplicaSet"}
    found = admin.list(own, labels=f"{TENANT_LABEL}={tenant.name}")
    return [
        *_images_no_more(admin, tenant),
        *(
            Step(manifest={"apiVersion": own.version, "kind": own.kind} | one, state=_REMOVED, difference=[])
            for one in found
            if one["metadata"]["name"] not in wanted and one["metadata"]["name"].startswith(warm_name(""))
        ),
    ]


def _images_no_more(admin: Admin, tenant: Tenant) -> list[Step]:
    home = Reference(version="v1", kind="Namespace", name=names.images_namespace(tenant.name))
    found = None if tenant.images.on_nodes else admin.get(home)
    if found is None or found["metadata"].get("labels", {}).get(TENANT_LABEL) != tenant.name:
        return []
    return [Step(manifest={"apiVersion": home.version, "kind": home.kind} | found, state=_REMOVED, difference=[])]


def api_server_of(admin: Admin) -> tuple[set[tuple[str, int]], str]:
    """Return addresses and ports at which pods could reach the API server, and what could not be found out."""
    host, port = host_of(admin.server)
    found = {(host, port)} if _is_address(host) else set()
    service = Reference(version="v1", kind="Service", name="kubernetes", namespace="default")
    slices = Reference(version="discovery.k8s.io/v1", kind="EndpointSlice", namespace="default")
    try:
        spec = (admin.get(service) or {"spec": {}})["spec"]
        found |= {(address, one["port"]) for address in spec.get("clusterIPs", ()) for one in spec.get("ports", ())}
        for entry in admin.list(slices, labels="kubernetes.io/service-name=kubernetes"):
            addresses = [address for endpoint in entry.get("endpoints") or () for address in endpoint["addresses"]]
            found |= {(address, one["port"]) for address in addresses for one in entry.get("ports") or ()}
    except ClusterRefused as refused:
        return found, f"the addresses of the API server are not all known: {refused.why}"
    return found, ""


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_home(step: Step, reference: Reference) -> bool:
    return step.reference.kind == "Namespace" and step.reference.name == reference.namespace


def check_namespace(admin: Admin, tenant: Tenant) -> None:
    """Refuse to touch a namespace that is the cluster's own or another tenant's.

    Raises:
        SettingsInvalid: it is.
    """
    name = tenant.cluster.namespace
    if name in _NOT_TENANTS:
        raise SettingsInvalid(
            f"The namespace {name} belongs to the cluster and cannot be a tenant's.",
            remedy="Choose another one: [cluster] namespace.",
        )
    check_owner(admin, tenant, name)


def _check_owners(admin: Admin, tenant: Tenant, manifests: list[dict[str, Any]]) -> None:
    for manifest in manifests:
        if manifest["kind"] == "Namespace":
            check_owner(admin, tenant, manifest["metadata"]["name"])


def check_owner(admin: Admin, tenant: Tenant, name: str) -> None:
    """Refuse to touch a namespace of another tenant.

    Raises:
        SettingsInvalid: it is.
    """
    found = admin.get(Reference(version="v1", kind="Namespace", name=name)) or {"metadata": {}}
    owner = found["metadata"].get("labels", {}).get(TENANT_LABEL, tenant.name)
    if owner != tenant.name:
        raise SettingsInvalid(
            f"The namespace {name} is that of the tenant {owner}.",
            why="In one namespace tenants could read each other's Secrets and logs.",
            remedy="Choose another one: [cluster] namespace.",
        )


def _check_network(admin: Admin, tenant: Tenant) -> list[str]:
    """Refuse settings by which builds could reach the API server; returns what the operator should know."""
    addresses, unknown = api_server_of(admin)
    open_by = {one: purpose for one in sorted(addresses) if (purpose := network.reaches(tenant.network, *one))}
    if open_by:
        entries = ", ".join(f'{{ cidr = "{_cidr(host)}", ports = [{port}] }}' for host, port in sorted(addresses))
        raise SettingsInvalid(
            f"Builds of {tenant.name} could reach the API server.",
            why="\n".join(f"network.{purpose} opens {host} port {port}." for (host, port), purpose in open_by.items()),
            remedy=f"Write this into [network], so that it is kept out of every range:\napi_server = [{entries}]",
        )
    empty = [purpose for purpose in ("registry", "gitlab") if not getattr(tenant.network, purpose)]
    if tenant.cache.mode != "off" and not tenant.network.s3:
        empty.append("s3")
    notes = [f"network.{name} is empty: where network policies are enforced, builds reach none." for name in empty]
    return [*notes, *([unknown] if unknown else [])]


def _cidr(host: str) -> str:
    return str(ipaddress.ip_network(host))


def _notes(steps: list[Step]) -> list[str]:
    return [_NO_POLICY] if any(step.state == _LEFT_OUT for step in steps) else []


def _show(steps: list[Step], *, diff: bool) -> None:
    for step in steps:
        if not diff:
            click.echo(f"{_future(step.state)} {step.reference}")
        for line in step.difference if diff else ():
            click.secho(line, fg=_COLOURS.get(line[:1]))


def _future(state: str) -> str:
    return {"created": "to create ", "changed": "to change ", _REMOVED: "to remove "}.get(state, state)


def _report(steps: list[Step], output: str) -> None:
    if output == "json":
        rows = [
            {
                "kind": step.reference.kind,
                "name": step.reference.name,
                "namespace": step.reference.namespace,
                "state": step.state,
                "diff": step.difference,
            }
            for step in steps
        ]
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    counts = {state: sum(step.state == state for step in steps) for state in _STATES}
    click.echo(", ".join(f"{count} {state}" for state, count in counts.items() if count))
