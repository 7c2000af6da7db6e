"""A tenant file in the making: values as they come, what had to be left out, and what the operator should do. Pure.

Every value is checked as the settings' reader would check it, so that what is written in the end can be used: what does
not fit is left out and told, never written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from executor.errors import SettingsInvalid
from executor.settings import checks
from executor.settings.model import Tenant
from executor.settings.reader import Path, TomlFile, build, dotted
from executor.tenancy.sample import usual
from executor.tenancy.starter import NODE_LABEL

if TYPE_CHECKING:
    from collections.abc import Mapping


class Draft:
    """One tenant's values so far."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.values: dict[str, Any] = {"version": 1}
        self.findings: list[str] = []
        self._connection: list[str] = []

    def tell(self, text: str) -> None:
        """Note what the operator must know or do; once is enough."""
        if text not in self.findings:
            self.findings.append(text)

    def get(self, path: str) -> Any:
        """Return a setting's value, or None when nobody set it."""
        value: Any = self.values
        for key in path.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        return value

    def set(self, path: str, value: Any) -> None:
        """Set a setting, given with dots; tells of a value that does not fit, and leaves it out."""
        keys = path.split(".")
        nested: Any = value
        for key in reversed(keys):
            nested = {key: nested}
        file = TomlFile("", "")
        file.flat(Tenant, nested)
        if file.problems:
            self.tell(f"Left out: {'; '.join(problem.text for problem in file.problems)}.")
            return
        table = self.values
        for key in keys[:-1]:
            table = table.setdefault(key, {})
        table[keys[-1]] = value

    def append(self, path: str, entries: list[Any]) -> None:
        """Add entries to a list."""
        for entry in entries:
            before = self.get(path) or []
            if entry not in before:
                self.set(path, [*before, entry])

    def merge(self, path: str, table: dict[str, Any]) -> None:
        """Lay a free table over what is there."""
        self.set(path, {**(self.get(path) or {}), **table})

    def set_texts(self, path: str, table: Mapping[str, str]) -> None:
        """Set a table of texts, one by one, without those that hold variables."""
        for key, value in table.items():
            if "$" in value:
                self.tell(f"Left out: {path} {key!r}: {value!r} holds a variable, and here texts are taken literally.")
            else:
                self._add(path, key, value)

    def _add(self, path: str, key: str, value: str) -> None:
        before = self.get(path) or {}
        self.set(path, {**before, key: value})

    def set_namespace(self, namespace: str) -> None:
        """Set the namespace; the cluster's default one is nobody's own."""
        if namespace in {"", "default"} or "$" in namespace:
            self.tell(
                f"cluster.namespace is {self.name!r}, a new one: the runner used {namespace or 'default'!r}, and a "
                "tenant shares its namespace with nobody. `kaniko-driver tenant apply` makes it; Secrets, ConfigMaps "
                "and claims that jobs use must be made there too."
            )
        else:
            self.set("cluster.namespace", namespace)

    def needs_kubeconfig(self, key: str, *, context: str = "") -> None:
        """Note that the runner reached the cluster from outside; credentials themselves are never copied."""
        self._connection.append(key)
        self.set("cluster.kubeconfig", f"/etc/kaniko-driver/{self.name}.kubeconfig")
        if context:
            self.set("cluster.context", context)
            self.tell("cluster.context: correct it, or leave it out, when the new kubeconfig has other contexts.")

    def finish(self) -> Tenant:
        """Fill in what is required, settle what contradicts itself, and return the tenant as it will be read."""
        self._require()
        if self._connection:
            self.tell(
                f"{', '.join(self._connection)}: make {self.get('cluster.kubeconfig')} with `kaniko-driver tenant "
                f"kubeconfig {self.name}`, whose account has rights in the tenant's namespace only."
            )
        else:
            # GitLab Runner takes the pod's account then, or else what kubectl of its user would take.
            self.tell(
                "cluster.kubeconfig is not set, as the old section named no host: right for a runner inside the "
                f"cluster. On a host set it (/etc/kaniko-driver/{self.name}.kubeconfig); `kaniko-driver tenant "
                f"kubeconfig {self.name}` makes the file."
            )
        self._settle_resources()
        # Each round leaves something out, so there are no more rounds than settings.
        while complaints := self._complaints():
            path, text = complaints[0]
            self.tell(f"Left out: {dotted(path)}: {text}.")
            if not self._remove(path):
                break
        try:
            usual(self._tenant())
        except SettingsInvalid as refused:
            # Only a patch can make a pod that is refused when everything else is right.
            self.tell(f"Left out: {refused.why}")
            self._remove(("pod", "patch"))
        return self._tenant()

    def _require(self) -> None:
        if not self.get("cluster.namespace"):
            self.set("cluster.namespace", self.name)
        for key, image in _IMAGES.items():
            if not self.get(f"images.{key}"):
                self.set(f"images.{key}", image)
                self.tell(f"images.{key} is {image}: name the one that you want, and pin it.")
        if not self.get("nodes.labels"):
            self.set("nodes.labels", {NODE_LABEL: [self.name]})
            self.tell(
                "nodes.labels: the runner used any node, and a tenant has nodes of its own. Label them "
                f"{NODE_LABEL}={self.name}, or write the label that they have."
            )

    def _settle_resources(self) -> None:
        for path, _ in self._complaints():
            if path[0] == "resources":
                self._settle(path[1], path[2].removesuffix("_request"))

    def _settle(self, table: str, resource: str) -> None:
        request, limit = (f"resources.{table}.{resource}_{kind}" for kind in ("request", "limit"))
        if self.get(limit) and not self.get(request):
            # As Kubernetes does where only a limit is given.
            self.set(request, self.get(limit))
        elif self.get(request) and not self.get(limit):
            self.set(limit, self.get(request))
            self.tell(f"{limit} is set to the request: there was no limit, and here everything has one.")
        else:
            self.set(request, self.get(limit))
            self.tell(f"{request} is set to the limit, which was below it.")

    def _complaints(self) -> list[tuple[Path, str]]:
        found: list[tuple[Path, str]] = []
        checks.check(self._tenant(), lambda path, text: found.append((path, text)))
        return found

    def _tenant(self) -> Tenant:
        file = TomlFile("", "")
        values = file.flat(Tenant, {key: value for key, value in self.values.items() if key != "version"})
        tenant: Tenant = build(Tenant, values | {("name",): self.name}, [])
        return tenant

    def _remove(self, path: Path) -> bool:
        """Remove the entry of a list, the key, or the closest thing around it that is there; tells whether it could."""
        around: list[tuple[Any, Any]] = []
        here: Any = self.values
        for part in path:
            key: Any = int(part) if isinstance(here, list) and part.isdecimal() else part
            if not isinstance(here, (dict, list)) or (isinstance(here, dict) and key not in here):
                break
            around.append((here, key))
            here = here[key]
        # Of an entry of a list, half would not do.
        lists = [(table, key) for table, key in around if isinstance(table, list)]
        if around:
            table, key = lists[0] if lists else around[-1]
            del table[key]
        return bool(around)


_IMAGES = {
    "kaniko": "gcr.io/kaniko-project/executor:v1.24.0-debug",
    "helper": "registry.gitlab.com/gitlab-org/gitlab-runner/gitlab-runner-helper:x86_64-v19.4.0",
}
