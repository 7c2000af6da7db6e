"""Why an image cannot be pulled, in the words of registries, containerd and CRI-O."""

from __future__ import annotations

import pytest

from executor.diagnosis import image

NAME = "registry.example.com/team/build:1"
RESOLVE = f'failed to pull and unpack image "{NAME}": failed to resolve reference "{NAME}": '


@pytest.mark.parametrize(
    ("message", "category"),
    [
        (f"{RESOLVE}{NAME}: not found", "image_not_found"),
        ("reading manifest 1 in registry.example.com/team/build: manifest unknown", "image_not_found"),
        (f"{RESOLVE}unexpected status from HEAD request to https://x/v2/: 403 Forbidden", "image_denied"),
        (
            (
                f"{RESOLVE}pull access denied, repository does not exist or may require authorization: server message: "
                "insufficient_scope: authorization failed"
            ),
            "image_denied",
        ),
        ("unable to retrieve auth token: invalid username/password: unauthorized: incorrect password", "image_denied"),
        (
            f"{RESOLVE}unexpected status code: 429 Too Many Requests - Server message: toomanyrequests",
            "image_rate_limited",
        ),
        ("pull QPS exceeded", "image_rate_limited"),
        (f'{RESOLVE}Head "https://x": tls: failed to verify certificate: x509: unknown authority', "image_tls"),
        (f"{RESOLVE}http: server gave HTTP response to HTTPS client", "image_tls"),
        (f'{RESOLVE}Head "https://x": dial tcp: lookup x on 10.0.0.2:53: no such host', "image_dns"),
        (f'{RESOLVE}Head "https://x": dial tcp 10.0.0.1:443: connect: connection refused', "image_unreachable"),
        (f'{RESOLVE}Head "https://x": dial tcp 10.0.0.1:443: i/o timeout', "image_unreachable"),
        (f"{RESOLVE}unexpected status from GET request to https://x: 503 Service Unavailable", "image_unreachable"),
        ("failed to extract layer sha256:1: write /var/lib/x: no space left on device", "node_pressure"),
        (f"{RESOLVE}no match for platform in manifest: not found", "image_platform"),
        ("something that nobody has seen yet", "image_failed"),
    ],
)
def test_the_cause_is_found_in_the_runtimes_words(message: str, category: str) -> None:
    found = image.of_pull(container="build", image=NAME, reason="ErrImagePull", message=message)
    assert (found.category, found.container) == (category, "build")
    assert NAME in found.what
    assert message in found.why
    assert found.remedy.endswith(".")
    assert not found.final


def test_what_may_pass_is_told_from_what_will_not() -> None:
    assert image.PASSING | image.ANSWERED < image.ALL
    assert not image.PASSING & image.ANSWERED
