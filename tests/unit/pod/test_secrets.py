"""A job's own images are pulled with the logins of their registries, and with no others."""

from __future__ import annotations

import json

import pytest

from executor.pod.secrets import pull_logins

LOGIN = {"auth": "dTpw"}


def config(*addresses: str) -> str:
    return json.dumps({"auths": dict.fromkeys(addresses, LOGIN)})


@pytest.mark.parametrize(
    ("address", "image"),
    [
        ("registry.example.com", "registry.example.com/team/build:1"),
        ("https://registry.example.com/v2/", "registry.example.com/team/build:1"),
        ("registry.example.com:5000", "registry.example.com:5000/build"),
        ("*.example.com", "registry.example.com/build"),
        ("https://index.docker.io/v1/", "debian:12"),
        ("docker.io", "team/build"),
    ],
)
def test_a_login_goes_along_for_its_registry(address: str, image: str) -> None:
    assert pull_logins([image], config(address)) == {address: LOGIN}


@pytest.mark.parametrize(
    ("address", "image"),
    [
        ("registry.example.com", "registry.example.com.evil/build"),
        ("registry.example.com", "other.example.com/registry.example.com/build"),
        ("*.example.com", "example.com/build"),
        ("registry.example.com", "registry.example.com:5000/build"),
        ("https://index.docker.io/v1/", "registry.example.com/build"),
    ],
)
def test_no_login_goes_along_for_another(address: str, image: str) -> None:
    assert pull_logins([image], config(address)) == {}


def test_later_logins_win_and_what_is_none_is_left_out() -> None:
    later = json.dumps({"auths": {"registry.example.com": {"auth": "bGF0ZXI="}, "other": LOGIN}})
    found = pull_logins(
        ["registry.example.com/a", "other/b"], config("registry.example.com"), "", "{", '{"auths": 5}', later
    )
    assert found == {"registry.example.com": {"auth": "bGF0ZXI="}}
    assert pull_logins(["registry.example.com/a"], '{"auths": {"registry.example.com": "text"}}') == {}
