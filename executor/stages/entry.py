"""From a stage's arguments and environment to its one function; imports that one stage and no other.

Imports are shielded from SIGTERM, since an exception in the middle of one may be swallowed by the import system.
"""

from __future__ import annotations

import functools
import os

from executor.errors import ClusterUnreachable, ContractBroken
from executor.job import Job
from executor.runner.contract import job_file_path
from executor.stages import cancel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from executor.journal import Journal
    from executor.runner.contract import Contract
    from executor.stages.joblog import JobLog

    Stage = Callable[[Contract, Journal, JobLog], int]

DEFAULT_SETTINGS = "/etc/kaniko-driver"
_BY_ROOT_NAMESPACE = "root-namespace"
_CREATING = "kaniko-driver.creating"
"""Beside the job file while a create may be in flight."""
_AUTHORS_BEGAN = "kaniko-driver.authors-began"
"""Beside the job file once the first of the author's scripts was sent."""
_KEEP = "kaniko-driver.keep"
"""Beside the job file when `run` tells `cleanup` that the pod is to be kept."""
_LOST = "kaniko-driver.node-lost"
"""Beside the job file when `run` found that the pod's node is gone."""
_SERVICES = "kaniko-driver.services"
"""Beside the job file where stages show the logs of services: up to where they have."""
_UNREACHABLE = "kaniko-driver.api-unreachable"
"""Beside the job file when `prepare` has waited for the API server in vain."""


def stage(name: str, arguments: list[str]) -> Stage:
    """Return what carries out a stage."""
    stages: dict[str, Callable[..., int]] = {"config": _config, "prepare": _prepare, "run": _run, "cleanup": _cleanup}
    return lambda contract, journal, log: stages[name](arguments, contract, journal, log)


def _config(arguments: list[str], _: Contract, journal: Journal, log: JobLog) -> int:
    with cancel.shielded():
        from executor.stages.config import config

    folder, tenant = _options(arguments)
    if tenant:
        journal.bind(tenant=tenant)
    return config(folder, tenant, journal, log)


def _prepare(arguments: list[str], _: Contract, journal: Journal, log: JobLog) -> int:
    _nothing_more(arguments)
    job, folder = _job(journal)
    log.folds = job.sections
    with cancel.shielded():
        from executor.stages.prepare import prepare

    # Where a warm pod is claimed, the later stages find it in the job file.
    rewrite = functools.partial(Job.write, path=str(job_file_path(os.environ)))
    try:
        intent, services = (os.path.join(folder, name) for name in (_CREATING, _SERVICES))
        return prepare(job, journal, log, intent=intent, services_file=services, rewrite=rewrite)
    except ClusterUnreachable:
        with open(os.path.join(folder, _UNREACHABLE), "w", encoding="ascii"):
            pass
        raise


def _run(arguments: list[str], contract: Contract, journal: Journal, log: JobLog) -> int:
    if len(arguments) != 2:  # noqa: PLR2004 - what the runner appends
        raise ContractBroken(
            f"`kaniko-driver run` takes a script and a sub-stage, not {len(arguments)} arguments.",
            remedy='In the runner\'s config.toml it must be: run_args = ["run"]',
        )
    job, folder = _job(journal)
    with cancel.shielded():
        from executor.runner import substages
    script_file, sub_stage = arguments
    keep_mark = os.path.join(folder, _KEEP)
    # What it would take away goes with the pod in a moment, and the way there costs as much as for any other script.
    # Not so where the pod stays for people, or where services may still have something to say.
    if substages.only_tidies(sub_stage) and not os.path.exists(keep_mark) and not job.service_logs:
        contract.forget_exit_code()
        return 0
    log.folds = job.sections
    with cancel.shielded():
        from executor.stages.run import Call, run

    call = Call(
        script_file=script_file,
        sub_stage=sub_stage,
        authors_mark=os.path.join(folder, _AUTHORS_BEGAN),
        keep_mark=keep_mark,
        lost_mark=os.path.join(folder, _LOST),
        services_file=os.path.join(folder, _SERVICES),
    )
    return run(job, contract, journal, log, call)


def _cleanup(arguments: list[str], _: Contract, journal: Journal, __: JobLog) -> int:
    _nothing_more(arguments)
    if job_file_path(os.environ) is None:
        # `config` failed, so nothing was made.
        return 0
    job, folder = _job(journal)
    with cancel.shielded():
        from executor.stages.cleanup import cleanup

    marks = {"intent": _CREATING, "keep_mark": _KEEP, "lost_mark": _LOST, "unreachable_mark": _UNREACHABLE}
    return cleanup(job, journal, **{name: os.path.join(folder, mark) for name, mark in marks.items()})


def _job(journal: Journal) -> tuple[Job, str]:
    """Return the job, and the folder in which its attempt keeps files."""
    path = job_file_path(os.environ)
    if path is None:
        raise ContractBroken(
            "This stage does not know its job: `config` has not run, or its output did not reach it.",
            remedy='In the runner\'s config.toml, config_exec and config_args must start "kaniko-driver config"; '
            "runner-config.toml.example shows how.",
        )
    job = Job.read(path)
    journal.path = job.journal or None
    journal.bind(job=job.id, tenant=job.tenant, pod=job.pod)
    return job, os.path.dirname(path)


def _options(arguments: list[str]) -> tuple[str, str | None]:
    """Read `--settings FOLDER` and `--tenant NAME` or `--tenant-by root-namespace`, each also with `=`."""
    given = {"--settings": DEFAULT_SETTINGS, "--tenant": "", "--tenant-by": ""}
    words = [part for word in arguments for part in (word.split("=", 1) if word.startswith("--") else [word])]
    for option, value in zip(words[::2], [*words[1::2], ""], strict=False):
        if option not in given or not value:
            raise ContractBroken(
                f"`kaniko-driver config` does not know {option!r}, or it lacks a value.",
                remedy='In the runner\'s config.toml: config_args = ["config", "--settings", FOLDER, "--tenant", NAME]',
            )
        given[option] = value
    if given["--tenant-by"] not in {"", _BY_ROOT_NAMESPACE}:
        raise ContractBroken(
            f"`kaniko-driver config` cannot find tenants by {given['--tenant-by']!r}.",
            remedy=f'In the runner\'s config.toml: config_args = ["config", "--tenant-by", "{_BY_ROOT_NAMESPACE}"]',
        )
    if bool(given["--tenant"]) == bool(given["--tenant-by"]):
        raise ContractBroken(
            "`kaniko-driver config` was told twice whose runner this is, and it can be only one."
            if given["--tenant"]
            else "`kaniko-driver config` was not told whose runner this is.",
            remedy='In the runner\'s config.toml: config_args = ["config", "--tenant", NAME], or, for a runner that '
            f'several tenants share: config_args = ["config", "--tenant-by", "{_BY_ROOT_NAMESPACE}"]',
        )
    return given["--settings"], given["--tenant"] or None


def _nothing_more(arguments: list[str]) -> None:
    if arguments:
        raise ContractBroken(f"This stage takes no arguments; given: {' '.join(arguments)}")
