"""Several attempts of one job, and several jobs at once, do not touch each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed import ci
from testbed.joblog import plain

if TYPE_CHECKING:
    from .conftest import Author


def test_a_second_attempt_survives_the_clean_up_of_the_first(author: Author) -> None:
    first = author.starts("echo first is here", ci.GATE, ident=4711)
    first.wait_for("first is here")
    (its_pod,) = ci.job_pods(author.tenant, 4711)
    second = author.starts("echo second is here", ci.GATE, "echo second survived", ident=4711)
    second.wait_for("second is here")
    others = [pod for pod in ci.job_pods(author.tenant, 4711) if pod["metadata"]["name"] != its_pod["metadata"]["name"]]
    assert len(others) == 1

    ci.let_go(its_pod)
    assert first.wait().state == "success"
    ci.let_go(*others)
    result = second.wait()
    assert result.state == "success", plain(result.trace)
    assert "\nsecond survived" in plain(result.trace)


def test_jobs_at_once_keep_their_logs_and_files_apart(author: Author) -> None:
    names = [f"job-{number}" for number in range(4)]
    jobs = [author.starts(f"echo {name} > mine", "sleep 2", "cat mine", "ls") for name in names]
    for name, job in zip(names, jobs, strict=True):
        result = job.wait()
        log = plain(result.trace)
        assert result.state == "success", log
        assert f"\n{name}\n" in log
        assert not [other for other in names if other != name and other in log]
