"""What git's words from inside a pod mean. The words are those of git with OpenSSL and with GnuTLS."""

from __future__ import annotations

import threading

import pytest

from executor.job import Connection
from executor.operate.checkup import inside
from executor.operate.checkup.inside import Plan, judged, judged_closed, judged_kaniko, judged_story, seen_inside
from tests.support.tenants import tenant

ADDRESS = "https://gitlab.example.com:8443/x"
ACCESS = f"fatal: unable to access '{ADDRESS}': "


@pytest.mark.parametrize(
    "said",
    [
        f"fatal: repository '{ADDRESS}' not found\ncode=128",
        "remote: HTTP Basic: Access denied\nfatal: Authentication failed\ncode=128",
        "fatal: could not read Username for 'https://x': terminal prompts disabled\ncode=128",
        f"{ACCESS}The requested URL returned error: 403\ncode=128",
        f"{ACCESS}error:0A00010B:SSL routines::wrong version number\ncode=128",
        f"{ACCESS}gnutls_handshake() failed: An unexpected TLS packet was received.\ncode=128",
        "1234\tHEAD\ncode=0",
    ],
)
def test_whatever_answers_is_reached(said: str) -> None:
    found = judged("gitlab", ADDRESS, said)
    assert (found.verdict, found.what) == ("good", "a pod of this tenant reaches gitlab.example.com:8443")
    assert judged_closed("api-server-closed", ADDRESS, "the API server", said).verdict == "warning"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("", "does not answer"),
        (f"{ACCESS}Could not resolve host: gitlab.example.com\ncode=128", "cannot look up the name"),
        (f"{ACCESS}Failed to connect to gitlab.example.com port 443 after 3 ms: Couldn't connect\ncode=128", "reach"),
        (f"{ACCESS}Connection timed out\ncode=128", "cannot reach"),
        (f"{ACCESS}Recv failure: Connection reset by peer\ncode=128", "cannot reach"),
    ],
)
def test_what_does_not_answer_is_not_reached_and_the_setting_is_named(said: str, words: str) -> None:
    found = judged("gitlab", ADDRESS, said)
    assert (found.verdict, words in found.what) == ("problem", True)
    assert "[network]" in found.remedy
    assert judged_closed("metadata-closed", ADDRESS, "the metadata", said).verdict == "good"


@pytest.mark.parametrize(
    "said",
    [
        f"{ACCESS}SSL certificate problem: unable to get local issuer certificate\ncode=128",
        f"{ACCESS}server certificate verification failed. CAfile: none CRLfile: none\ncode=128",
    ],
)
def test_a_certificate_that_is_not_trusted_is_told_as_such(said: str) -> None:
    found = judged("registry", ADDRESS, said)
    assert (found.verdict, "does not trust" in found.what) == ("problem", True)
    # Something is there, and a hostile build need not check certificates.
    assert judged_closed("api-server-closed", ADDRESS, "the API server", said).verdict == "warning"


def test_words_of_strangers_cannot_drive_a_terminal() -> None:
    assert "\x1b" not in judged("gitlab", ADDRESS, f"{ACCESS}Connection refused \x1b]0;x\x07\ncode=128").what


@pytest.mark.parametrize(
    ("said", "verdict", "words"),
    [
        ("0 1 0 0 0 0 0 0 1 12 0 0", "good", "S3 behind it (layers)"),
        ("0 1 0 0 0 0 0 0 1 9000 0 1", "problem", "cannot be reached"),
        ("0 1 0 0 0 0 0 0 1 9 0 3", "problem", "refuses the tenant's keys"),
        ("0 1 0 0 0 0 0 0 1 9 0 7", "problem", "no such bucket"),
        ("0 0 0 0 0 0 0 0 0 0 0 99", "problem", "does not answer"),
        ("wget: can't connect to remote host (127.0.0.1): Connection refused", "problem", "does not answer"),
        ("", "problem", "no words"),
    ],
)
def test_the_cache_registry_tells_whether_s3_answers(said: str, verdict: str, words: str) -> None:
    found = judged_story(said, "layers")
    assert (found.verdict, words in found.what) == (verdict, True)


def kaniko_says(version: str) -> str:
    return f"Kaniko version :  {version}\ncode=0"


@pytest.mark.parametrize("version", ["v1.24.0", "v1.25.16", "unset", "v1.27.9-debug"])
def test_layers_of_copy_are_a_problem_where_keys_leave_something_out(version: str) -> None:
    found = judged_kaniko(kaniko_says(version), copy_layers=True)
    assert found.verdict == "problem"
    assert version.replace("unset", "of unknown version") in found.what
    assert judged_kaniko(kaniko_says(version), copy_layers=False).verdict == "good"


@pytest.mark.parametrize("version", ["v1.28.0", "v1.28.3-debug", "1.30.0", "v2.0.0"])
def test_they_are_none_where_keys_are_sound(version: str) -> None:
    assert judged_kaniko(kaniko_says(version), copy_layers=True).verdict == "good"


def test_an_image_without_the_executor_is_told_with_its_own_words() -> None:
    found = judged_kaniko("sh: /kaniko/executor: not found\ncode=127", copy_layers=False)
    assert found.verdict == "problem"
    assert "/kaniko/executor: not found" in found.what


def test_who_ends_it_is_not_kept_waiting_by_what_is_being_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    never, stop = threading.Event(), threading.Event()
    monkeypatch.setattr(inside, "_tried", lambda _: never.wait())
    stop.set()

    connection = Connection(server="https://127.0.0.1:1", namespace="tenant-a")
    found = list(seen_inside(tenant(), connection, "pod", Plan(reach=(), silence=8, wait=120, stop=stop)))

    never.set()
    assert [(one.check, one.verdict, one.what) for one in found] == [("trial-pod", "skipped", "interrupted")]
