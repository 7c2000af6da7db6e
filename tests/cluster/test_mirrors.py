"""Base images from a mirror with an authority of its own and a login: it is one tenant's, and no other's."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import TYPE_CHECKING

import pytest

from testbed import ci, layout, registry, tenants
from testbed.gitserver import commit
from testbed.joblog import plain
from testbed.jobs import JobSpec
from testbed.pki import write_private
from tests.support.private_registry import PASSWORD, USER, private_registry
from tests.support.tls import make_certificate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.coordinator_job import SubmittedJob
    from testbed.layout import Tenant

TENANT, OTHER = layout.TENANTS
PROJECT = "group/mirrored"
DOCKERFILE = "FROM busybox:1\nRUN echo from Docker Hub, as it seems\n"


@pytest.fixture(scope="module")
def mirrored(_bed: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ci.Ci]:
    """Both tenants take Docker Hub's images from the same mirror, and only the first one has its login."""
    folder = tmp_path_factory.mktemp("mirror")
    certificate = make_certificate(folder / "tls", names=f"IP:{layout.HOST_ADDRESS}")
    with private_registry(folder, mirror_of=layout.REGISTRY, tls=certificate) as mirror:
        settings, logins = folder / "settings", folder / "logins.json"
        login = {"auth": b64encode(f"{USER}:{PASSWORD}".encode()).decode()}
        write_private(logins, json.dumps({"auths": {mirror: login}}))
        write_private(settings / "driver.toml", f'version = 1\n[log]\nfile = "{folder}/driver.jsonl"\n')
        own = (
            f'[registry]\nmirrors = {{ "docker.io" = ["{mirror}"] }}\nmirrors_only = true\n'
            f'authorities = {{ "{mirror}" = "{certificate.certificate}" }}\n'
        )
        for tenant, more in ((TENANT, f'logins_file = "{logins}"\n'), (OTHER, "")):
            write_private(settings / "tenants" / f"{tenant.name}.toml", tenants.settings(tenant) + own + more)
        (folder / "files").mkdir()
        (folder / "files" / "Dockerfile").write_text(DOCKERFILE)
        with ci.at_work(folder / "ci", settings=settings) as running:
            commit(running.coordinator.repository(PROJECT), folder / "files")
            yield running
            running.runner.check()


def starts(gitlab: ci.Ci, tenant: Tenant) -> SubmittedJob:
    return gitlab.coordinator.submit(ci.in_project(JobSpec(tenant.name, script=(ci.KANIKO,)), PROJECT))


def test_a_base_image_comes_from_the_mirror(mirrored: ci.Ci) -> None:
    job = starts(mirrored, TENANT)
    result = job.wait()
    log = plain(result.trace)
    assert result.state == "success", log
    assert "from mapped registry" in log
    assert registry.digest(ci.image_of(job))


def test_another_tenant_does_not_get_its_login(mirrored: ci.Ci) -> None:
    result = starts(mirrored, OTHER).wait()
    log = plain(result.trace)
    assert (result.state, result.failure_reason) == ("failed", "script_failure"), log
    assert "UNAUTHORIZED" in log
    assert "None of the mirrors" in log
