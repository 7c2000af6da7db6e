"""Metadata addresses and the API server stay out of every range that an operator lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from executor.settings import network
from tests.support.tenants import tenant

if TYPE_CHECKING:
    from executor.settings.placemodel import Network

API = {"cidr": "10.96.0.1/32", "ports": [443]}


def settings(**lists: list[dict[str, Any]]) -> Network:
    return tenant(network={"api_server": [API]} | lists).network


def mistakes(**lists: list[dict[str, Any]]) -> list[str]:
    found: list[str] = []
    network.check(settings(**lists), lambda path, text: found.append(f"{'.'.join(path)}: {text}"))
    return found


@pytest.mark.parametrize(
    ("destination", "out"),
    [
        ({"cidr": "192.0.2.0/24"}, ()),
        ({"cidr": "169.254.0.0/16", "ports": [80]}, ("169.254.169.254/32", "169.254.170.2/32")),
        ({"cidr": "fd00::/8", "ports": [80]}, ("fd00:ec2::254/128",)),
        ({"cidr": "10.0.0.0/8", "ports": [443]}, ("10.96.0.1/32",)),
        ({"cidr": "10.0.0.0/8"}, ("10.96.0.1/32",)),
        ({"cidr": "10.0.0.0/8", "ports": [400], "end_port": 500}, ("10.96.0.1/32",)),
        # Another service may well answer at the same address.
        ({"cidr": "10.0.0.0/8", "ports": [5000]}, ()),
        ({"cidr": "10.0.0.0/8", "ports": [5000], "end_port": 6000}, ()),
        ({"cidr": "10.0.0.0/8", "protocols": ["UDP"]}, ()),
        ({"namespace": "registry"}, ()),
    ],
)
def test_what_must_stay_out_of_reach_is_cut_out_of_a_range(destination: dict[str, Any], out: tuple[str, ...]) -> None:
    opened = settings(extra=[destination])
    assert network.kept_out(opened.extra[0], opened) == out


def test_everything_is_everything_but_that() -> None:
    opened = settings(extra=[{"cidr": "0.0.0.0/0"}, {"cidr": "::/0"}])
    assert {*network.kept_out(opened.extra[0], opened), *network.kept_out(opened.extra[1], opened)} == {
        *network.METADATA,
        "10.96.0.1/32",
    }


@pytest.mark.parametrize("cidr", ["169.254.169.254/32", "fd00:ec2::254/128", "10.96.0.1/32"])
@pytest.mark.parametrize("purpose", network.PURPOSES)
def test_listing_just_that_is_refused(purpose: str, cidr: str) -> None:
    (mistake,) = mistakes(**{purpose: [{"cidr": cidr, "ports": [443]}]})
    assert mistake.startswith(f"network.{purpose}.0: {cidr} lies within {cidr}")


def test_another_port_of_the_api_servers_machine_may_be_listed() -> None:
    assert mistakes(registry=[{"cidr": "10.96.0.1/32", "ports": [5000]}]) == []
    assert mistakes(registry=[{"cidr": "10.96.0.1/32", "ports": [5000, 443]}]) != []


@pytest.mark.parametrize(
    ("destination", "words"),
    [
        ({}, "either a cidr or a namespace"),
        ({"cidr": "10.0.0.0/8", "namespace": "x"}, "either a cidr or a namespace"),
        ({"cidr": "10.0.0.0/8", "pods": {"a": "b"}}, "pods are chosen in a namespace"),
        ({"cidr": "10.0.0.1/8"}, "'10.0.0.1/8' is no range of addresses: 10.0.0.1/8 has host bits set"),
        ({"namespace": "x", "ports": [80], "end_port": 80}, "end_port needs one port that is below it"),
        ({"namespace": "x", "ports": [80, 81], "end_port": 90}, "end_port needs one port"),
        ({"namespace": "x", "end_port": 90}, "end_port needs one port"),
        ({"namespace": "x", "protocols": []}, "protocols must not be empty"),
    ],
)
def test_a_destination_that_is_none_is_refused(destination: dict[str, Any], words: str) -> None:
    (mistake,) = mistakes(extra=[destination])
    assert words in mistake


def test_the_api_server_is_named_by_addresses() -> None:
    found: list[str] = []
    network.check(settings(api_server=[{"namespace": "default"}]), lambda _path, text: found.append(text))
    assert found == ["the API server is named by its addresses, so each entry needs a cidr"]


class TestReach:
    OPENED = settings(gitlab=[{"cidr": "10.0.0.0/8", "ports": [443]}], dns=[{"cidr": "10.9.0.0/16"}])

    def test_names_the_list_that_opens_an_address(self) -> None:
        assert network.reaches(self.OPENED, "10.1.1.1", 443) == "gitlab"
        assert network.reaches(self.OPENED, "10.9.1.1", 6443) == "dns"

    def test_is_nothing_where_no_list_opens_it(self) -> None:
        assert network.reaches(self.OPENED, "10.1.1.1", 6443) == ""
        assert network.reaches(self.OPENED, "192.0.2.1", 443) == ""
        assert network.reaches(self.OPENED, "2001:db8::1", 443) == ""

    def test_knows_what_is_cut_out(self) -> None:
        assert network.reaches(self.OPENED, "10.96.0.1", 443) == ""
