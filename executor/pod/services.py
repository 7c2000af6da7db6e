"""`services:` of a job: which containers run beside the build, under which names, and with which variables.

They are native sidecars: they start before the build and end with it, and where a job has none the pod has none.
All containers of a pod share one network, so every name of a service is the loopback address, as with the built-in
executor. Variables travel in a Secret of the job and never in the manifest.
Source: helpers/container/services/services.go, executors/kubernetes/host_aliases.go and GetServiceVariables() in
common/build.go of GitLab Runner 19.4.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from executor.errors import JobRefused
from executor.pod import names, overrides
from executor.pod.image import choose_pull_policies, require_image_name
from executor.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from executor.runner.response import JobResponse, Service, Variable
    from executor.settings.model import Resources, Tenant

_DOCKER_IN_DOCKER = re.compile(r"(?:.*/)?docker:[^/@]*dind[^/@]*(?:@.*)?")
# As the API server checks names of hosts (RFC 1123) and of variables.
_LABEL = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_LONGEST_HOST = 253
_HOST_OF_URL = re.compile(r"https?://(?:[^/@]*@)?([^/:?#]+)")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,252}")
# Bounded, as GitLab's own names are: without an end, each of many open braces would be looked behind to the text's end.
_REFERENCE = re.compile(r"\$(?:\{([^}]{0,255})\}|([A-Za-z_][A-Za-z0-9_]*|[*#$@!?0-9-]))")
_VERSION = re.compile(r"(?::[^/:@]+)?(?:@.*)?$")
_PORT = re.compile(r":[0-9]+(?=/|$)")
_HEALTH_CHECK = "HEALTHCHECK_TCP_PORT"
_LAST_PORT = 65535
_LONGEST_QUOTE = 100
_VARIABLES_AT_MOST = 900_000
"""Bytes; a Secret takes 1 MiB, base64 not counted."""
_EXPANDED_AT_MOST = 8_000_000
"""Characters that references may become in all: a short text can name a long one a hundred thousand times, and this
happens on the runner's host."""


@dataclass(frozen=True, kw_only=True)
class Sidecar:
    """One service as a container."""

    container: str
    image: str
    pull_policies: tuple[str, ...]
    """As Kubernetes writes them, each for when a pull with the one before failed; none: the tenant's own."""
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    variables: Mapping[str, str]
    log_name: str = ""
    """What its lines are marked with where the job log shows them."""
    resources: Resources | None = None
    """None: the tenant's own for services."""
    notes: tuple[str, ...] = ()
    """What the job's author should know of it."""
    health_port: int = 0
    """TCP port to wait for before the job's scripts begin; 0 for none."""


@dataclass(frozen=True, kw_only=True)
class Services:
    """What a job's services are in its pod."""

    sidecars: tuple[Sidecar, ...] = ()
    hosts: tuple[str, ...] = ()
    """Names under which the loopback address is known."""
    notes: tuple[str, ...] = ()

    @property
    def health_ports(self) -> dict[str, str]:
        """Port to wait for, as text -> image of its service; one image may run twice, but never on one port."""
        return {str(sidecar.health_port): sidecar.image for sidecar in self.sidecars if sidecar.health_port}

    @property
    def log_names(self) -> dict[str, str]:
        """Container -> what its lines are marked with in the job log."""
        return {sidecar.container: sidecar.log_name for sidecar in self.sidecars}


def choose_services(response: JobResponse, tenant: Tenant) -> Services:
    """Decide.

    Raises:
        JobRefused: services that the tenant does not allow, or that no pod can have.
    """
    if not response.services:
        return Services()
    _require_allowed(response.services, tenant)
    sidecars = tuple(_sidecar(index, response, tenant) for index in range(len(response.services)))
    taken = _servers_of_the_cache(tenant)
    return Services(
        sidecars=sidecars,
        # Once each, in the order of the author.
        hosts=tuple(dict.fromkeys(host for service in response.services for host in _hosts(service, taken))),
        notes=tuple(note for sidecar in sidecars for note in sidecar.notes),
    )


def _require_allowed(services: tuple[Service, ...], tenant: Tenant) -> None:
    wanted = ", ".join(service.name for service in services)
    for service in services:
        require_image_name(service.name, "A service of this job")
    if any(_DOCKER_IN_DOCKER.fullmatch(service.name) for service in services):
        raise JobRefused(
            "This runner starts no Docker daemon, and the job asks for one: " + wanted + ".",
            why="A Docker daemon needs a privileged container, which no tenant gets.",
            remedy="Kaniko builds images without Docker: remove docker:dind from `services:`, and DOCKER_HOST with it.",
        )
    if not tenant.services.allowed:
        raise JobRefused(
            f"This runner starts no services, and the job asks for: {wanted}.",
            remedy="A build with Kaniko needs none: remove `services:` from the job, "
            f"or ask the operator of {tenant.name} to set services.allowed.",
        )
    for service in services:
        if not any(fnmatchcase(service.name, pattern) for pattern in tenant.services.allowed):
            raise JobRefused(
                f"A service of this job was refused: {service.name} is not among those that {tenant.name} allows.",
                why=f"Allowed: {', '.join(tenant.services.allowed)}.",
                remedy=f"Remove it from `services:`, or ask the operator of {tenant.name} to add it to "
                "services.allowed.",
            )
    if len(services) > tenant.services.most:
        raise JobRefused(
            f"The job asks for {len(services)} services, and {tenant.name} allows {tenant.services.most} at once.",
            remedy=f"Remove some of `services:`, or ask the operator of {tenant.name} to raise services.most.",
        )


def _sidecar(index: int, response: JobResponse, tenant: Tenant) -> Sidecar:
    service = response.services[index]
    variables = _environment(response, service)
    resources, notes = overrides.of_service(
        tenant, service.name, {one.key: variables[one.key] for one in service.variables}
    )
    if service.user:
        notes = (f"kubernetes:user of the service {service.name} is not used: it runs as the user of its image", *notes)
    return Sidecar(
        container=names.service(index),
        image=service.name,
        log_name="-".join((_VERSION.sub("", service.name), *service.aliases)),
        pull_policies=choose_pull_policies(service.pull_policies, tenant, service.name),
        entrypoint=service.entrypoint,
        command=service.command,
        variables=variables,
        resources=resources,
        notes=notes,
        health_port=_health_port(service, variables),
    )


def _servers_of_the_cache(tenant: Tenant) -> frozenset[str]:
    """Return the hosts that the cache registry speaks to: it would bring its token for STS to a service of this name.

    All containers of a pod share the names of its services, the one that has keys and token as well.
    """
    cache = tenant.cache
    urls = (cache.endpoint, cache.sts_endpoint)
    hosts = {found[1].lower() for url in urls if (found := _HOST_OF_URL.match(url))}
    return frozenset(hosts | {f"{cache.bucket}.{host}" for host in hosts})


def _hosts(service: Service, taken: frozenset[str]) -> Iterable[str]:
    if service.proxied:
        return
    plain = _PORT.sub("", _VERSION.sub("", service.name), count=1)
    # The first one is made from most names and is no host name then; GitLab drops it as well.
    made = (plain.replace("/", "__"), plain.replace("/", "-"))
    yield from (host for host in made if _is_host(host) and host not in taken)
    for alias in service.aliases:
        if not _is_host(alias):
            raise JobRefused(
                f"The service {service.name} has an alias that no host can have: {alias[:_LONGEST_QUOTE]!r}",
                why="Names of hosts have small letters, digits, dots and hyphens; each part begins and ends with a "
                "letter or digit and has 63 characters at most.",
                remedy="Correct `alias:` in .gitlab-ci.yml; several are separated by blanks or commas.",
            )
        if alias in taken:
            raise JobRefused(
                f"The service {service.name} cannot have the alias {alias!r}.",
                why="It is the server of the layer cache, which other containers of the pod must find.",
                remedy="Choose another `alias:` in .gitlab-ci.yml.",
            )
        yield alias


def _is_host(name: str) -> bool:
    return len(name) <= _LONGEST_HOST and _HOST.fullmatch(name) is not None


# ---------------------------------------------------------------- variables


def _environment(response: JobResponse, service: Service) -> dict[str, str]:
    """Return the job's public variables and over them the service's own, which may refer to any of the job's."""
    project = f"{names.BUILDS_FOLDER}/{response.project_path}"
    # What the runner adds by itself stands in no response.
    known = {
        "CI_BUILDS_DIR": names.BUILDS_FOLDER,
        "CI_PROJECT_DIR": project,
        "RUNNER_TEMP_PROJECT_DIR": f"{project}.tmp",
    }
    job = known | _values(response.variables, known | _written(response.variables, project))
    own = _values(service.variables, job | _written(service.variables, project))
    for key, value in own.items():
        if not _VARIABLE.fullmatch(key) or "\0" in value:
            raise JobRefused(
                f"The service {service.name} cannot have the variable {key[:_LONGEST_QUOTE]!r}.",
                why="Names of variables have letters, digits and underscores, and values no NUL character.",
                remedy="Correct `variables:` of the service in .gitlab-ci.yml.",
            )
    public = known.keys() | {variable.key for variable in response.variables if variable.public and not variable.masked}
    usual = {
        key: value for key, value in job.items() if key in public and _VARIABLE.fullmatch(key) and "\0" not in value
    }
    variables = usual | own
    size = sum(len(key) + len(value.encode()) for key, value in variables.items())
    if size > _VARIABLES_AT_MOST:
        raise JobRefused(
            f"The variables for the service {service.name} are too large: {size} bytes of {_VARIABLES_AT_MOST}.",
            remedy="Make the job's public variables smaller, or put large ones into files of the project.",
        )
    return variables


def _written(variables: Iterable[Variable], project: str) -> dict[str, str]:
    """Return what a reference to each variable stands for; of a file variable it is the path that scripts see."""
    return {
        variable.key: f"{project}.tmp/{variable.key}" if variable.file else variable.value for variable in variables
    }


def _values(variables: Iterable[Variable], source: Mapping[str, str]) -> dict[str, str]:
    values, room = {}, _EXPANDED_AT_MOST
    for variable in variables:
        if variable.raw or variable.file:
            values[variable.key] = source[variable.key]
        else:
            values[variable.key] = _expanded(variable.value, source, room)
            room -= len(values[variable.key])
    return values


def _expanded(text: str, source: Mapping[str, str], most: int) -> str:
    """Replace `$NAME` and `${NAME}` once, as Go's os.Expand does; `$$` is a dollar sign, the unknown is empty.

    Raises:
        JobRefused: more than `most` characters would come of it.
    """
    parts, last, size = [], 0, 0
    for found in _REFERENCE.finditer(text):
        value = "$" if found[2] == "$" else source.get(found[1] or found[2] or "", "")
        parts += [text[last : found.start()], value]
        last = found.end()
        size += len(parts[-2]) + len(value)
        if size > most:
            break
    if size + len(text) - last > most:
        raise JobRefused(
            "The variables for the services of this job become too large when the references in them are replaced.",
            why=f"More than {_EXPANDED_AT_MOST} characters would come of them.",
            remedy="Correct `variables:` in .gitlab-ci.yml: one of them names a large one many times.",
        )
    return "".join((*parts, text[last:]))


def _health_port(service: Service, variables: Mapping[str, str]) -> int:
    # Of the service's own variables only, as with the built-in executor.
    if _HEALTH_CHECK not in {variable.key for variable in service.variables}:
        return 0
    text = variables[_HEALTH_CHECK]
    if re.fullmatch(r"[0-9]{1,5}", text) and 1 <= int(text) <= _LAST_PORT:
        return int(text)
    raise JobRefused(
        f"The service {service.name} has a {_HEALTH_CHECK} that is no port: {text[:20]!r}",
        remedy="Correct it in `variables:` of the service in .gitlab-ci.yml.",
    )
