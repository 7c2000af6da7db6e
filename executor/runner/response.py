"""The job response: the one file of a job whose content its author cannot forge.

`variables`, `image` and `services` of this file, and all `CUSTOM_ENV_*`, are the author's wishes; everything else here
is GitLab's word. What is wrong with it is told by the field's name and never by its value, which may be a secret.
Source: common/spec/spec.go of GitLab Runner 19.4, type Job.
"""

from __future__ import annotations

import json
from typing import Any

from executor.errors import ContractBroken, in_words
from executor.values import dataclass

_DEFAULT_TIMEOUT = 7200
"""Seconds; DefaultTimeout of the runner, which it applies to 0 and less."""
_LONGEST_TIMEOUT = 365 * 24 * 3600
"""Seconds; GitLab allows a month, and Kubernetes 2^31."""
_LARGEST_ID = 2**63 - 1


@dataclass(frozen=True, kw_only=True)
class RegistryLogin:
    """A registry's address and a login for it, from `credentials` of the response."""

    url: str
    username: str
    password: str


@dataclass(frozen=True, kw_only=True)
class Variable:
    """A variable as GitLab sends it, not expanded; keys may repeat, and then the last one counts."""

    key: str
    value: str
    public: bool = False
    masked: bool = False
    file: bool = False
    raw: bool = False


@dataclass(frozen=True, kw_only=True)
class Service:
    """One of the job's `services:`."""

    name: str
    """The image."""
    aliases: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    pull_policies: tuple[str, ...] = ()
    variables: tuple[Variable, ...] = ()
    proxied: bool = False
    """It has `ports:`, so it belongs to the web terminal's proxy, and its aliases are no host names."""
    user: str = ""


@dataclass(frozen=True, kw_only=True)
class JobResponse:
    """What the driver needs of a job, in GitLab's own terms."""

    id: int
    timeout: int
    """Seconds, as the runner applies it; 7200 where GitLab says none."""
    name: str
    project_id: int
    project_path: str
    root_namespace_id: int
    ref: str
    sha: str
    protected: bool
    """False where the response does not say: an absent answer must not open a protected cache."""
    image: str
    pull_policies: tuple[str, ...] = ()
    """What `image:pull_policy` names, in this order; empty where the author leaves it to the runner."""
    user: str = ""
    """`image:kubernetes:user`."""
    services: tuple[Service, ...]
    logins: tuple[RegistryLogin, ...]
    trace_sections: bool = False
    """GitLab can fold sections of the log."""
    no_color: bool = False
    """The author asks for plain text (https://no-color.org): a wish, and nothing but a wish."""
    variables: tuple[Variable, ...] = ()

    def last_value(self, key: str) -> str:
        """Return a variable as the author's script would see it: of several the last one counts."""
        return _last_value(self.variables, key)


def read_job_response(path: str) -> JobResponse:
    """Read the file that the runner names in JOB_RESPONSE_FILE.

    Raises:
        ContractBroken: it cannot be read or lacks what every job has.
    """
    try:
        with open(path, "rb") as file:
            document = json.load(file)
        return _parse(_Table("", document))
    except (OSError, ValueError, RecursionError) as error:
        # The words of these errors are ours, the system's, or a position; never the file's content.
        raise ContractBroken(
            "The job's description from GitLab Runner cannot be used.",
            why=f"{path}: {in_words(error, str(error))}",
            remedy="kaniko-driver supports GitLab Runner 17.9 and later; check the runner's version.",
        ) from error


class Malformed(ValueError):
    """A field has another type than GitLab's."""


class _Table:
    """A JSON object whose fields are read by type; null is the same as absent."""

    def __init__(self, path: str, value: object) -> None:
        if not isinstance(value, dict):
            raise Malformed(f"{path or 'the document'} is no object")
        self._path = path
        self._fields: dict[str, Any] = value

    def table(self, key: str) -> _Table:
        """Return an object; an empty one where there is none."""
        return _Table(self._at(key), self._value(key, {}))

    def tables(self, key: str) -> list[_Table]:
        """Return a list of objects."""
        return [_Table(f"{self._at(key)}[{index}]", item) for index, item in enumerate(self._list(key))]

    def text(self, key: str) -> str:
        """Return a text; empty where there is none."""
        return self._text(self._at(key), self._value(key, ""))

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of texts."""
        return tuple(self._text(f"{self._at(key)}[{index}]", item) for index, item in enumerate(self._list(key)))

    def number(self, key: str, default: int | None = None) -> int:
        """Return a whole number from 0 to 2^63-1."""
        value = self._value(key, default)
        # bool is an int to Python, but not to GitLab.
        if type(value) is not int or not 0 <= value <= _LARGEST_ID:
            raise Malformed(f"{self._at(key)} is no number of GitLab's")
        return value

    def yes(self, key: str) -> bool:
        """Tell whether a field is plainly true."""
        return self._fields.get(key) is True

    def word(self, key: str) -> str:
        """Return a text that may also be written as a number."""
        value = self._value(key, "")
        return str(value) if type(value) is int else self._text(self._at(key), value)

    def _at(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else key

    def _value(self, key: str, default: object) -> Any:
        value = self._fields.get(key)
        return default if value is None else value

    def _list(self, key: str) -> list[Any]:
        value = self._value(key, [])
        if not isinstance(value, list):
            raise Malformed(f"{self._at(key)} is no list")
        return value

    @staticmethod
    def _text(path: str, value: object) -> str:
        if not isinstance(value, str):
            raise Malformed(f"{path} is no text")
        # JSON can spell half a character, which nothing behind this point could encode.
        return value.encode("utf-8", "replace").decode("utf-8")


def _parse(document: _Table) -> JobResponse:
    info, git, image = document.table("job_info"), document.table("git_info"), document.table("image")
    return JobResponse(
        id=document.number("id"),
        timeout=_timeout(document.table("runner_info")),
        name=info.text("name"),
        project_id=info.number("project_id", 0),
        project_path=info.text("project_full_path"),
        root_namespace_id=info.number("root_namespace_id", 0),
        ref=git.text("ref"),
        sha=git.text("sha"),
        protected=git.yes("protected"),
        image=image.text("name"),
        pull_policies=image.texts("pull_policy"),
        user=_user(image),
        services=tuple(_service(service) for service in document.tables("services")),
        logins=tuple(
            RegistryLogin(url=entry.text("url"), username=entry.text("username"), password=entry.text("password"))
            for entry in document.tables("credentials")
            if entry.text("type") == "registry"
        ),
        trace_sections=document.table("features").yes("trace_sections"),
        no_color=bool(_last_value(_variables(document), "NO_COLOR")),
        variables=_variables(document),
    )


def _last_value(variables: tuple[Variable, ...], key: str) -> str:
    """Return a variable as the author's script would see it: of several the last one counts."""
    values = [variable.value for variable in variables if variable.key == key]
    return values[-1] if values else ""


def _timeout(runner_info: _Table) -> int:
    seconds = runner_info.word("timeout")
    # A negative one means none, as 0 does.
    given = int(seconds) if seconds.lstrip("-").isdecimal() else 0
    return min(given, _LONGEST_TIMEOUT) if given > 0 else _DEFAULT_TIMEOUT


def _service(table: _Table) -> Service:
    return Service(
        name=table.text("name"),
        # As Aliases() of the runner: by blanks or commas.
        aliases=tuple(table.text("alias").replace(",", " ").split()),
        entrypoint=table.texts("entrypoint"),
        command=table.texts("command"),
        pull_policies=table.texts("pull_policy"),
        variables=_variables(table),
        proxied=bool(table.tables("ports")),
        user=_user(table),
    )


def _user(image: _Table) -> str:
    return image.table("executor_opts").table("kubernetes").word("user")


def _variables(table: _Table) -> tuple[Variable, ...]:
    return tuple(
        Variable(
            key=entry.text("key"),
            value=entry.text("value"),
            public=entry.yes("public"),
            masked=entry.yes("masked"),
            file=entry.yes("file"),
            raw=entry.yes("raw"),
        )
        for entry in table.tables("variables")
    )
