"""Logins inside addresses and orders for terminals are taken out, and nothing else is."""

from __future__ import annotations

import pytest

from executor.scrub import image_without_login, readable, without_logins, without_orders


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("https://user:s3cret@proxy:3128/x", "https://***@proxy:3128/x"),
        ("https://s3cret@host", "https://***@host"),
        ("http://u:p@ss@host a https://v:w@h", "http://***@host a https://***@h"),
        ("https://host/a@b", "https://host/a@b"),
        ("me@example.com: no", "me@example.com: no"),
        ("bad header 'Authorization: Bearer eyJhbGci.x-_~'", "bad header 'Authorization: Bearer ***'"),
        ("Proxy-Authorization: basic dXNlcjpzM2NyZXQ=", "Proxy-Authorization: basic ***"),
        ("a bearer of news", "a bearer of news"),
        ("registry.example.com/a:1@sha256:00", "registry.example.com/a:1@sha256:00"),
    ],
)
def test_urls_lose_their_logins(text: str, left: str) -> None:
    assert without_logins(text) == left


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("user:s3cret@registry.example.com/a/b:1", "***@registry.example.com/a/b:1"),
        ("https://user:s3cret@registry.example.com/a", "https://***@registry.example.com/a"),
        ("registry.example.com/a@sha256:00", "registry.example.com/a@sha256:00"),
        ("debian@sha256:00", "debian@sha256:00"),
    ],
)
def test_names_of_images_lose_them_too(name: str, left: str) -> None:
    assert image_without_login(name) == left


def test_colours_and_control_characters_are_taken_out_of_words() -> None:
    assert without_orders("\x1b[31;1mred\x1b[0m\x07 a\tb\nc\x00\x1b") == "red a\tb\nc"
    assert without_orders("\x9b31mred\x9d52;c;eA==\x9c") == "red52;c;eA=="


def test_what_is_no_letter_is_replaced_and_the_rest_bounded() -> None:
    assert readable("a\x00b\nä\ud800c", 100) == "a?b?ä?c".replace("?", "\N{REPLACEMENT CHARACTER}")
    assert readable("x" * 50, 10) == "x" * 10
