"""Our own way with addresses says what the standard library's says."""

from __future__ import annotations

import random
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import pytest

from executor.cluster import address

SERVERS = [
    "https://10.0.0.1:6443",
    "https://api.example.com",
    "https://API.Example.com:443/",
    "https://rancher.example.com/k8s/clusters/c-1",
    "https://[2001:db8::1]:6443",
    "https://[2001:db8::1]/prefix",
    "https://somebody:secret@example.com:8443/k8s",
    "https://example.com/k8s?x=1#y",
]


@pytest.mark.parametrize("server", SERVERS)
def test_a_servers_address_is_taken_apart(server: str) -> None:
    parts = urlsplit(server)
    assert address.host_and_port(server) == (parts.hostname, parts.port or 443)
    assert address.place(server) == parts.netloc.rpartition("@")[2]
    assert address.path(server) == parts.path


def test_the_path_of_a_request_is_what_stands_before_its_query() -> None:
    assert address.path("/api/v1/pods?watch=true") == "/api/v1/pods"


def texts() -> list[str]:
    """Return words of all kinds of letters, the same each time."""
    dice = random.Random(1)
    return ["".join(chr(dice.choice((dice.randint(1, 127), dice.randint(128, 0xD7FF)))) for _ in range(20))] + [
        "".join(dice.choices(" +&=%/?#~-._ä€", k=dice.randint(1, 12))) for _ in range(200)
    ]


def test_any_text_comes_back_as_it_was() -> None:
    for text in texts():
        assert address.quoted(text) == quote(text, safe="")
        assert unquote(address.quoted(text)) == text


def test_a_query_is_read_as_it_was_meant() -> None:
    pairs = list(zip(texts(), reversed(texts()), strict=True))
    assert parse_qsl(address.query(pairs), keep_blank_values=True) == pairs


def test_amounts_are_written_as_text() -> None:
    assert address.query([("limit", 50), ("watch", "true")]) == "limit=50&watch=true"
