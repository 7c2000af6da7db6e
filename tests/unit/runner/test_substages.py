"""Sub-stages go to the container where the built-in executor runs them."""

from __future__ import annotations

import pytest

from executor.runner.substages import is_authors, is_known, only_tidies, runs_in_helper

# common/consts.go and common/build.go of GitLab Runner 19.4.
HELPER = (
    "prepare_script",
    "get_sources",
    "clear_worktree",
    "boot_verify_probes",
    "restore_cache",
    "download_artifacts",
    "archive_cache",
    "archive_cache_on_failure",
    "upload_artifacts_on_success",
    "upload_artifacts_on_failure",
    "cleanup_file_variables",
)
BUILD = ("build_script", "step_script", "step_release", "after_script")


@pytest.mark.parametrize("began", [False, True])
@pytest.mark.parametrize("sub_stage", HELPER)
def test_git_caches_and_artifacts_run_in_the_helper(sub_stage: str, *, began: bool) -> None:
    assert runs_in_helper(sub_stage, authors_began=began)
    assert is_known(sub_stage)
    assert not is_authors(sub_stage)


@pytest.mark.parametrize("began", [False, True])
@pytest.mark.parametrize("sub_stage", BUILD)
def test_what_the_author_wrote_runs_in_the_build_container(sub_stage: str, *, began: bool) -> None:
    assert not runs_in_helper(sub_stage, authors_began=began)
    assert is_known(sub_stage)
    assert is_authors(sub_stage)


@pytest.mark.parametrize("sub_stage", ["", "new_stage", "get_source", "Build_Script"])
def test_an_unknown_name_prepares_until_the_author_has_begun_and_is_theirs_afterwards(sub_stage: str) -> None:
    assert runs_in_helper(sub_stage, authors_began=False)
    assert not runs_in_helper(sub_stage, authors_began=True)
    assert not is_known(sub_stage)


def test_the_last_one_alone_does_nothing_but_tidy() -> None:
    assert [name for name in (*HELPER, *BUILD, "new_stage") if only_tidies(name)] == ["cleanup_file_variables"]
