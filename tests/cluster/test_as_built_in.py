"""What GitLab Runner's own suites demand of an executor, asked of this one with the real runner.

Sources, in gitlab-runner: `common/buildtest`, `executors/custom/integration_test.go` and
`executors/kubernetes/kubernetes_integration_test.go`. All jobs run side by side before the first test looks at them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from testbed import ci, layout, programs
from testbed.coordinator import Coordinator
from testbed.gitserver import commit
from testbed.joblog import plain
from testbed.jobs import Artifacts, Cache, Image, JobSpec, Project, Variable
from testbed.process import run
from testbed.runner import Runner

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from typing import Any

    from testbed.coordinator_job import JobResult

TENANT = layout.TENANTS[0]
DEBIAN = Image(f"{layout.REGISTRY}/library/$WHICH", entrypoint=("/bin/false",))
SUBMODULE = "group/inner"
NASTY = "a'b\"c`d\\e$(id)${HOME}é☃\n second\tline !*?[x]; rm -rf / # end\r"
MASKED = ("open-sesame-1", "another&secret/2")


def step(name: str, *script: str, when: str = "on_success") -> dict[str, Any]:
    """One entry of `steps[]` in GitLab's answer."""
    return {"name": name, "script": list(script), "timeout": 600, "when": when, "allow_failure": name == "after_script"}


def spec(*script: str, **fields: Any) -> JobSpec:
    """A job of this file's project."""
    variables = tuple(Variable(key, value) for key, value in fields.pop("with_", {}).items())
    given = (*variables, *fields.pop("variables", ()))
    return JobSpec(TENANT.name, script=script, variables=given, project=PROJECT, **fields)


PROJECT = Project("group/outer", readable=(SUBMODULE,))
JOBS: Mapping[str, JobSpec] = {
    "variables": spec(
        'printf %s "$NASTY" | od -An -tx1 | tr -d " \\n"; echo',
        'echo "raw=[$RAW] expanded=[$EXPANDED] size=${#LARGE}"',
        'cat "$FILE"; echo " beside=$BESIDE"',
        variables=(
            Variable("BASE", "x"),
            Variable("RAW", "$BASE", raw=True),
            Variable("EXPANDED", "$BASE-y"),
            Variable("NASTY", NASTY, raw=True),
            Variable("LARGE", "x" * 100_000),
            Variable("FILE", "the file's content", file=True),
            Variable("BESIDE", "${FILE}_FOOBAR"),
        ),
    ),
    "steps": spec(
        overrides={
            "steps": [
                step("script", "echo hello=world >> $GITLAB_ENV", "echo 'run=$(echo \"yes\")' >> $GITLAB_ENV"),
                step("custom-step", "echo hello is $hello", "echo foo=bar >> $GITLAB_ENV", "cd /; export GONE=1"),
                step("after_script", "echo foo is $foo, run is $run", "echo gone is [$GONE]", when="always"),
            ],
            "hooks": [
                {"name": "pre_get_sources_script", "script": ["echo before the sources"]},
                {"name": "post_get_sources_script", "script": ["echo after the sources; ls README"]},
            ],
        },
        cache=(Cache("steps", ("unknown/path/${foo}",)),),
    ),
    "output": spec(
        'if IFS= read -r -t 5 leaked; then echo "STDIN""_LEAK:[$leaked]"; else echo "stdin""-eof"; fi',
        "for i in $(seq 1 120); do printf .; sleep 0.01; done; echo",
        r"printf 'p 10%%\rp 20%%\rp 30%%\n'; printf '\033[31mred\033[0m\n'; echo to-err >&2",
        "sleep 1000 & sleep 1000 &",
        r"printf 'no newline'",
        "exit 0",
        "echo never",
        after_script=("echo I should be running",),
    ),
    "legacy eval": spec(
        'if IFS= read -r -t 5 leaked; then echo "STDIN""_LEAK:[$leaked]"; else echo "stdin""-eof"; fi',
        with_={"FF_USE_LEGACY_BASH_EVAL": "true", "FF_SCRIPT_SECTIONS": "true", "CI_DEBUG_TRACE": "true"},
    ),
    "masking": spec(
        'echo "$M0 $M1 x${M0}y $CLEAR"; printf "%s" "$M0"; echo; exit 1',
        variables=(
            *(Variable(f"M{n}", secret, public=False, masked=True) for n, secret in enumerate(MASKED)),
            Variable("CLEAR", "in-clear"),
            # Masks the runner's own last line, as upstream's test does.
            Variable("M2", "exit status 1", masked=True),
        ),
    ),
    "pipe": spec("false | true", "echo never", image=DEBIAN, with_={"WHICH": "debian:bookworm"}),
    "no checkout": spec("test ! -e README; ls -d .git", with_={"GIT_CHECKOUT": "false", "GIT_DEPTH": "0"}),
    "no sources": spec("pwd; test ! -e README", git_strategy="none", with_={"GIT_SUBMODULE_STRATEGY": "recursive"}),
    "empty": spec("test -z $(ls -A)", git_strategy="empty", with_={"GIT_SUBMODULE_STRATEGY": "recursive"}),
    "submodules": spec(
        "cat inner/FILE; pwd",
        git_strategy="clone",
        with_={
            "GIT_SUBMODULE_STRATEGY": "recursive",
            "GIT_CLONE_PATH": "$CI_BUILDS_DIR/go/src/outer",
            "GIT_CLEAN_FLAGS": "-ffdx -e kept",
            "FF_ENABLE_JOB_CLEANUP": "true",
        },
    ),
    "failing": spec(
        "mkdir c; echo 1 > c/a; echo kept > made; exit 7",
        after_script=("echo after $CI_JOB_STATUS; exit 9",),
        artifacts=(
            Artifacts(("made",), when="on_failure"),
            Artifacts(("made",), name="junit.xml", kind="junit", archive="gzip", when="always"),
            Artifacts(("made",), name="never", when="on_success"),
        ),
        cache=(Cache("f", ("c/",), when="on_failure"), Cache("g", ("c/",))),
    ),
    "after_script counts": spec("true", after_script=("exit 9",), with_={"AFTER_SCRIPT_IGNORE_ERRORS": "false"}),
    "script timeout": spec(
        "echo began; sleep 600",
        after_script=("echo after $CI_JOB_STATUS; sleep 600",),
        with_={"RUNNER_SCRIPT_TIMEOUT": "3s", "RUNNER_AFTER_SCRIPT_TIMEOUT": "12s"},
    ),
    "odd end": spec(
        "cat; echo af''ter cat",
        r"printf '\377\376 \320\277\321\200\n'",
        "exec >&- 2>&-; sleep 1; exit 200",
        image=DEBIAN,
        with_={"WHICH": "debian:bookworm"},
    ),
    "log limit": spec("head -c 6000000 /dev/zero | tr '\\0' x", "exit 5"),
}


class Ended:
    """How the jobs ended."""

    def __init__(self, results: dict[str, JobResult]) -> None:
        self._results = results

    def __getitem__(self, name: str) -> JobResult:
        return self._results[name]

    def log(self, name: str, state: str = "success", code: int = 0, reason: str = "") -> str:
        """Return the log of a job, which ended so."""
        result = self[name]
        text = plain(result.trace)
        assert (result.state, result.exit_code, result.failure_reason) == (state, code, reason), text
        assert result.trace_complete
        return text


@pytest.fixture(scope="module")
def ended(_bed: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ended]:
    """All jobs at their end."""
    folder = tmp_path_factory.mktemp("as-built-in")
    repositories = folder / "repositories"
    with Coordinator(
        layout.HOST_ADDRESS, folder=folder / "jobs", repositories=repositories, tenants=[TENANT.name]
    ) as coordinator:
        fill(coordinator, folder)
        section = ci.driver_section(coordinator, TENANT)
        section = replace(section, tables={**section.tables, "custom_build_dir": {"enabled": True}})
        with Runner(programs.RUNNER.path, folder / "runner", url=coordinator.url, sections=[section]):
            jobs = {name: coordinator.submit(job) for name, job in JOBS.items()}
            yield Ended({name: job.wait() for name, job in jobs.items()})


def fill(coordinator: Coordinator, folder: Path) -> None:
    """Make the project, with another one as its submodule."""
    inner, outer = folder / "inner", folder / "outer"
    inner.mkdir()
    (inner / "FILE").write_text("of the submodule\n")
    commit(coordinator.repository(SUBMODULE), inner)
    outer.mkdir()
    (outer / "README").write_text("a project\n")
    (outer / ".gitmodules").write_text('[submodule "inner"]\n\tpath = inner\n\turl = ../inner.git\n')
    run(("git", "clone", "--quiet", coordinator.repository(SUBMODULE), outer / "inner"))
    commit(coordinator.repository(PROJECT.path), outer)


def test_variables_arrive_as_they_were_written(ended: Ended) -> None:
    log = ended.log("variables")
    assert NASTY.encode().hex() in log
    assert "raw=[$BASE] expanded=[x-y] size=100000" in log
    assert f"the file's content beside=/builds/{PROJECT.path}.tmp/FILE_FOOBAR" in log


def test_what_a_step_leaves_in_gitlab_env_reaches_later_ones_and_nothing_else_does(ended: Ended) -> None:
    log = ended.log("steps")
    assert "hello is world" in log
    assert "foo is bar, run is $(echo" in log
    assert "gone is []" in log
    assert "unknown/path/bar: no matching files" in log


def test_hooks_run_around_the_sources(ended: Ended) -> None:
    log = ended.log("steps")
    assert "\nbefore the sources" in log
    assert "\nafter the sources\nREADME" in log


def test_output_is_what_the_script_wrote_and_background_children_hold_nothing_up(ended: Ended) -> None:
    log = ended.log("output")
    assert "\nstdin-eof" in log
    assert f"\n{'.' * 120}\n" in log
    assert b"p 10%\rp 20%\rp 30%" in ended["output"].trace
    assert b"\x1b[31mred\x1b[0m" in ended["output"].trace
    assert "\nto-err" in log
    assert "\nno newline" in log
    assert "\nnever" not in log
    assert "\nI should be running" in log


def test_a_script_may_read_its_input_print_what_is_no_text_and_close_its_output(ended: Ended) -> None:
    log = ended.log("odd end", "failed", 200, "script_failure")
    assert "\nafter cat\n" in log
    assert " пр\n" in log


def test_the_flags_of_the_runners_shell_work(ended: Ended) -> None:
    log = ended.log("legacy eval")
    assert "\nstdin-eof" in log
    assert "STDIN_LEAK" not in log
    assert "+ echo stdin-eof" in log  # the trace of CI_DEBUG_TRACE


def test_masked_values_are_masked_in_every_line_and_the_rest_is_not(ended: Ended) -> None:
    log = ended.log("masking", "failed", 1, "script_failure")
    assert "[MASKED] [MASKED] x[MASKED]y in-clear" in log
    assert not any(secret in log for secret in MASKED)
    assert "ERROR: Job failed: [MASKED]" in log


def test_an_image_from_a_variable_runs_without_its_entrypoint_and_a_failing_pipe_fails_it(ended: Ended) -> None:
    log = ended.log("pipe", "failed", 1, "script_failure")
    assert "\nnever" not in log


@pytest.mark.parametrize("name", ["no checkout", "no sources", "empty"])
def test_no_more_sources_are_fetched_than_the_job_wants(ended: Ended, name: str) -> None:
    assert "submodules recursively" not in ended.log(name)


def test_submodules_come_along_and_the_clone_lies_where_the_job_says(ended: Ended) -> None:
    log = ended.log("submodules")
    assert "of the submodule" in log
    assert "/builds/go/src/outer" in log


def test_a_failed_job_keeps_its_code_and_what_is_kept_on_failure(ended: Ended) -> None:
    log = ended.log("failing", "failed", 7, "script_failure")
    assert "after failed" in log
    assert {(kept.kind, kept.name) for kept in ended["failing"].artifacts} == {
        ("archive", "artifacts.zip"),
        ("junit", "junit.xml.gz"),
    }
    assert log.count("Created cache") == 1


def test_an_after_script_may_fail_the_job(ended: Ended) -> None:
    log = ended.log("after_script counts", "failed", 9, "script_failure")
    assert "Running after_script" in log


def test_a_script_out_of_time_is_followed_by_after_script_and_that_by_the_end(ended: Ended) -> None:
    log = ended.log("script timeout", "failed", 0, "job_execution_timeout")
    assert "after timedout" in log
    assert "after_script could not run to completion because the timeout was exceeded" in log


def test_a_log_beyond_the_runners_limit_changes_nothing_in_the_result(ended: Ended) -> None:
    log = ended.log("log limit", "failed", 5, "script_failure")
    assert "Job's log exceeded limit" in log
