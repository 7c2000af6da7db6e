"""What the API server refuses, and who is sent to mend it."""

from __future__ import annotations

import pytest

from executor.diagnosis import refusal

WHO = 'User "system:serviceaccount:tenant-a:kaniko-driver"'


@pytest.mark.parametrize(
    ("status", "message", "category", "remedy"),
    [
        (401, "Unauthorized", "credentials", "renew the kubeconfig's token"),
        (429, "too many requests", "api_throttled", "overloaded"),
        (500, "etcdserver: request timed out", "api_failed", "again later"),
        (500, 'failed calling webhook "mutate.example.com": dial tcp: refused', "api_failed", "mutate.example.com"),
        (
            403,
            f'pods is forbidden: {WHO} cannot create resource "pods" in API group ""',
            "right_missing",
            "create on pods",
        ),
        (
            403,
            f'pods "x" is forbidden: {WHO} cannot get resource "pods/exec" in API group ""',
            "right_missing",
            "verbs get and create on pods/exec",
        ),
        (403, 'pods "x" is forbidden: exceeded quota: q, requested: pods=1', "quota", "raise the quota"),
        (
            400,
            'admission webhook "policy.example.com" denied the request: no',
            "admission_refused",
            "policy.example.com",
        ),
        (
            422,
            "pods \"x\" is forbidden: ValidatingAdmissionPolicy 'fence' with binding 'b' denied request: no",
            "admission_refused",
            "policy fence of",
        ),
        (403, "namespace tenant-a because it is being terminated", "admission_refused", "being deleted"),
        (404, 'namespaces "tenant-a" not found', "admission_refused", "tenant apply"),
        (418, "a teapot", "api_failed", ""),
    ],
)
def test_a_refusal_has_its_category_and_somebody_who_can_act(
    status: int, message: str, category: str, remedy: str
) -> None:
    found, said = refusal.of_answer(status, message)
    assert found == category
    assert remedy in said
    assert not remedy or "operator" in said or "again" in said
