"""Which container runs which sub-stage, as the built-in executor splits them.

Source: executors/kubernetes/kubernetes.go and common/build.go of GitLab Runner 19.4.
"""

from __future__ import annotations

HELPER_SUB_STAGES = frozenset(
    {
        "prepare_script",
        "get_sources",
        "clear_worktree",
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


def runs_in_helper(sub_stage: str) -> bool:
    """Tell whether a sub-stage belongs to the helper container; all others are the author's own scripts."""
    return sub_stage in HELPER_SUB_STAGES


def is_known(sub_stage: str) -> bool:
    """Tell whether the runner is known to send this name; an unknown one runs in the build container."""
    return sub_stage in HELPER_SUB_STAGES or sub_stage in _AUTHORS or sub_stage.startswith("step_")
