"""The cluster's pattern for an image takes what the driver's own takes."""

from __future__ import annotations

import re

import pytest

from executor.tenancy.admission import image_pattern

ALLOWED = "registry.example.com/tenant-a/*"


@pytest.mark.parametrize("image", ["registry.example.com/tenant-a/x:1", "registry.example.com/tenant-a/x/y@sha256:00"])
def test_what_is_allowed_matches(image: str) -> None:
    assert re.match(image_pattern(ALLOWED), image)


@pytest.mark.parametrize(
    "image",
    [
        "registry.example.com/tenant-ab/x:1",
        "registry-example.com/tenant-a/x:1",
        "evil.example.com/registry.example.com/tenant-a/x:1",
        "registry.example.com/tenant-a",
    ],
)
def test_nothing_else_does(image: str) -> None:
    assert not re.match(image_pattern(ALLOWED), image)


def test_a_pattern_without_a_star_is_one_image() -> None:
    assert re.match(image_pattern("a/b:1.0"), "a/b:1.0")
    assert not re.match(image_pattern("a/b:1.0"), "a/b:1x0")
    assert not re.match(image_pattern("a/b:1.0"), "a/b:1.0-debug")
