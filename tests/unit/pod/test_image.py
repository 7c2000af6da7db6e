"""Kaniko jobs get the tenant's pinned Kaniko, other images only where the tenant allows them, services never."""

from __future__ import annotations

from dataclasses import replace

import pytest

from executor.errors import JobRefused
from executor.pod.image import BuildImage, choose_image, registry_of
from executor.runner.response import JobResponse
from tests.support.tenants import tenant

PINNED = "registry.example.com/kaniko:v1.24.0-debug"
JOB = JobResponse(
    id=1,
    timeout=3600,
    name="build",
    project_id=1,
    project_path="group/project",
    root_namespace_id=1,
    ref="main",
    sha="0" * 40,
    protected=False,
    image="",
    services=(),
    logins=(),
)


def choose(image: str, *allowed: str) -> BuildImage:
    return choose_image(replace(JOB, image=image), tenant(images={"allowed": list(allowed)}))


@pytest.mark.parametrize("image", ["", PINNED])
def test_without_an_image_and_with_the_pinned_one_nothing_is_said(image: str) -> None:
    assert choose(image) == BuildImage(name=PINNED, shell="sh")


@pytest.mark.parametrize(
    "image",
    [
        "gcr.io/kaniko-project/executor:v1.9.0-debug",
        "gcr.io/kaniko-project/executor:debug",
        "gcr.io/kaniko-project/executor",
        "gcr.io/kaniko-project/debug:latest",
        "gcr.io/kaniko-project/executor@sha256:" + "0" * 64,
        "mirror.example.com:5000/gcr.io/kaniko-project/executor:debug",
        "ghcr.io/chainguard-dev/kaniko:latest",
        "martizih/kaniko:v1.24.0",
        "kaniko",
        "kaniko:1",
        "bitnami/kaniko:1",
        "registry.example.com/infra/kaniko-executor:1",
    ],
)
def test_every_known_kaniko_becomes_the_pinned_one_and_the_author_is_told(image: str) -> None:
    chosen = choose(image)
    assert (chosen.name, chosen.shell) == (PINNED, "sh")
    (note,) = chosen.notes
    assert PINNED in note
    assert image in note


@pytest.mark.parametrize(
    ("image", "pattern"),
    [
        ("registry.example.com/base/debian:12", "registry.example.com/base/*"),
        ("alpine:3", "alpine:3"),
        # The operator's word wins over ours: this Kaniko was allowed by name.
        ("gcr.io/kaniko-project/executor:debug", "gcr.io/kaniko-project/*"),
    ],
)
def test_an_allowed_image_is_used_as_it_is_with_its_own_shell(image: str, pattern: str) -> None:
    assert choose(image, pattern) == BuildImage(name=image, shell="bash", authors=True)


@pytest.mark.parametrize(
    ("image", "allowed"),
    [
        ("debian:12", ()),
        ("evil.example.com/base/debian:12", ("registry.example.com/base/*",)),
        ("registry.example.com/base", ("registry.example.com/base/*",)),
        ("registry.example.com.evil.com/base/x", ("registry.example.com/base/*",)),
        ("Registry.example.com/base/x", ("registry.example.com/base/*",)),
        ("my-kaniko-tools:1", ()),
        ("kanikoo", ()),
        ("gcr.io/kaniko-project/warmer:v1", ()),
    ],
)
def test_any_other_image_is_refused_by_name_with_what_is_allowed(image: str, allowed: tuple[str, ...]) -> None:
    with pytest.raises(JobRefused) as refused:
        choose(image, *allowed)
    assert image in refused.value.what
    assert "tenant-a" in refused.value.what
    assert (allowed[0] if allowed else "Only Kaniko's own image") in refused.value.why
    assert "images.allowed" in refused.value.remedy


class TestPullPolicy:
    def choose(self, wanted: tuple[str, ...], **images: object) -> tuple[str, ...]:
        job = replace(JOB, image="registry.example.com/tools:1", pull_policies=wanted)
        return choose_image(job, tenant(images={"allowed": ["registry.example.com/*"], **images})).pull_policies

    def test_without_one_it_is_the_tenants(self) -> None:
        assert self.choose(()) == ()

    def test_those_that_the_tenant_allows_count_in_the_jobs_order_and_once(self) -> None:
        allowed = {"allowed_pull_policies": ["if-not-present", "always"]}
        wanted = ("never", "always", "if-not-present", "always")
        assert self.choose(wanted, **allowed) == ("Always", "IfNotPresent")

    def test_the_tenants_own_is_always_allowed_where_it_lists_none(self) -> None:
        assert self.choose(("if-not-present",)) == ("IfNotPresent",)

    def test_another_is_refused_with_those_that_are_allowed(self) -> None:
        with pytest.raises(JobRefused) as refused:
            self.choose(("never", "sometimes"), allowed_pull_policies=["always", "if-not-present"])
        assert "never, sometimes" in refused.value.what
        assert refused.value.why == "Allowed: always, if-not-present."
        assert "images.allowed_pull_policies" in refused.value.remedy


@pytest.mark.parametrize(
    "image",
    [
        "user:s3cret@registry.example.com/a/b",
        "https://user:s3cret@registry.example.com/a",
        "registry.example.com/$IMAGE",
        "registry.example.com/UPPER",
        "registry.example.com/a b",
        "registry.example.com/a\nb",
        "registry.example.com/" + "a" * 2000,
        "a:",
    ],
)
def test_a_name_that_no_image_can_have_is_refused_without_its_login(image: str) -> None:
    with pytest.raises(JobRefused) as refused:
        choose(image, "*")
    assert "s3cret" not in str(refused.value)
    assert "name" in refused.value.what


def test_another_user_is_not_used_and_said() -> None:
    (note,) = choose_image(replace(JOB, user="1001"), tenant()).notes
    assert "image:kubernetes:user is not used" in note


@pytest.mark.parametrize(
    ("image", "registry"),
    [
        ("debian:12", "docker.io"),
        ("library/debian", "docker.io"),
        ("registry.example.com/a/b:1", "registry.example.com"),
        ("registry:5000/a", "registry:5000"),
        ("localhost/a", "localhost"),
    ],
)
def test_the_registry_of_an_image_is_known(image: str, registry: str) -> None:
    assert registry_of(image) == registry
