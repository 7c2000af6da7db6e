"""What a job's log and result say after a fault."""

from __future__ import annotations

import pytest

from testbed.chaos import judge

WELL = "".join(f"line {number}\n" for number in range(5)) + "".join(f"after {number}\n" for number in range(2))
SAID = "kaniko-driver: starting pod\nkaniko-driver: pod a/b is ready on node n after 1.0 s\n"


@pytest.mark.parametrize(
    ("text", "succeeded", "right"),
    [
        (WELL, True, True),
        ("$ echo line $i\n" + WELL + "Job succeeded\n", True, True),
        (WELL.replace("after 1\n", ""), True, False),
        (WELL.replace("after 1\n", ""), False, True),
        (WELL.replace("line 2\n", ""), False, False),
        (WELL.replace("line 2\n", "line 2\nline 2\n"), False, False),
        (WELL.replace("line 4\n", "line 4\nline 5\n"), False, False),
        (WELL.replace("line 1\nline 2\n", "line 2\nline 1\n"), False, False),
        ("", False, True),
        ("", True, False),
    ],
)
def test_lines_are_there_once_and_in_order(text: str, *, succeeded: bool, right: bool) -> None:
    assert judge.exact(text, lines=5, after=2, all_lines=succeeded, all_after=succeeded) is right


def test_after_script_may_be_lost_where_its_failure_fails_no_job() -> None:
    text = WELL.replace("after 1\n", "")
    assert judge.exact(text, lines=5, after=2, all_lines=True, all_after=False)
    assert not judge.exact(text.replace("line 4\n", ""), lines=5, after=2, all_lines=True, all_after=False)


@pytest.mark.parametrize(
    ("state", "reason", "how"),
    [
        ("success", "", judge.SUCCESS),
        ("failed", "script_failure", judge.SCRIPT),
        ("failed", "runner_system_failure", judge.SYSTEM),
        ("failed", "job_execution_timeout", judge.SYSTEM),
        (None, "", judge.LOST),
    ],
)
def test_how_a_job_ended(state: str | None, reason: str, how: str) -> None:
    assert judge.outcome(state, reason) == how


@pytest.mark.parametrize(
    ("text", "how", "categories", "by_runner", "told"),
    [
        (SAID, judge.SUCCESS, set(), False, True),
        ("", judge.LOST, set(), False, True),
        (SAID + "kaniko-driver: The job pod was deleted\n", judge.SYSTEM, {"pod_deleted"}, False, True),
        (SAID + "kaniko-driver: The job pod was deleted\n", judge.SYSTEM, set(), False, False),
        (SAID, judge.SYSTEM, {"pod_deleted"}, False, False),
        (SAID, judge.SCRIPT, {"script_failed"}, False, True),
        (SAID + "ERROR: Job failed (system failure): killed\n", judge.SYSTEM, set(), True, True),
        (SAID.replace("kaniko-driver", "x"), judge.SYSTEM, set(), True, False),
    ],
)
def test_whether_a_failure_is_explained(
    text: str, how: str, categories: set[str], *, by_runner: bool, told: bool
) -> None:
    assert judge.explained(text, how, categories, by_runner=by_runner) is told


def test_a_row_is_good_only_as_a_whole() -> None:
    good = {"injected": True, "outcome_right": True, "log_exact": True, "explained": True, "leftovers": 0}
    assert judge.Row(fault="f", stage="s", **good).good  # type: ignore[arg-type] # as the file has it
    for name in good:
        spoiled = good | {name: 1 if name == "leftovers" else False}
        assert not judge.Row(fault="f", stage="s", **spoiled).good  # type: ignore[arg-type]
