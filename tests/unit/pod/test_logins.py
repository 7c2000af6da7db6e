"""The logins that a build starts with: the job's own over the tenant's."""

from __future__ import annotations

import json
from base64 import b64decode

import pytest

from executor.errors import SettingsInvalid
from executor.pod.logins import merged_logins
from executor.runner.response import RegistryLogin

TENANT = json.dumps({"auths": {"a.example.com": {"auth": "dGVuYW50OmE="}, "b.example.com": {"auth": "dGVuYW50OmI="}}})
JOB = RegistryLogin(url="b.example.com", username="gitlab-ci-token", password="päss:wörd")


def test_the_job_wins_host_by_host() -> None:
    auths = json.loads(merged_logins(TENANT, [JOB]))["auths"]
    assert auths["a.example.com"] == {"auth": "dGVuYW50OmE="}
    assert b64decode(auths["b.example.com"]["auth"]).decode() == "gitlab-ci-token:päss:wörd"


def test_other_parts_of_the_tenants_file_are_kept() -> None:
    tenant = '{"credHelpers": {"x.amazonaws.com": "ecr-login"}}'
    merged = json.loads(merged_logins(tenant, [JOB]))
    assert merged["credHelpers"] == {"x.amazonaws.com": "ecr-login"}
    assert list(merged["auths"]) == ["b.example.com"]
    assert json.loads(merged_logins(tenant, []))["auths"] == {}


@pytest.mark.parametrize("tenant", ["", " \n", "{}", '{"auths": {}}', '{"auths": null}'])
def test_a_tenant_without_logins_adds_nothing(tenant: str) -> None:
    assert list(json.loads(merged_logins(tenant, [JOB]))["auths"]) == ["b.example.com"]


def test_without_any_login_there_is_no_file() -> None:
    assert merged_logins("", []) == ""
    assert merged_logins("{}", []) == ""


@pytest.mark.parametrize(
    "tenant", ["{", "[]", '"s3cret"', '{"auths": ["s3cret"]}', '{"auths": {"x": s3cret}}', "s3cret"]
)
def test_a_broken_file_of_the_tenant_is_told_without_its_content(tenant: str) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        merged_logins(tenant, [])
    assert "registry.logins_file" in refused.value.remedy
    assert "s3cret" not in str(refused.value)
    assert refused.value.__cause__ is None
