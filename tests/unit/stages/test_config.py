"""config resolves a job once: everything that the later stages need, and no secret where it does not belong."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from executor import __version__
from executor.cache import sts
from executor.cache.bucket import Keys
from executor.cache.generation import generation
from executor.errors import CredentialsInvalid, JobRefused, SettingsInvalid
from executor.job import Job, Limits
from executor.runner.response import JobResponse, RegistryLogin, Service, Variable
from executor.settings.load import Settings
from executor.settings.model import Driver, Log, Tenant
from executor.stages.config import answer, resolve
from tests.support.tenants import CACHE, tenant

NOW = 1_800_000_000.0
RESPONSE = JobResponse(
    id=4711,
    timeout=3600,
    name="build $(HOME) ä",
    project_id=42,
    project_path="group/project",
    root_namespace_id=5,
    ref="main",
    sha="0123456789012345678901234567890123456789",
    protected=True,
    image="",
    services=(),
    logins=(RegistryLogin(url="registry.example.com", username="gitlab-ci-token", password="s3cret-of-job"),),
)


@pytest.fixture
def private(tmp_path: Path) -> Path:
    folder = tmp_path / "private"
    folder.mkdir(mode=0o700)
    return folder


class Resolver:
    """Settings with a kubeconfig, and jobs resolved with them."""

    def __init__(self, folder: Path, private: Path) -> None:
        self.private = private
        self.wishes: dict[str, str] = {}
        self.logins = folder / "logins.json"
        login = b64encode(b"tenant:s3cret-of-tenant").decode()
        self.logins.write_text(json.dumps({"auths": {"docker.io": {"auth": login}}}))
        self.kubeconfig = folder / "kubeconfig"
        self.kubeconfig.write_text(
            json.dumps(
                {
                    "current-context": "c",
                    "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                    "clusters": [{"name": "c", "cluster": {"server": "https://10.0.0.1:6443"}}],
                    "users": [{"name": "u", "user": {"token": "s3cret-of-cluster"}}],
                }
            )
        )

    def resolve(self, response: JobResponse = RESPONSE, **tables: dict[str, Any]) -> Job:
        tables = {"registry": {"logins_file": str(self.logins)}, "cache": CACHE} | tables
        tables["cluster"] = {"kubeconfig": str(self.kubeconfig)} | tables.get("cluster", {})
        settings = Settings(driver=Driver(log=Log(file="/var/log/x")), tenant=tenant(**tables))
        return resolve(settings, response, self.wishes, private=str(self.private), now=NOW)


@pytest.fixture
def resolver(tmp_path: Path, private: Path) -> Resolver:
    return Resolver(tmp_path, private)


def test_names_are_of_this_attempt_alone(resolver: Resolver) -> None:
    one, two = resolver.resolve(), resolver.resolve()
    assert one.pod.startswith("kaniko-job-4711-")
    assert one.pod != two.pod
    assert one.attempt != two.attempt
    assert one.manifest["metadata"]["name"] == one.pod
    assert one.manifest["metadata"]["labels"]["kaniko-driver/attempt"] == one.attempt


def test_deadlines_follow_from_the_jobs_time_out(resolver: Resolver) -> None:
    job = resolver.resolve(timeouts={"after_job": "20m", "schedule": "10m"})
    assert job.manifest["spec"]["activeDeadlineSeconds"] == 3600 + 1200
    delete_after = int(job.manifest["metadata"]["annotations"]["kaniko-driver/delete-after"])
    assert delete_after >= NOW + 600 + 3600 + 1200


def test_settings_arrive_in_the_job(resolver: Resolver) -> None:
    job = resolver.resolve(
        timeouts={"schedule": "1m", "start": "2m", "stop_grace": "5s", "connection": "7m"}, volumes={"output": "1Mi"}
    )
    figures = (job.schedule_timeout, job.start_timeout, job.stop_grace, job.connection_timeout, job.output_limit)
    assert figures == (60, 120, 5, 420, 2**20)
    assert (job.tenant, job.journal, job.build_shell) == ("tenant-a", "/var/log/x", "sh")


def test_gitlabs_own_annotations_say_of_which_job_the_pod_is(resolver: Resolver) -> None:
    annotations = resolver.resolve().manifest["metadata"]["annotations"]
    assert annotations["job.runner.gitlab.com/id"] == "4711"
    assert annotations["job.runner.gitlab.com/name"] == "build $(HOME) ä"
    assert annotations["project.runner.gitlab.com/path"] == "group/project"


def registry_of(job: Job) -> dict[str, Any]:
    containers: list[dict[str, Any]] = job.manifest["spec"]["containers"]
    (registry,) = [one for one in containers if one["name"] == "cache-registry"]
    return registry


def configured_cache(job: Job) -> dict[str, Any]:
    variables = {one["name"]: one.get("value") for one in registry_of(job)["env"]}
    configuration: dict[str, Any] = json.loads(variables["LAYER_CACHE"])
    return configuration


def test_a_job_gets_its_tenants_cache(resolver: Resolver, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("PEM of the authority")
    configuration = configured_cache(
        resolver.resolve(cache=CACHE | {"prefix": "p", "ca_file": str(tmp_path / "ca.pem")})
    )
    assert configuration["prefix"] == "p/tenant-a/protected"
    assert configuration["ca"] == "PEM of the authority"
    # The registry's own clock does the rest, as tests of the program show.
    length, ahead = configuration["generation_seconds"], configuration["stagger_seconds"]
    assert (NOW + ahead) // length == generation("tenant-a", NOW, length)


def test_a_job_that_may_only_read_gets_the_keys_for_reading(resolver: Resolver) -> None:
    cache = CACHE | {"unprotected": "read-only", "read_only_secret": "reader"}
    branch = resolver.resolve(replace(RESPONSE, protected=False), cache=cache)
    assert configured_cache(branch)["read_only"] is True
    for job, secret in ((branch, "reader"), (resolver.resolve(cache=cache), CACHE["secret"])):
        references = [one["valueFrom"] for one in registry_of(job)["env"] if "valueFrom" in one]
        assert {one["secretKeyRef"]["name"] for one in references} == {secret}


def test_a_job_whose_keys_sts_refuses_builds_without_the_cache_and_is_told(
    resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "asker")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "asker")
    cache = CACHE | {"credentials": "sts", "role": "arn:aws:iam::1:role/r", "sts_endpoint": "http://127.0.0.1:1"}
    job = resolver.resolve(cache=cache)
    assert "cache-registry" not in {one["name"] for one in job.manifest["spec"]["containers"]}
    assert job.secrets == ()
    (note,) = [note for note in job.notes if "layer cache" in note]
    assert note.startswith("built without the layer cache: STS could not be asked for keys")


def test_keys_of_sts_are_a_secret_of_the_job_and_stand_nowhere_in_its_pod(
    resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = Keys(access="ASIAGIVEN", secret="given-secret", token="given-token")
    asked: list[dict[str, Any]] = []

    def assume(_: Tenant, **order: Any) -> Keys:
        asked.append(order)
        return given

    monkeypatch.setattr(sts, "assume", assume)
    job = resolver.resolve(
        cache=CACHE | {"credentials": "sts", "role": "arn:aws:iam::1:role/r"}, timeouts={"after_job": "20m"}
    )
    (secret,) = job.secrets
    assert secret["metadata"]["name"] == f"{job.pod}-cache"
    assert b64decode(secret["data"]["AWS_SECRET_ACCESS_KEY"]) == b"given-secret"
    assert "given-secret" not in json.dumps(job.manifest)
    assert job.manifest["spec"]["schedulingGates"]
    assert asked == [{"session": job.pod, "seconds": 3600 + 1200, "read_only": False}]


def test_a_job_that_wants_no_cache_gets_none_and_one_from_a_fork_is_told(resolver: Resolver) -> None:
    off = replace(RESPONSE, variables=(Variable(key="KANIKO_DRIVER_CACHE", value="off"),))
    names = [one["name"] for one in resolver.resolve(off).manifest["spec"]["containers"]]
    assert "cache-registry" not in names
    fork = replace(RESPONSE, variables=(Variable(key="CI_MERGE_REQUEST_SOURCE_PROJECT_ID", value="99"),))
    assert "the layer cache is read-only for this job" in " ".join(resolver.resolve(fork).notes)


def test_an_image_that_was_replaced_is_noted(resolver: Resolver) -> None:
    job = resolver.resolve(replace(RESPONSE, image="gcr.io/kaniko-project/executor:debug"))
    assert "in place of the job's image gcr.io/kaniko-project/executor:debug" in job.notes[0]


def test_logins_are_the_jobs_over_the_tenants(resolver: Resolver) -> None:
    assert set(json.loads(resolver.resolve().logins)["auths"]) == {"docker.io", "registry.example.com"}
    assert resolver.resolve(replace(RESPONSE, logins=()), registry={}).logins == ""


def test_no_secret_is_in_the_manifest(resolver: Resolver) -> None:
    manifest = json.dumps(resolver.resolve().manifest)
    assert "s3cret" not in manifest
    for login in ("tenant:s3cret-of-tenant", "gitlab-ci-token:s3cret-of-job"):
        assert b64encode(login.encode()).decode() not in manifest


def test_the_clusters_token_is_in_a_private_file_and_not_in_the_job(resolver: Resolver, private: Path) -> None:
    job = resolver.resolve()
    assert "s3cret-of-cluster" not in repr(job)
    assert Path(job.connection.token_file).parent == private


def test_the_job_survives_its_file(resolver: Resolver, private: Path) -> None:
    job = resolver.resolve()
    job.write(str(private / "job.json"))
    assert Job.read(str(private / "job.json")) == job


def test_the_answer_has_what_the_runner_reads_and_nothing_else(resolver: Resolver) -> None:
    job = resolver.resolve()
    assert answer(job, "/private/kaniko-driver.json") == {
        "driver": {"name": "kaniko-driver", "version": f"v{__version__}"},
        "hostname": job.pod,
        "builds_dir": "/builds",
        "cache_dir": "/cache",
        "builds_dir_is_shared": False,
        "shell": "bash",
        "job_env": {"KANIKO_DRIVER_JOB_FILE": "/private/kaniko-driver.json"},
    }


def test_what_the_tenant_does_not_allow_is_refused(resolver: Resolver) -> None:
    with pytest.raises(JobRefused):
        resolver.resolve(replace(RESPONSE, image="debian:12"))
    with pytest.raises(JobRefused):
        resolver.resolve(replace(RESPONSE, services=(Service(name="docker:dind"),)))


PRIVATE_IMAGE = replace(RESPONSE, image="registry.example.com/tools:1")
ALLOWED = {"images": {"allowed": ["registry.example.com/*"]}}


class TestSecretsOfAJob:
    def test_the_usual_job_has_none_and_no_gate(self, resolver: Resolver) -> None:
        job = resolver.resolve()
        assert job.secrets == ()
        assert "schedulingGates" not in job.manifest["spec"]

    def test_an_image_behind_a_login_is_pulled_with_the_login_of_its_registry_alone(self, resolver: Resolver) -> None:
        job = resolver.resolve(PRIVATE_IMAGE, **ALLOWED)
        (secret,) = job.secrets
        assert secret["metadata"]["name"] == f"{job.pod}-pull"
        assert secret["type"] == "kubernetes.io/dockerconfigjson"
        auths = json.loads(b64decode(secret["data"][".dockerconfigjson"]))["auths"]
        assert list(auths) == ["registry.example.com"]
        assert job.manifest["spec"]["imagePullSecrets"] == [{"name": f"{job.pod}-pull"}]
        assert job.manifest["spec"]["schedulingGates"] == [{"name": "kaniko-driver/secrets"}]

    def test_the_variable_docker_auth_config_wins(self, resolver: Resolver) -> None:
        text = json.dumps({"auths": {"registry.example.com": {"auth": "other"}}})
        variables = (Variable(key="DOCKER_AUTH_CONFIG", value="{"), Variable(key="DOCKER_AUTH_CONFIG", value=text))
        (secret,) = resolver.resolve(replace(PRIVATE_IMAGE, variables=variables), **ALLOWED).secrets
        assert json.loads(b64decode(secret["data"][".dockerconfigjson"]))["auths"] == {
            "registry.example.com": {"auth": "other"}
        }

    def test_an_image_without_a_login_needs_none(self, resolver: Resolver) -> None:
        job = resolver.resolve(replace(PRIVATE_IMAGE, logins=()), **ALLOWED)
        assert job.secrets == ()

    def test_docker_hubs_login_is_found_under_its_old_name(self, resolver: Resolver) -> None:
        login = RegistryLogin(url="https://index.docker.io/v1/", username="u", password="p")
        job = resolver.resolve(
            replace(RESPONSE, image="debian:12", logins=(login,)), images={"allowed": ["debian:*"]}, registry={}
        )
        assert [secret["type"] for secret in job.secrets] == ["kubernetes.io/dockerconfigjson"]

    def test_nothing_of_them_is_in_the_manifest(self, resolver: Resolver) -> None:
        service = Service(name="postgres:16", variables=(Variable(key="POSTGRES_PASSWORD", value="s3cret-of-db"),))
        job = resolver.resolve(
            replace(PRIVATE_IMAGE, services=(service,)), **ALLOWED, services={"allowed": ["postgres:*"]}
        )
        manifest = json.dumps(job.manifest)
        for secret in job.secrets:
            assert secret["metadata"]["labels"] == job.manifest["metadata"]["labels"]
        assert "s3cret" not in manifest
        assert b64decode(job.secrets[-1]["data"]["POSTGRES_PASSWORD"]) == b"s3cret-of-db"


@pytest.mark.parametrize(
    ("value", "shown"), [("true", True), ("1", True), ("", False), ("false", False), ("yes", False)]
)
def test_logs_of_services_are_shown_where_the_job_says_so_in_a_word_that_the_runner_takes(
    resolver: Resolver, value: str, *, shown: bool
) -> None:
    resolver.wishes = {"CI_DEBUG_SERVICES": value}
    services = (Service(name="registry.example.com:5000/group/db:16", aliases=("db", "sql")), Service(name="redis"))
    job = resolver.resolve(replace(RESPONSE, services=services), services={"allowed": ["*"]})
    expected = {"svc-0": "registry.example.com:5000/group/db-db-sql", "svc-1": "redis"}
    assert job.service_logs == (expected if shown else {})


@pytest.mark.parametrize(("value", "told"), [("true", True), ("false", False)])
def test_events_are_told_where_the_job_asks_for_them(resolver: Resolver, value: str, *, told: bool) -> None:
    resolver.wishes = {"FF_PRINT_POD_EVENTS": value}
    assert resolver.resolve().print_events is told


@pytest.mark.parametrize(("value", "usual"), [("true", True), ("false", False)])
def test_a_clone_is_not_for_everybody_to_write_where_the_job_says_so(
    resolver: Resolver, value: str, *, usual: bool
) -> None:
    resolver.wishes = {"FF_DISABLE_UMASK_FOR_KUBERNETES_EXECUTOR": value}
    assert resolver.resolve().usual_umask is usual


@pytest.mark.parametrize("content", [None, b"{", b"\xff s3cret"])
def test_logins_that_cannot_be_used_are_told_without_their_content(resolver: Resolver, content: bytes | None) -> None:
    if content is None:
        resolver.logins.unlink()
    else:
        resolver.logins.write_bytes(content)
    with pytest.raises(SettingsInvalid, match=r"registry logins|cannot be read") as refused:
        resolver.resolve()
    assert "s3cret" not in str(refused.value)
    assert "registry.logins_file" in refused.value.remedy


def test_without_a_way_to_the_cluster_there_is_no_job(resolver: Resolver) -> None:
    with pytest.raises(CredentialsInvalid):
        resolver.resolve(cluster={"kubeconfig": "/no/such/kubeconfig"})


def test_limits_are_those_of_the_pod_as_it_will_be(resolver: Resolver) -> None:
    build = {"memory_limit": "3Gi", "ephemeral_storage_limit": "6G", "cpu_limit": "1500m"}
    limits = resolver.resolve(resources={"build": build}, volumes={"builds": "2Gi"}).limits
    assert limits == Limits(memory=3 << 30, disk=6 * 10**9, builds=2 << 30, cpu=1500)


@pytest.mark.parametrize(
    ("sections", "plain", "expected"), [(True, False, True), (True, True, False), (False, False, False)]
)
def test_sections_are_made_where_gitlab_folds_them_and_the_author_wants_them(
    resolver: Resolver, *, sections: bool, plain: bool, expected: bool
) -> None:
    assert resolver.resolve(replace(RESPONSE, trace_sections=sections, no_color=plain)).sections is expected


def test_failed_pods_are_kept_only_where_the_tenant_says_so(resolver: Resolver) -> None:
    assert resolver.resolve().keep_failed == 0
    job = resolver.resolve(debug={"keep_failed": "30m", "keep_failed_most": 3})
    assert (job.keep_failed, job.keep_failed_most) == (1800, 3)
