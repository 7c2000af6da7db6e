"""Explain what the API server refused, and say who can mend it. Pure.

The words are those of apiserver (pkg/authorization, pkg/admission), PodSecurity, ValidatingAdmissionPolicy, LimitRange
and of admission webhooks.
"""

from __future__ import annotations

import re

from executor.categories import Category
from executor.diagnosis.model import OPERATOR

_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _INVALID, _TOO_MANY, _SERVER_ERROR = 401, 403, 404, 422, 429, 500
_WHO = OPERATOR.capitalize()
_RIGHT = re.compile(r'cannot (?P<verb>\w+) resource "(?P<resource>[^"]+)"')
_WEBHOOK = re.compile(r'admission webhook "(?P<name>[^"]+)" denied')
_DEAD_WEBHOOK = re.compile(r'failed calling webhook "(?P<name>[^"]+)"')
_POLICY = re.compile(r"ValidatingAdmissionPolicy '(?P<name>[^']+)'")
_BEYOND = re.compile(r"(maximum|minimum) [\w./-]+ (usage|storage usage|limit to request ratio)? ?per \w+ is ")


def of_answer(status: int, message: str) -> tuple[str, str]:  # noqa: PLR0911 - one for each kind of answer
    """Return the category of a refusal, and the next step."""
    if status == _UNAUTHORIZED:
        return (
            Category.CREDENTIALS,
            f"The tenant's credentials are expired or wrong: {OPERATOR} must renew the kubeconfig's token.",
        )
    if status == _TOO_MANY:
        return Category.API_THROTTLED, "The API server is overloaded: run the job again later."
    if found := _DEAD_WEBHOOK.search(message):
        remedy = f"{_WHO} must look at the admission webhook {found['name']}, which does not answer."
        return Category.API_FAILED, remedy
    if status >= _SERVER_ERROR:
        return Category.API_FAILED, "The server is overloaded or broken: run the job again later."
    # A ValidatingAdmissionPolicy answers with 422 where it names no other reason.
    if status == _INVALID and not _POLICY.search(message):
        return (
            Category.MANIFEST_INVALID,
            f"{_WHO} must correct what the message names, in [pod] or [resources] of the tenant.",
        )
    if status == _NOT_FOUND and "namespaces" in message:
        return (
            Category.ADMISSION_REFUSED,
            f"{_WHO} must make the tenant's namespace: `kaniko-driver tenant apply` does.",
        )
    if status == _FORBIDDEN or "denied the request" in message or _POLICY.search(message):
        return _of_forbidden(message)
    return Category.API_FAILED, ""


def _of_forbidden(message: str) -> tuple[str, str]:
    if found := _RIGHT.search(message):
        # Both, because the next request would be refused otherwise.
        verbs = "verbs get and create" if found["resource"] == "pods/exec" else f"verb {found['verb']}"
        return (
            Category.RIGHT_MISSING,
            (
                f"{_WHO} must give the tenant's service account the {verbs} on {found['resource']}: "
                "`kaniko-driver tenant apply` does."
            ),
        )
    if "exceeded quota" in message:
        # Of Secrets, for example; a pod that the quota refuses is waited for.
        return (
            Category.QUOTA,
            f"Run the job again when others have ended; if it stays, {OPERATOR} must raise the quota.",
        )
    if found := _WEBHOOK.search(message):
        what = f"The admission webhook {found['name']} of the cluster forbids it"
    elif found := _POLICY.search(message):
        what = f"The admission policy {found['name']} of the cluster forbids it"
    elif "violates PodSecurity" in message:
        what = "The namespace's Pod Security level forbids it"
    elif _BEYOND.search(message):
        what = "A LimitRange of the namespace forbids it"
    elif "must specify" in message:
        what = "A quota of the namespace wants limits that the pod does not have"
    elif "service account" in message or "serviceaccount" in message:
        return (
            Category.ADMISSION_REFUSED,
            f"{_WHO} must make the account: `kaniko-driver tenant apply` does, or correct pod.service_account.",
        )
    elif "being terminated" in message:
        return Category.ADMISSION_REFUSED, f"The tenant's namespace is being deleted: {OPERATOR} must say why."
    else:
        return Category.ADMISSION_REFUSED, f"{_WHO} must correct what the message names."
    return Category.ADMISSION_REFUSED, f"{what}: {OPERATOR} must compare it with the tenant's settings."
