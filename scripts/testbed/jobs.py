"""What a job of the test bed is, and how GitLab would hand it to a runner.

Pure: a `JobSpec` and the circumstances of its submission in, the JSON of `POST /api/v4/jobs/request` out.
No I/O, no clock, no randomness. Field names follow gitlab-runner's `common/spec/spec.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from testbed.coordinator_job import SubmittedJob

Json = dict[str, Any]
When = Literal["on_success", "on_failure", "always"]

NO_COMMIT = "0" * 40
FAILURE_REASONS = (
    "script_failure",
    "runner_system_failure",
    "job_execution_timeout",
    "job_canceled",
    "image_pull_failure",
    "unknown_failure",
    "runner_configuration_error",
)


@dataclass(frozen=True)
class Variable:
    """A CI/CD variable. `file` makes it a file whose path the job sees; `raw` keeps `$` in the value as it is."""

    key: str
    value: str
    public: bool = True
    masked: bool = False
    file: bool = False
    raw: bool = False


@dataclass(frozen=True)
class Image:
    """The `image:` of a job, or one of its `services:`. An empty name means that the job names none."""

    name: str = ""
    alias: str = ""
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    pull_policy: tuple[str, ...] = ()
    variables: tuple[Variable, ...] = ()


@dataclass(frozen=True)
class Artifacts:
    """What a job keeps for later: paths relative to the project folder, uploaded as one archive called `name`."""

    paths: tuple[str, ...]
    name: str = "artifacts"
    exclude: tuple[str, ...] = ()
    untracked: bool = False
    when: When = "on_success"
    kind: str = "archive"
    archive: Literal["zip", "gzip", "raw"] = "zip"


@dataclass(frozen=True)
class Cache:
    """The `cache:` of a job: paths kept between jobs in the runner's own bucket, under `key`."""

    key: str
    paths: tuple[str, ...]
    policy: Literal["pull-push", "pull", "push"] = "pull-push"
    when: When = "on_success"
    fallback_keys: tuple[str, ...] = ()
    untracked: bool = False


@dataclass(frozen=True)
class Credentials:
    """A registry login that GitLab gives to the job, beside its variables."""

    url: str
    username: str
    password: str
    kind: str = "registry"


@dataclass(frozen=True)
class Project:
    """Where the job comes from. The repository `<path>.git` is looked for under the coordinator's repositories.

    `readable` are paths of other projects that its jobs may fetch, as their job token allowlists would say.
    """

    path: str = "group/sample"
    ident: int = 1
    namespace: int = 1
    root_namespace: int = 1
    organization: int = 1
    readable: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True)
class JobSpec:
    """A job as its author and GitLab describe it.

    `timeout` and `after_script_timeout` are seconds. `ident` repeats the number of an earlier job, as a second attempt
    of the same job would; otherwise the coordinator counts. `dependencies` are jobs whose artifacts this one fetches;
    it is handed out when they are finished. `overrides` is laid over the finished payload, table by table.
    """

    tenant: str
    script: tuple[str, ...] = ("true",)
    after_script: tuple[str, ...] = ()
    name: str = "build"
    stage: str = "build"
    ident: int | None = None
    project: Project = Project()
    ref: str = "main"
    ref_is_tag: bool = False
    protected: bool = True
    git_strategy: Literal["", "fetch", "clone", "none", "empty"] = ""
    variables: tuple[Variable, ...] = ()
    image: Image = Image()
    services: tuple[Image, ...] = ()
    artifacts: tuple[Artifacts, ...] = ()
    cache: tuple[Cache, ...] = ()
    credentials: tuple[Credentials, ...] = ()
    dependencies: tuple[SubmittedJob, ...] = ()
    timeout: int = 600
    after_script_timeout: int = 300
    overrides: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Circumstances:
    """What only the coordinator knows when it hands a job out."""

    url: str
    ident: int
    token: str
    sha: str
    dependencies: tuple[Json, ...] = ()


def payload(spec: JobSpec, given: Circumstances) -> Json:
    """The answer to a runner that asked for a job."""
    job: Json = {
        "id": given.ident,
        "token": given.token,
        "allow_git_fetch": True,
        "job_info": _job_info(spec),
        "git_info": _git_info(spec, given),
        "runner_info": {"timeout": spec.timeout, "uuid": ""},
        "variables": [_variable(variable) for variable in (*_predefined(spec, given), *spec.variables)],
        "steps": _steps(spec),
        "image": _image(spec.image),
        "services": [_image(service) for service in spec.services],
        "artifacts": [_artifacts(artifacts) for artifacts in spec.artifacts],
        "cache": [_cache(cache) for cache in spec.cache],
        "credentials": [
            {"type": login.kind, "url": login.url, "username": login.username, "password": login.password}
            for login in spec.credentials
        ],
        "dependencies": list(given.dependencies),
        "features": {
            "trace_sections": True,
            "token_mask_prefixes": ["glrt-", "glcbt-"],
            "failure_reasons": list(FAILURE_REASONS),
        },
    }
    return _laid_over(job, spec.overrides)


def _job_info(spec: JobSpec) -> Json:
    return {
        "name": spec.name,
        "stage": spec.stage,
        "pipeline_id": 1,
        "project_id": spec.project.ident,
        "project_name": spec.project.name,
        "project_full_path": spec.project.path,
        "namespace_id": spec.project.namespace,
        "root_namespace_id": spec.project.root_namespace,
        "organization_id": spec.project.organization,
        "user_id": 1,
    }


def _git_info(spec: JobSpec, given: Circumstances) -> Json:
    tag = f"+refs/tags/{spec.ref}:refs/tags/{spec.ref}"
    branch = f"+refs/heads/{spec.ref}:refs/remotes/origin/{spec.ref}"
    return {
        "repo_url": _repository_url(spec, given),
        "repo_object_format": "sha1",
        "ref": spec.ref,
        "ref_type": "tag" if spec.ref_is_tag else "branch",
        "sha": given.sha,
        "before_sha": NO_COMMIT,
        "refspecs": [tag if spec.ref_is_tag else branch],
        "depth": 20,
        "protected": spec.protected,
    }


def _repository_url(spec: JobSpec, given: Circumstances) -> str:
    server = urlsplit(given.url)
    return f"{server.scheme}://gitlab-ci-token:{given.token}@{server.netloc}/{quote(spec.project.path)}.git"


def _steps(spec: JobSpec) -> list[Json]:
    script = {
        "name": "script",
        "script": list(spec.script),
        "timeout": spec.timeout,
        "when": "on_success",
        "allow_failure": False,
    }
    if not spec.after_script:
        return [script]
    after_script = {
        "name": "after_script",
        "script": list(spec.after_script),
        "timeout": spec.after_script_timeout,
        "when": "always",
        "allow_failure": True,
    }
    return [script, after_script]


def _predefined(spec: JobSpec, given: Circumstances) -> list[Variable]:
    """The variables that GitLab adds itself, as far as images, scripts and the driver look at them."""
    server = urlsplit(given.url)
    project_url = f"{given.url}/{spec.project.path}"
    public = {
        "CI": "true",
        "GITLAB_CI": "true",
        "CI_SERVER": "yes",
        "CI_SERVER_NAME": "GitLab",
        "CI_SERVER_URL": given.url,
        "CI_SERVER_HOST": server.hostname or "",
        "CI_SERVER_PORT": str(server.port or ""),
        "CI_API_V4_URL": f"{given.url}/api/v4",
        "CI_PIPELINE_ID": "1",
        "CI_JOB_ID": str(given.ident),
        "CI_JOB_NAME": spec.name,
        "CI_JOB_STAGE": spec.stage,
        "CI_JOB_URL": f"{project_url}/-/jobs/{given.ident}",
        "CI_PROJECT_ID": str(spec.project.ident),
        "CI_PROJECT_NAME": spec.project.name,
        "CI_PROJECT_PATH": spec.project.path,
        "CI_PROJECT_NAMESPACE": spec.project.path.rpartition("/")[0],
        "CI_PROJECT_URL": project_url,
        "CI_DEFAULT_BRANCH": "main",
        "CI_COMMIT_SHA": given.sha,
        "CI_COMMIT_SHORT_SHA": given.sha[:8],
        "CI_COMMIT_REF_NAME": spec.ref,
        "CI_COMMIT_REF_SLUG": spec.ref.lower().replace("/", "-"),
        "CI_COMMIT_TAG" if spec.ref_is_tag else "CI_COMMIT_BRANCH": spec.ref,
        "CI_COMMIT_REF_PROTECTED": str(spec.protected).lower(),
    }
    if spec.git_strategy:
        public["GIT_STRATEGY"] = spec.git_strategy
    return [
        *(Variable(key, value, raw=True) for key, value in public.items()),
        Variable("CI_JOB_TOKEN", given.token, public=False, masked=True, raw=True),
        Variable("CI_REPOSITORY_URL", _repository_url(spec, given), public=False, raw=True),
    ]


def _variable(variable: Variable) -> Json:
    return {
        "key": variable.key,
        "value": variable.value,
        "public": variable.public,
        "masked": variable.masked,
        "file": variable.file,
        "raw": variable.raw,
    }


def _image(image: Image) -> Json:
    filled = {
        "alias": image.alias,
        "entrypoint": list(image.entrypoint),
        "command": list(image.command),
        "pull_policy": list(image.pull_policy),
        "variables": [_variable(variable) for variable in image.variables],
    }
    return {"name": image.name, **{key: value for key, value in filled.items() if value}}


def _artifacts(artifacts: Artifacts) -> Json:
    return {
        "name": artifacts.name,
        "paths": list(artifacts.paths),
        "exclude": list(artifacts.exclude),
        "untracked": artifacts.untracked,
        "when": artifacts.when,
        "artifact_type": artifacts.kind,
        "artifact_format": artifacts.archive,
        "expire_in": "1 week",
    }


def _cache(cache: Cache) -> Json:
    return {
        "key": cache.key,
        "paths": list(cache.paths),
        "untracked": cache.untracked,
        "policy": cache.policy,
        "when": cache.when,
        "fallback_keys": list(cache.fallback_keys),
    }


def _laid_over(base: Json, overrides: Mapping[str, Any]) -> Json:
    result = dict(base)
    for key, value in overrides.items():
        below = result.get(key)
        nested = isinstance(below, dict) and isinstance(value, Mapping)
        result[key] = _laid_over(below, value) if nested and below is not None else value
    return result
