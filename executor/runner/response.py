"""The job response: the one file of a job whose content its author cannot forge.

`CUSTOM_ENV_*` variables and `variables` of this file are the author's wishes; everything else here is GitLab's word.
Source: common/spec/spec.go of GitLab Runner 19.4, type Job.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from executor.errors import ContractBroken


@dataclass(frozen=True, kw_only=True)
class RegistryLogin:
    """A registry's address and a login for it, from `credentials` of the response."""

    url: str
    username: str
    password: str


@dataclass(frozen=True, kw_only=True)
class JobResponse:
    """What the driver needs of a job, in GitLab's own terms."""

    id: int
    timeout: int
    """Seconds, as the runner applies it; 3600 where GitLab says none."""
    name: str
    project_id: int
    project_path: str
    root_namespace_id: int
    ref: str
    sha: str
    protected: bool
    """False where the response does not say: an absent answer must not open a protected cache."""
    image: str
    services: tuple[str, ...]
    logins: tuple[RegistryLogin, ...]
    trace_sections: bool = False
    """GitLab can fold sections of the log."""
    no_color: bool = False
    """The author asks for plain text (https://no-color.org): a wish, and nothing but a wish."""


def read_job_response(path: str) -> JobResponse:
    """Read the file that the runner names in JOB_RESPONSE_FILE.

    Raises:
        ContractBroken: it cannot be read or lacks what every job has.
    """
    try:
        with open(path, "rb") as file:
            document = json.load(file)
        return _parse(document)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ContractBroken(
            "The job's description from GitLab Runner cannot be used.",
            why=f"{path}: {type(error).__name__}: {error}",
            remedy="kaniko-driver supports GitLab Runner 17.9 and later; check the runner's version.",
        ) from error


def _last_value(document: dict[str, Any], key: str) -> str:
    """Return a variable as the author's script would see it: of several the last one counts."""
    values = [str(entry.get("value") or "") for entry in document.get("variables") or () if entry.get("key") == key]
    return values[-1] if values else ""


def _parse(document: dict[str, Any]) -> JobResponse:
    info: dict[str, Any] = document.get("job_info") or {}
    git: dict[str, Any] = document.get("git_info") or {}
    image: dict[str, Any] = document.get("image") or {}
    return JobResponse(
        id=int(document["id"]),
        timeout=int((document.get("runner_info") or {}).get("timeout") or 3600),
        name=str(info.get("name") or ""),
        project_id=int(info.get("project_id") or 0),
        project_path=str(info.get("project_full_path") or ""),
        root_namespace_id=int(info.get("root_namespace_id") or 0),
        ref=str(git.get("ref") or ""),
        sha=str(git.get("sha") or ""),
        protected=git.get("protected") is True,
        image=str(image.get("name") or ""),
        services=tuple(str(service.get("name", "")) for service in document.get("services") or ()),
        logins=tuple(
            RegistryLogin(url=str(entry["url"]), username=str(entry["username"]), password=str(entry["password"]))
            for entry in document.get("credentials") or ()
            if entry.get("type") == "registry"
        ),
        trace_sections=(document.get("features") or {}).get("trace_sections") is True,
        no_color=bool(_last_value(document, "NO_COLOR")),
    )
