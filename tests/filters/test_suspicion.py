"""Who is suspicious before the mail comes: names, reverse names and SPF; trouble with DNS is never held against anybody."""

from __future__ import annotations

from typing import Any

import pytest

from postillon.filters.suspicion import ENOUGH, looks_dynamic, suspicion
from postillon.model.address import Address
from postillon.model.envelope import Client, Envelope
from postillon.seams import DnsStatus
from tests.kinds import TableResolver

HONEST: dict[str, Any] = {
    "192.0.2.7": {"ptr": ["mail.sender.example"]},
    "mail.sender.example": {"a": ["192.0.2.7"]},
    "sender.example": {"txt": ["v=spf1 a:mail.sender.example -all"]},
}


async def points(table: dict[str, Any], hello: str = "mail.sender.example", address: str = "192.0.2.7") -> int:
    envelope = Envelope(Address.parse("alice@sender.example"))
    found = await suspicion(Client(address, hello=hello), envelope, TableResolver(table), receiver="mx.example.org", now=1)
    return sum(one.points for one in found)


async def test_an_honest_server_has_no_points() -> None:
    assert await points(HONEST) == 0


async def test_a_domain_without_spf_alone_is_not_suspicious() -> None:
    assert 0 < await points(HONEST | {"sender.example": {"txt": []}}) < ENOUGH


@pytest.mark.parametrize(
    "changed",
    [
        {"192.0.2.7": DnsStatus.NXDOMAIN},
        {"sender.example": {"txt": ["v=spf1 ~all"]}},
        {"sender.example": {"txt": ["v=spf1 -all"]}},
        {
            "192.0.2.7": {"ptr": ["ip-192-0-2-7.dsl.example"]},
            "ip-192-0-2-7.dsl.example": {"a": ["192.0.2.7"]},
        },
    ],
)
async def test_what_makes_suspicious(changed: dict[str, Any]) -> None:
    assert await points(HONEST | changed) >= ENOUGH


async def test_our_own_name_in_ehlo_is_suspicious() -> None:
    assert await points(HONEST, hello="mx.example.org") >= ENOUGH


async def test_trouble_with_dns_is_no_ground_for_suspicion() -> None:
    everything = dict.fromkeys(HONEST, DnsStatus.SERVFAIL)
    assert await points(everything) < ENOUGH


async def test_what_has_no_address_is_not_judged() -> None:
    assert await points({}, address="unix") == 0


@pytest.mark.parametrize(
    ("name", "is_it"),
    [
        ("mail.example.org", False),
        ("mx7.example.org", False),
        ("example.org", False),
        ("192-0-2-7.example.net", True),
        ("7.2.0.192.dyn.example.net", True),
        ("host192000002007.example.net", True),
        ("c0000207.example.net", True),
        ("pool-17.example.net", True),
        ("client.example.net", True),
        ("static-192-0-2-7.example.net", False),
        ("mail-192-0-2-7.example.net", False),
        ("web23.example.org", False),
    ],
)
def test_names_that_look_like_a_line_at_home(name: str, is_it: bool) -> None:
    assert looks_dynamic(name, "192.0.2.7") is is_it


def test_a_long_name_costs_no_more_than_its_length() -> None:
    assert looks_dynamic("1." * 20_000 + "example.net", "192.0.2.7") is False
