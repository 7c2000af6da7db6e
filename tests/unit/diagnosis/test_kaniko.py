"""Kaniko's last lines become a hint. The texts are what Kaniko 1.24 printed when each failure was provoked."""

from __future__ import annotations

from pathlib import Path

import pytest

from executor.diagnosis import kaniko

RECORDED = Path(__file__).parent / "data/kaniko"
FOUND = {
    "push-unauth": "kaniko_push_denied",
    "push-denied": "kaniko_push_denied",
    "push-dns": "kaniko_registry_unreachable",
    "push-refused": "kaniko_registry_unreachable",
    "push-tls": "kaniko_tls",
    "base-unauth": "kaniko_base_image_denied",
    "base-denied": "kaniko_base_image_denied",
    "base-missing": "kaniko_base_image_not_found",
    "base-dns": "kaniko_registry_unreachable",
    "base-refused": "kaniko_registry_unreachable",
    "base-tls": "kaniko_tls",
    "base-ratelimit": "kaniko_rate_limited",
    "from-missing": "kaniko_registry_unreachable",
    "copy-missing": "kaniko_no_such_file",
    "copy-from-missing": "kaniko_no_such_file",
    "copy-missing-cache": "kaniko_no_such_file",
    "no-dockerfile": "kaniko_no_such_file",
    "no-context": "kaniko_no_such_file",
    "nodest": "kaniko_flags",
    "flag": "kaniko_flags",
    "flag-value": "kaniko_flags",
    "destination": "kaniko_flags",
    "target": "kaniko_flags",
    "parse": "kaniko_dockerfile",
    "from-empty": "kaniko_dockerfile",
    "copy-heredoc": "kaniko_dockerfile",
    "copy-flag": "kaniko_dockerfile",
    "copy-from-number": "kaniko_dockerfile",
    "copy-whole-stage": "kaniko_dockerfile",
    "chmod-symbolic": "kaniko_dockerfile",
    "quote": "kaniko_dockerfile",
    "add-xz": "kaniko_dockerfile",
    "add-url": "kaniko_download_failed",
    "nobash": "kaniko_no_shell",
    "snapshot": "kaniko_snapshot_timeout",
    "disk-run": "kaniko_disk_full",
    "disk-snapshot": "kaniko_disk_full",
    "disk-unpack": "kaniko_disk_full",
    "chown": "kaniko_not_permitted",
    "cache-lost": "kaniko_lost_cache_layer",
    # The author's own commands, and what is clear without a hint.
    "exit37": "",
    "nocommand": "",
    "nouser": "",
    "chown-nouser": "",
    "killed": "",
    "ok": "",
}


def test_every_recorded_text_is_looked_at() -> None:
    assert {path.stem for path in RECORDED.glob("*.txt")} == set(FOUND)


@pytest.mark.parametrize(("name", "category"), FOUND.items(), ids=FOUND)
def test_what_kaniko_printed_is_understood(name: str, category: str) -> None:
    found = kaniko.hint((RECORDED / f"{name}.txt").read_text())
    assert (found.category if found else "") == category
    assert found is None or found.text.endswith((".", "?"))


def test_a_file_that_is_missing_in_a_stage_is_not_looked_for_in_the_context() -> None:
    found = kaniko.hint((RECORDED / "copy-from-missing.txt").read_text())
    assert found is not None
    assert "--from" in found.text
    assert ".dockerignore" not in found.text
    unpacked = (
        "failed to get fileinfo for /kaniko/buildcontext/x: lstat /kaniko/buildcontext/x: no such file or directory"
    )
    assert ".dockerignore" in str(kaniko.hint(unpacked))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "fetch https://example.com/x: 403 denied\n",
        "x509: certificate signed by unknown authority\n",
        "lookup example.com: no such host\nerror building image: error building stage: exit status 1\n",
        "npm ERR! 429 Too Many Requests\n",
        "open /etc/x: no such file or directory\n",
        "chown: /x: Operation not permitted\n",
    ],
)
def test_words_of_the_authors_own_commands_get_no_hint(text: str) -> None:
    assert kaniko.hint(text) is None
