"""Everything the driver can fail with, one class per cause that somebody treats differently.

Each error says what happened, why, and what to do next, in that order, and knows whose failure it is. The mapping to
exit codes is in `runner/contract.py` and nowhere else.
"""

from __future__ import annotations

from executor.categories import Category


class DriverError(Exception):
    """A failure with words for the job log.

    `what` is one sentence that a job's author understands; `why` the evidence; `remedy` the next step, naming who can
    take it. `author_can_mend` decides the exit code: true only where a change to the job would help. `category` is for
    whoever counts failures in the operator log.
    """

    author_can_mend = False
    category = Category.INTERNAL

    def __init__(self, what: str, *, why: str = "", remedy: str = "", category: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.remedy = remedy
        self.category = category or self.category

    def __str__(self) -> str:
        return "\n".join(part for part in (self.what, self.why, self.remedy) if part)


def in_words(error: BaseException, otherwise: str = "") -> str:
    """Return what the system says of a file or a program; else what is given, or the error's class.

    Its own words are not told by themselves, since they may quote a secret.
    """
    return getattr(error, "strerror", None) or otherwise or type(error).__name__


class ContractBroken(DriverError):
    """The runner did not give what a custom executor is promised (or somebody runs a stage by hand)."""

    category = Category.CONTRACT


class SettingsInvalid(DriverError):
    """The operator's settings cannot be read or do not make sense."""

    category = Category.SETTINGS


class NoSuchTenant(SettingsInvalid):
    """No settings file has this tenant's name."""


class JobRefused(DriverError):
    """The job asks for something that its tenant does not allow."""

    author_can_mend = True
    category = Category.JOB_REFUSED


class ClusterUnreachable(DriverError):
    """No answer from the API server, or none within the time that the stage has."""

    category = Category.API_UNREACHABLE


class ClusterRefused(DriverError):
    """The API server answered with an error; `status` is its HTTP status, `reason` its machine-readable reason."""

    category = Category.API_FAILED

    def __init__(
        self,
        what: str,
        *,
        status: int,
        reason: str = "",
        why: str = "",
        remedy: str = "",
        category: str = "",
    ) -> None:
        super().__init__(what, why=why, remedy=remedy, category=category)
        self.status = status
        self.reason = reason


class CredentialsInvalid(DriverError):
    """The kubeconfig, or the program that it names, gave no usable credentials."""

    category = Category.CREDENTIALS


class PodRejected(DriverError):
    """The API server refused the pod's manifest: quota, policy, a missing service account."""

    category = Category.ADMISSION_REFUSED


class PodNotStarted(DriverError):
    """The pod was accepted and did not become ready in time, or never will."""

    category = Category.NOT_READY_IN_TIME


class OwnContainerFailed(PodNotStarted):
    """It will never start because of an image or a service that the job's author chose."""

    author_can_mend = True


class PodLost(DriverError):
    """The pod ended or vanished under a running script."""

    category = Category.POD_DELETED


class ScriptLost(DriverError):
    """The pod lives, but the supervisor no longer knows the script or cannot take it."""

    category = Category.SUPERVISOR_LOST


class Cancelled(BaseException):
    """SIGTERM from the runner. Not an Exception, so that nothing on the way swallows it."""


class RunnerGone(BaseException):
    """The process that started this stage has ended, so nobody will call `cleanup`. Not an Exception either."""
