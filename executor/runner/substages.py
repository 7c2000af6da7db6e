"""Which container runs which sub-stage, as the built-in executor splits them.

Source: common/build.go of GitLab Runner 19.4: the constants BuildStage…, and getPredefinedEnv, which sends everything
to the helper but the author's own scripts.
"""

from __future__ import annotations

HELPER_SUB_STAGES = frozenset(
    {
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
    }
)
"""Git, caches and artifacts: they need tools of the helper image."""

_AUTHORS = frozenset({"build_script", "step_script", "after_script"})
_TIDYING = "cleanup_file_variables"


def only_tidies(sub_stage: str) -> bool:
    """Tell whether a sub-stage does nothing but take away what the job has left on disk, for whoever comes next there.

    It is the last one. Source: shells/abstract.go of GitLab Runner 19.4, writeCleanupScript.
    """
    return sub_stage == _TIDYING


def is_authors(sub_stage: str) -> bool:
    """Tell whether a sub-stage is a script that the job's author wrote."""
    return sub_stage in _AUTHORS or sub_stage.startswith("step_")


def is_known(sub_stage: str) -> bool:
    """Tell whether the runner is known to send this name."""
    return sub_stage in HELPER_SUB_STAGES or is_authors(sub_stage)


def runs_in_helper(sub_stage: str, *, authors_began: bool) -> bool:
    """Tell whether a sub-stage belongs to the helper container.

    What a future runner sends before the first of the author's scripts prepares the job, as git and caches do, and
    needs the helper's tools. What it sends afterwards is more likely the author's own, which must see their image.
    """
    return sub_stage in HELPER_SUB_STAGES or (not is_authors(sub_stage) and not authors_began)
