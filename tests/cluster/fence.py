"""Somebody who tries the fence of a tenant with the driver's own token, and with lesser ones."""

from __future__ import annotations

import http.client
import json
import re
import ssl
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from executor.settings.load import load
from testbed import api, layout
from testbed.wait import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterable

    from executor.settings.model import Tenant

CREATED, FORBIDDEN = 201, 403
REVIEWS = "authorization.k8s.io"


@dataclass(frozen=True)
class Refusal:
    """What the API server answered: an HTTP status and its words."""

    status: int
    words: str


@dataclass(frozen=True)
class Intruder:
    """Whoever got hold of a token, and speaks to the API server without the driver."""

    token: str

    def tries(
        self, method: str, path: str, body: Any = None, content_type: str = "application/json", **headers: str
    ) -> Refusal:
        """Make one request; the answer's words are the whole document where it is no refusal."""
        context = ssl.create_default_context(cafile=layout.PKI / "ca.crt")
        connection = http.client.HTTPSConnection(layout.HOST_ADDRESS, layout.API_PORT, context=context, timeout=60)
        given = {"Content-Type": content_type, "Authorization": f"Bearer {self.token}", **headers}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), given)
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        document = json.loads(text) if text.startswith("{") else {}
        return Refusal(answer.status, str(document.get("message", text)) if document.get("kind") == "Status" else text)

    def rights(self, namespace: str) -> set[tuple[str, str]]:
        """What the API server lets it do there by now, as resource and verb; of the core group."""
        body = {"apiVersion": f"{REVIEWS}/v1", "kind": "SelfSubjectRulesReview", "spec": {"namespace": namespace}}
        answer = self.tries("POST", f"/apis/{REVIEWS}/v1/selfsubjectrulesreviews", body)
        found = json.loads(answer.words)["status"]["resourceRules"] if answer.status == CREATED else []
        return granted(found)


def granted(rules: Iterable[dict[str, Any]]) -> set[tuple[str, str]]:
    """Return the rights that rules give, as resource and verb; of the core group."""
    return {
        (resource, verb)
        for rule in rules
        if "" in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def wait_for_rights(intruder: Intruder, namespace: str, rules: Iterable[dict[str, Any]]) -> None:
    """Wait until the API server has seen a change of roles, which it does soon and not at once."""
    wanted = granted(rules)
    wait_for("the rights as they were changed", lambda: intruder.rights(namespace) == wanted, 180)


def driver_of(tenant: layout.Tenant) -> Intruder:
    """Somebody with the token that the tenant's kubeconfig holds."""
    found = re.search(r"token: \"?([^\s\"]+)", tenant.kubeconfig.read_text())
    assert found
    return Intruder(found[1])


def account(tenant: layout.Tenant, name: str, rules: list[dict[str, Any]]) -> Intruder:
    """Make a service account that has these rights by now in the tenant's namespace; the caller deletes them all."""
    here = {"name": name, "namespace": tenant.name}
    rbac = "rbac.authorization.k8s.io"
    api.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": here})
    api.apply({"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": here, "rules": rules})
    api.apply(
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "RoleBinding",
            "metadata": here,
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", **here}],
        }
    )
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
    path = f"{api.path_of('ServiceAccount', name, tenant.name)}/token"
    made = Intruder(api.request("POST", path, body)["status"]["token"])
    wait_for_rights(made, tenant.name, rules)
    return made


def forget(tenant: layout.Tenant, name: str) -> None:
    """Delete what `account` made."""
    for kind in ("RoleBinding", "Role", "ServiceAccount"):
        with suppress(api.ApiError):
            api.request("DELETE", api.path_of(kind, name, tenant.name))


def settings_of(tenant: layout.Tenant) -> Tenant:
    """Return the bed's settings of the tenant."""
    return load(str(layout.DRIVER), tenant.name).tenant
