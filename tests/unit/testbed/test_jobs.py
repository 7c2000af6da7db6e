"""The payload of a job is what GitLab would send."""

from __future__ import annotations

from testbed.jobs import Artifacts, Circumstances, Image, JobSpec, Project, Variable, payload

GIVEN = Circumstances(url="http://10.77.0.1:8929", ident=7, token="glcbt-secret", sha="a" * 40)


def variables(spec: JobSpec) -> dict[str, dict[str, object]]:
    return {variable["key"]: variable for variable in payload(spec, GIVEN)["variables"]}


def test_a_job_without_after_script_has_one_step() -> None:
    steps = payload(JobSpec("tenant-a", script=("one", "two")), GIVEN)["steps"]
    assert [(step["name"], step["script"]) for step in steps] == [("script", ["one", "two"])]


def test_after_script_always_runs_and_may_fail() -> None:
    after = payload(JobSpec("tenant-a", after_script=("bye",)), GIVEN)["steps"][1]
    assert (after["when"], after["allow_failure"]) == ("always", True)


def test_the_repository_is_fetched_with_the_job_token() -> None:
    git = payload(JobSpec("tenant-a", project=Project("a/b c")), GIVEN)["git_info"]
    assert git["repo_url"] == "http://gitlab-ci-token:glcbt-secret@10.77.0.1:8929/a/b%20c.git"


def test_the_job_token_is_a_masked_variable_and_not_public() -> None:
    token = variables(JobSpec("tenant-a"))["CI_JOB_TOKEN"]
    assert (token["value"], token["masked"], token["public"]) == ("glcbt-secret", True, False)


def test_variables_of_the_job_come_after_the_predefined_ones() -> None:
    found = payload(JobSpec("tenant-a", variables=(Variable("CI", "mine", file=True),)), GIVEN)["variables"]
    assert [(variable["value"], variable["file"]) for variable in found if variable["key"] == "CI"] == [
        ("true", False),
        ("mine", True),
    ]


def test_a_tag_is_fetched_as_a_tag() -> None:
    job = payload(JobSpec("tenant-a", ref="v1", ref_is_tag=True), GIVEN)
    assert job["git_info"]["refspecs"] == ["+refs/tags/v1:refs/tags/v1"]
    assert "CI_COMMIT_BRANCH" not in variables(JobSpec("tenant-a", ref="v1", ref_is_tag=True))


def test_an_image_is_sent_without_what_it_does_not_say() -> None:
    job = payload(JobSpec("tenant-a", image=Image("kaniko:debug", entrypoint=("",))), GIVEN)
    assert job["image"] == {"name": "kaniko:debug", "entrypoint": [""]}


def test_artifacts_keep_what_the_author_asked_for() -> None:
    wanted = Artifacts(("out/",), name="result", when="always", exclude=("out/tmp",))
    sent = payload(JobSpec("tenant-a", artifacts=(wanted,)), GIVEN)["artifacts"][0]
    assert (sent["paths"], sent["exclude"], sent["name"], sent["when"]) == (["out/"], ["out/tmp"], "result", "always")


def test_overrides_reach_into_tables_and_replace_the_rest() -> None:
    spec = JobSpec("tenant-a", overrides={"git_info": {"depth": 0}, "hooks": [{"name": "x", "script": []}]})
    job = payload(spec, GIVEN)
    assert job["git_info"]["depth"] == 0
    assert job["git_info"]["sha"] == "a" * 40
    assert job["hooks"] == [{"name": "x", "script": []}]
