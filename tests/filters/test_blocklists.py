"""DNS blocklists over real packets: scores by zone and answer, and lists that are dead, blocked or list everything."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from postillon.filters.blocklists import (
    ADDRESS,
    FAILURES,
    LINKS,
    SENDER,
    Blocklists,
    Zone,
    _upwards,
    matches,
    reversed_name,
    total,
)
from postillon.net.dns import DnsResolver, DnsSettings
from tests.net.dns_server import ZoneServer

TEST = "2.0.0.127 A 127.0.0.2\n"


@pytest.fixture
async def dns() -> AsyncIterator[ZoneServer]:
    zones = {
        "bl.test": TEST + "7.2.0.192 A 127.0.0.4\n8.2.0.192 A 127.0.0.9\n8.2.0.192 A 127.0.0.2\n",
        "wl.test": TEST + "7.2.0.192 A 127.0.5.3\n",
        "all.test": "* A 127.0.0.2\n*.127 A 127.0.0.2\n*.0.127 A 127.0.0.2\n*.0.0.127 A 127.0.0.2\n*.2.0.192 A 127.0.0.2",
        "blocked.test": "2.0.0.127 A 127.255.255.254\n7.2.0.192 A 127.255.255.254",
        "parked.test": "2.0.0.127 A 203.0.113.5\n7.2.0.192 A 203.0.113.5",
        "dom.test": "test A 127.0.0.2\nbad.example A 127.0.1.2\n",
    }
    async with ZoneServer(zones) as server:
        yield server


def lists(dns: ZoneServer, *zones: Zone, clock: list[float] | None = None) -> Blocklists:
    resolver = DnsResolver([dns.address], DnsSettings(timeout_s=0.2))
    at = clock if clock is not None else [1000.0]
    return Blocklists(resolver=resolver, zones=zones, now=lambda: at[0], time_s=1.0)


async def test_the_score_is_that_of_the_zone_where_no_codes_are_given(dns: ZoneServer) -> None:
    (found,) = await lists(dns, Zone("bl.test", 2.5)).of_address("192.0.2.7")
    assert (found.zone, found.answer, found.score, found.what) == ("bl.test", "127.0.0.4", 2.5, ADDRESS)
    assert found.finding.code == "dnsbl.listed"


async def test_who_is_not_listed_has_no_listing(dns: ZoneServer) -> None:
    assert await lists(dns, Zone("bl.test")).of_address("192.0.2.99") == []
    assert await lists(dns, Zone("bl.test")).of_address("unix") == []


async def test_codes_have_their_own_scores_and_the_weightiest_counts(dns: ZoneServer) -> None:
    zone = Zone("bl.test", codes={"127.0.0.2": 8.0, "127.0.0.4-7": 1.0})
    found = lists(dns, zone)
    assert [one.score for one in await found.of_address("192.0.2.7")] == [1.0]
    assert [(one.score, one.answer) for one in await found.of_address("192.0.2.8")] == [(8.0, "127.0.0.2")]


async def test_codes_that_are_not_named_mean_nothing(dns: ZoneServer) -> None:
    assert await lists(dns, Zone("bl.test", codes={"127.0.0.77": 9.0})).of_address("192.0.2.7") == []


async def test_allowlists_count_against_blocklists(dns: ZoneServer) -> None:
    found = await lists(dns, Zone("bl.test", 3.0), Zone("wl.test", codes={"127.0.*.3": -5.0})).of_address("192.0.2.7")
    assert total(found) == -2.0
    assert {one.finding.code for one in found} == {"dnsbl.listed", "dnswl.listed"}


@pytest.mark.parametrize("zone", ["all.test", "blocked.test", "parked.test"])
async def test_a_list_that_answers_nonsense_is_ignored(dns: ZoneServer, zone: str) -> None:
    found = lists(dns, Zone(zone, 9.0), Zone("bl.test", 1.0))
    assert [one.zone for one in await found.of_address("192.0.2.7")] == ["bl.test"]
    before = len(dns.queries)
    await found.of_address("192.0.2.8")
    assert not any(name.endswith(zone) for name, *_ in dns.queries[before:])


async def test_an_ignored_list_is_asked_again_later(dns: ZoneServer) -> None:
    clock = [1000.0]
    found = lists(dns, Zone("blocked.test", 9.0), clock=clock)
    assert await found.of_address("192.0.2.7") == []
    dns.set_zone("blocked.test", TEST + "9.2.0.192 A 127.0.0.2\n")
    assert await found.of_address("192.0.2.9") == []
    clock[0] += 601
    assert [one.score for one in await found.of_address("192.0.2.9")] == [9.0]


async def test_a_list_that_is_down_costs_nothing_after_a_few_questions(dns: ZoneServer) -> None:
    dns.fail("*", "servfail")
    found = lists(dns, Zone("bl.test"))
    for host in range(FAILURES + 3):
        assert await found.of_address(f"192.0.2.{host}") == []
    before = len(dns.queries)
    assert await found.of_address("192.0.2.200") == []
    assert len(dns.queries) == before


async def test_domains_are_found_under_the_names_above_them(dns: ZoneServer) -> None:
    found = lists(dns, Zone("dom.test", 4.0, checks=(SENDER, LINKS)))
    for domain in ("bad.example", "www.Bad.Example.", "a.b.c.bad.example"):
        (one,) = await found.of_domains(SENDER, [domain])
        assert one.score == 4.0 and one.finding.code == "rhsbl.listed"
    assert await found.of_domains(SENDER, ["good.example", "localhost", "[192.0.2.1]", "", "not a name"]) == []
    assert await found.of_domains(ADDRESS, ["bad.example"]) == []


async def test_a_domain_list_of_everything_is_ignored(dns: ZoneServer) -> None:
    assert await lists(dns, Zone("all.test", 4.0, checks=(SENDER,))).of_domains(SENDER, ["good.example"]) == []


async def test_no_zone_asks_nothing(dns: ZoneServer) -> None:
    found = lists(dns)
    assert not found and await found.of_address("192.0.2.7") == [] and dns.queries == []


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("192.0.2.7", "7.2.0.192"),
        ("::ffff:192.0.2.7", "7.2.0.192"),
        ("2001:db8::1", "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2"),
        ("unix", ""),
    ],
)
def test_addresses_are_asked_for_backwards(address: str, name: str) -> None:
    assert reversed_name(address) == name


@pytest.mark.parametrize(
    ("pattern", "answer", "is_it"),
    [
        ("127.0.0.2", "127.0.0.2", True),
        ("127.0.0.2", "127.0.0.20", False),
        ("127.0.0.4-7", "127.0.0.7", True),
        ("127.0.0.4-7", "127.0.0.8", False),
        ("127.0.*.3", "127.0.99.3", True),
    ],
)
def test_patterns_of_answers(pattern: str, answer: str, is_it: bool) -> None:
    assert matches(pattern, answer) is is_it


def test_only_the_last_few_names_above_a_domain_are_asked_for() -> None:
    assert _upwards("a.b.c.d.e") == ["b.c.d.e", "c.d.e", "d.e"]
