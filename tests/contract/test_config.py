"""config's stdout is the contract's one JSON object, and every bad input becomes words, a remedy and the right code."""

from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING

import pytest

from executor import __version__
from tests.contract.conftest import BUILD_FAILURE, SYSTEM_FAILURE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.contract.conftest import Attempt, Done


def refused(attempt: Attempt, done: Done, code: int = SYSTEM_FAILURE) -> str:
    """Hold what is true of every refusal; returns its words."""
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith("kaniko-driver: ")
    assert len(done.err.splitlines()) >= 2, f"no remedy: {done.err}"
    after = attempt.stage("cleanup")
    assert (after.code, after.words) == (0, "")
    assert after.seconds < 30
    return done.err


def test_stdout_is_one_json_object_with_these_keys_and_nothing_else(attempt: Attempt) -> None:
    done = attempt.config()
    assert (done.code, done.err) == (0, "")
    answer = json.loads(done.out)
    pod = attempt.job["pod"]
    assert answer == {
        "driver": {"name": "kaniko-driver", "version": f"v{__version__}"},
        "hostname": pod,
        "builds_dir": "/builds",
        "cache_dir": "/cache",
        "builds_dir_is_shared": False,
        "shell": "bash",
        "job_env": {"KANIKO_DRIVER_JOB_FILE": str(attempt.folder / "kaniko-driver.json")},
    }


def test_the_job_file_is_private_and_in_the_runners_folder(attempt: Attempt) -> None:
    attempt.config()
    for name in ("kaniko-driver.json", "token", "ca.crt"):
        assert stat.S_IMODE((attempt.folder / name).stat().st_mode) == 0o600
    assert attempt.job["version"] == 2


def test_each_call_is_another_attempt(attempt: Attempt) -> None:
    attempt.config()
    first = attempt.job
    attempt.config()
    assert (attempt.job["pod"] != first["pod"], attempt.job["attempt"] != first["attempt"]) == (True, True)


def test_the_runners_boot_check_is_a_job(attempt: Attempt) -> None:
    attempt.response(id=2**63 - 1, token="boot-verify", job_info={"project_id": 0}, image=None, git_info=None)
    assert attempt.config().code == 0
    assert str(2**63 - 1) in attempt.job["pod"]


def test_the_operator_log_says_which_job_it_was(attempt: Attempt) -> None:
    attempt.config()
    (event,) = attempt.events
    assert (event["event"], event["stage"], event["tenant"], event["job"]) == ("configured", "config", "tenant-a", 4711)
    assert event["namespace"] == attempt.job["connection"]["namespace"]
    assert (event["name"], event["traceparent"], 0 < event["seconds"] < 60) == ("build", "", True)
    assert "s3cret" not in json.dumps(event)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", True),
        ("00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", False),
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\n{}", False),
        ("s3cret", False),
    ],
)
def test_the_trace_that_an_author_names_is_told_where_it_is_well_formed(
    attempt: Attempt, given: str, *, told: bool
) -> None:
    attempt.response(variables=[{"key": "TRACEPARENT", "value": given}])
    attempt.config()
    (event,) = attempt.events
    assert event["traceparent"] == (given if told else "")


def test_an_operator_log_that_cannot_be_written_is_said_and_fails_nothing(attempt: Attempt) -> None:
    attempt.configure(driver="version = 1\n[log]\nfile = '/no/such/folder/driver.jsonl'\n")
    done = attempt.config()
    assert done.code == 0
    assert json.loads(done.out)
    assert "the operator log cannot be written (/no/such/folder/driver.jsonl: No such file" in done.err


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir(0o755)


BROKEN: dict[str, tuple[Callable[[Attempt], object], str]] = {
    "no settings folder": (lambda attempt: attempt.settings.rename(attempt.folder / "x"), "--settings"),
    "no tenants": (lambda attempt: (attempt.settings / "tenants").rename(attempt.folder / "x"), "config_args"),
    "driver.toml is a folder": (lambda attempt: make_folder(attempt.settings / "driver.toml"), "Is a directory"),
    "world-writable": (lambda attempt: (attempt.settings / "driver.toml").chmod(0o666), "chmod go-w"),
    "broken TOML": (lambda attempt: attempt.configure(more="[cache"), "this is no TOML"),
    "unknown key": (lambda attempt: attempt.configure(more="[cache]\nbuket = 'x'\n"), "did you mean 'bucket'?"),
    "bad value": (lambda attempt: attempt.configure(more="[volumes]\nbuilds = '5 GB'\n"), "no Kubernetes quantity"),
    "no kubeconfig": (lambda attempt: attempt.kubeconfig.unlink(), "The kubeconfig cannot be read"),
    "no YAML": (lambda attempt: attempt.kubeconfig.write_text("token: s3cret\n\t- ["), "The kubeconfig is no YAML"),
    "no response": (
        lambda attempt: (attempt.folder / "response.json").unlink(),
        "response.json: No such file",
    ),
    "broken response": (
        lambda attempt: (attempt.folder / "response.json").write_text('{"id": 1, "token": "s3cret'),
        "response.json: Unterminated string",
    ),
    "logins missing": (
        lambda attempt: attempt.configure(more="[registry]\nlogins_file = '/no/such/file'\n"),
        "/no/such/file: No such file",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_the_operator_must_mend_is_a_system_failure_with_words(attempt: Attempt, name: str) -> None:
    break_it, words = BROKEN[name]
    break_it(attempt)
    assert words in refused(attempt, attempt.config())


def test_an_unknown_tenant_is_answered_with_the_nearest_name(attempt: Attempt) -> None:
    said = refused(attempt, attempt.config(tenant="tenant-aa"))
    assert "There is no tenant 'tenant-aa'" in said
    assert "Did the operator mean 'tenant-a'?" in said


def test_failures_reach_the_operator_log_with_their_traceback(attempt: Attempt) -> None:
    attempt.configure(more="[cache]\nbuket = 'x'\n")
    attempt.config()
    (event,) = attempt.events
    assert (event["level"], event["kind"], event["stage"]) == ("error", "SettingsInvalid", "config")
    assert "Traceback" in event["exception"]


def test_an_image_that_is_not_allowed_is_the_jobs_failure(attempt: Attempt) -> None:
    attempt.response(image={"name": "debian:12"})
    said = refused(attempt, attempt.config(), BUILD_FAILURE)
    assert "debian:12 is not among those that tenant-a allows" in said
    assert "images.allowed" in said


def test_services_are_the_jobs_failure(attempt: Attempt) -> None:
    attempt.response(services=[{"name": "docker:dind"}])
    assert "docker:dind" in refused(attempt, attempt.config(), BUILD_FAILURE)


@pytest.mark.parametrize(
    ("missing", "code"),
    [
        ("JOB_RESPONSE_FILE", SYSTEM_FAILURE),
        # Not even the runner's own codes are known: its default for a system failure.
        ("BUILD_FAILURE_EXIT_CODE", 2),
        ("SYSTEM_FAILURE_EXIT_CODE", 2),
    ],
)
def test_a_variable_that_the_runner_did_not_set_is_told_by_name(attempt: Attempt, missing: str, code: int) -> None:
    done = attempt.stage("config", "--settings", str(attempt.settings), "--tenant", "tenant-a", without=missing)
    assert (done.code, done.out) == (code, "")
    assert f"The variable {missing} is missing" in done.err
    assert "gitlab-runner" in done.err


@pytest.mark.parametrize("arguments", [(), ("--tenant",), ("--tennant", "tenant-a"), ("tenant-a",)])
def test_wrong_arguments_are_answered_with_right_ones(attempt: Attempt, arguments: tuple[str, ...]) -> None:
    assert "config_args = [" in refused(attempt, attempt.stage("config", *arguments))


def test_nothing_that_a_job_can_set_changes_what_was_resolved(attempt: Attempt) -> None:
    """Every variable of a job carries the runner's prefix, and those that are read are wishes at closed gates."""
    attempt.config()
    plain = attempt.job
    hostile = {
        "KANIKO_DRIVER_JOB_FILE": "/evil/job.json",
        "JOB_RESPONSE_FILE": "/evil/response.json",
        "BUILD_EXIT_CODE_FILE": "/evil/code",
        "SYSTEM_FAILURE_EXIT_CODE": "0",
        "TENANT": "tenant-b",
        "KANIKO_DRIVER_TENANT": "tenant-b",
        "KUBERNETES_NAMESPACE": "kube-system",
        "KUBERNETES_SERVICE_ACCOUNT_OVERWRITE": "admin",
        "KUBERNETES_CPU_LIMIT": "64",
        "KUBECONFIG": "/evil/kubeconfig",
        "CI_JOB_ID": "1",
        "CI_JOB_IMAGE": "evil.example.com/image",
        "CI_PROJECT_ID": "1",
        "KANIKO_DRIVER_TOOLS": "/evil",
        "PYTHONPATH": "/evil",
        "HTTPS_PROXY": "http://evil:1",
    }
    done = attempt.config(**{f"CUSTOM_ENV_{name}": value for name, value in hostile.items()})
    assert done.code == 0
    assert json.loads(done.out)["job_env"] == {"KANIKO_DRIVER_JOB_FILE": str(attempt.folder / "kaniko-driver.json")}
    changed = attempt.job
    (note,) = changed["notes"]
    assert "KUBERNETES_CPU_LIMIT, KUBERNETES_SERVICE_ACCOUNT_OVERWRITE" in note
    assert without_names(changed | {"notes": []}) == without_names(plain)


def test_a_job_that_wants_another_namespace_is_refused(attempt: Attempt) -> None:
    done = attempt.config(CUSTOM_ENV_KUBERNETES_NAMESPACE_OVERWRITE="kube-system")
    assert "All jobs of tenant-a run in the namespace" in refused(attempt, done, BUILD_FAILURE)


class TestSharedRunner:
    """`--tenant-by root-namespace`: GitLab's word on whose job it is decides, and nothing else."""

    @staticmethod
    def config(attempt: Attempt, *, namespace: int, **environment: str) -> Done:
        attempt.response(job_info={"project_id": 3, "root_namespace_id": namespace})
        arguments = ("--settings", str(attempt.settings), "--tenant-by", "root-namespace")
        return attempt.stage("config", *arguments, **environment)

    def test_the_tenant_of_the_root_namespace_gets_the_job(self, attempt: Attempt) -> None:
        attempt.configure(more="[gitlab]\nroot_namespaces = [5, 6]\n")
        assert self.config(attempt, namespace=6).code == 0
        assert attempt.job["tenant"] == "tenant-a"
        assert attempt.events[-1]["tenant"] == "tenant-a"

    @pytest.mark.parametrize(("namespace", "words"), [(7, "belongs to none of them"), (0, "GitLab does not say")])
    def test_a_job_of_nobody_is_refused(self, attempt: Attempt, namespace: int, words: str) -> None:
        attempt.configure(more="[gitlab]\nroot_namespaces = [5]\n")
        forged = {"CUSTOM_ENV_CI_PROJECT_ROOT_NAMESPACE": "5", "CUSTOM_ENV_CI_PROJECT_NAMESPACE_ID": "5"}
        assert words in refused(attempt, self.config(attempt, namespace=namespace, **forged))

    def test_a_job_that_two_tenants_claim_is_refused(self, attempt: Attempt) -> None:
        attempt.configure(more="[gitlab]\nroot_namespaces = [5]\n")
        tenants = attempt.settings / "tenants"
        (tenants / "tenant-b.toml").write_text((tenants / "tenant-a.toml").read_text())
        (tenants / "tenant-b.toml").chmod(0o644)
        assert "tenant-a, tenant-b" in refused(attempt, self.config(attempt, namespace=5))


def without_names(job: dict[str, object]) -> str:
    """The job with what is new in each attempt taken out."""
    text = json.dumps(job).replace(str(job["pod"]), "POD").replace(str(job["attempt"]), "ATTEMPT")
    metadata = json.loads(text)
    del metadata["manifest"]["metadata"]["annotations"]["kaniko-driver/delete-after"]
    return json.dumps(metadata)


def test_variables_of_the_job_response_change_nothing_either(attempt: Attempt) -> None:
    attempt.config()
    plain = without_names(attempt.job)
    evil = [{"key": key, "value": "evil"} for key in ("CI_JOB_IMAGE", "KANIKO_DRIVER_JOB_FILE", "CI_PROJECT_ID")]
    attempt.response(variables=evil)
    attempt.config()
    assert without_names(attempt.job) == plain


def test_a_runner_that_has_gone_is_no_traceback(attempt: Attempt) -> None:
    process = attempt.start("config", "--settings", str(attempt.settings), "--tenant", "tenant-a")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    process.wait()
    assert b"Traceback" not in said


def test_an_environment_as_large_as_linux_takes_is_no_problem(attempt: Attempt) -> None:
    large = {f"CUSTOM_ENV_LARGE{number}": "x" * 120_000 for number in range(8)}
    assert attempt.config(**large).code == 0


def test_any_folder_may_be_the_working_folder(attempt: Attempt) -> None:
    # The settings may be given relative to it, too.
    relative = os.path.relpath(attempt.settings, attempt.folder)
    done = attempt.stage("config", "--settings", relative, "--tenant", "tenant-a")
    assert done.code == 0


@pytest.mark.parametrize(("wish", "wished"), [("5Gi", True), ("", False)])
def test_the_operator_log_tells_jobs_with_limits_of_their_own(attempt: Attempt, wish: str, *, wished: bool) -> None:
    """`tune` must not judge the tenant's limits by them."""
    attempt.configure(more='[overrides.build]\nmemory_limit = "8Gi"\n')
    assert attempt.config(CUSTOM_ENV_KUBERNETES_MEMORY_LIMIT=wish).code == 0
    (configured,) = [event for event in attempt.events if event["event"] == "configured"]
    assert configured["wished"] is wished
