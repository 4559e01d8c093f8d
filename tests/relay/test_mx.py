"""Where mail for a domain goes by DNS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from postillon.model.queue import NextHop, Outcome, OutcomeKind
from postillon.relay.hop import Hop, RelaySettings, interleaved, is_public
from postillon.relay.mx import mx_hops
from postillon.relay.outcome import Undeliverable
from postillon.relay.smarthost import Routes, route_hops
from postillon.relay.tls_policy import TlsMode
from postillon.seams import DnsStatus

from ..kinds import TableResolver

SETTINGS = RelaySettings("us.test")


def as_it_is(_: list[Any]) -> None:
    """No shuffle."""


def nobody(_address: str, _port: int) -> bool:
    return False


async def hops(
    table: dict[str, Any],
    domain: str = "there.test",
    *,
    settings: RelaySettings = SETTINGS,
    ours: tuple[tuple[str, int], ...] = (),
    shuffle: Callable[[list[Any]], None] = as_it_is,
) -> list[tuple[str, str]]:
    found = await mx_hops(domain, TableResolver(table), settings, lambda address, port: (address, port) in ours, shuffle)
    assert all(hop.tls is TlsMode.OPPORTUNISTIC and hop.port == settings.port for hop in found)
    return [(hop.name, hop.address) for hop in found]


async def refused(table: dict[str, Any], domain: str = "there.test", **more: Any) -> Outcome:
    with pytest.raises(Undeliverable) as caught:
        await hops(table, domain, **more)
    assert caught.value.outcome.text.isprintable()
    return caught.value.outcome


async def test_hosts_are_asked_by_preference():
    table = {
        "there.test": {"mx": [(20, "two.test"), (10, "one.test."), (30, "three.test")]},
        "one.test": {"a": ["8.0.0.1"]},
        "two.test": {"a": ["8.0.0.2"]},
        "three.test": {"a": ["8.0.0.3"]},
    }
    assert await hops(table) == [("one.test", "8.0.0.1"), ("two.test", "8.0.0.2"), ("three.test", "8.0.0.3")]


async def test_equal_preferences_are_shuffled_and_others_are_not():
    table = {
        "there.test": {"mx": [(10, "a.test"), (10, "b.test"), (5, "c.test")]},
        **{f"{name}.test": {"a": [f"8.0.0.{n}"]} for n, name in enumerate("abc")},
    }
    assert [name for name, _ in await hops(table)] == ["c.test", "a.test", "b.test"]
    backwards = await hops(table, shuffle=lambda records: records.reverse())
    assert [name for name, _ in backwards] == ["c.test", "b.test", "a.test"]


async def test_both_families_take_turns():
    table = {"there.test": {"a": ["8.0.0.1", "8.0.0.2", "8.0.0.3"], "aaaa": ["2a00::1"]}}
    assert [address for _, address in await hops(table)] == ["2a00::1", "8.0.0.1", "8.0.0.2", "8.0.0.3"]
    assert interleaved(["1.1.1.1", "2a00::1"], RelaySettings("x", ipv6=False)) == ["1.1.1.1"]


async def test_without_mx_the_domain_is_its_own_host():
    assert await hops({"there.test": {"a": ["8.0.0.1"]}}) == [("there.test", "8.0.0.1")]


async def test_with_mx_the_domains_own_address_is_never_asked():
    table = {"there.test": {"mx": [(10, "gone.test")], "a": ["8.0.0.1"]}}
    assert (await refused(table)).status == "5.4.4"


async def test_null_mx_is_a_final_no():
    outcome = await refused({"there.test": {"mx": [(0, "")], "a": ["8.0.0.1"]}})
    assert (outcome.kind, outcome.status, outcome.code) == (OutcomeKind.FAILED, "5.1.10", 556)
    assert (await refused({"there.test": {"mx": [(0, ".")]}})).status == "5.1.10"


async def test_a_domain_that_does_not_exist_is_a_final_no():
    outcome = await refused({})
    assert (outcome.kind, outcome.status) == (OutcomeKind.FAILED, "5.1.2")


async def test_a_domain_without_mail_host_is_a_final_no():
    outcome = await refused({"there.test": {"txt": [b"hello"]}})
    assert (outcome.kind, outcome.status) == (OutcomeKind.FAILED, "5.4.4")


@pytest.mark.parametrize("status", [DnsStatus.SERVFAIL, DnsStatus.TIMEOUT, DnsStatus.BOGUS])
@pytest.mark.parametrize(
    "table",
    [
        lambda status: {"there.test": status},
        lambda status: {"there.test": {"mx": status, "a": ["8.0.0.1"]}},
        lambda status: {"there.test": {"a": status}},
        lambda status: {"there.test": {"mx": [(10, "one.test")]}, "one.test": status},
        lambda status: {"there.test": {"mx": [(10, "one.test"), (20, "gone.test")]}, "one.test": status},
    ],
)
async def test_trouble_with_dns_only_defers(table: Callable[[DnsStatus], dict[str, Any]], status: DnsStatus):
    outcome = await refused(table(status))
    assert (outcome.kind, outcome.status, outcome.code) == (OutcomeKind.DEFERRED, "4.4.3", 0)


async def test_hosts_that_can_be_found_are_asked_although_others_cannot():
    table = {
        "there.test": {"mx": [(10, "broken.test"), (20, "gone.test"), (30, "fine.test")]},
        "broken.test": DnsStatus.TIMEOUT,
        "fine.test": {"a": ["8.0.0.3"]},
    }
    assert await hops(table) == [("fine.test", "8.0.0.3")]


async def test_ourselves_and_all_that_is_not_better_are_left_out():
    table = {
        "there.test": {"mx": [(10, "best.test"), (20, "us.test"), (20, "peer.test"), (30, "worst.test")]},
        "best.test": {"a": ["8.0.0.1"]},
        "us.test": {"a": ["8.0.0.2"], "aaaa": ["2a00::2"]},
        "peer.test": {"a": ["8.0.0.3"]},
        "worst.test": {"a": ["8.0.0.4"]},
    }
    assert await hops(table, ours=(("8.0.0.2", 25),)) == [("best.test", "8.0.0.1")]
    # The same address on another port is somebody else.
    assert len(await hops(table, ours=(("8.0.0.2", 2525),))) == 5


async def test_when_only_we_are_left_it_is_a_loop():
    table = {
        "there.test": {"mx": [(10, "us.test"), (10, "peer.test")]},
        "us.test": {"a": ["8.0.0.2"]},
        "peer.test": {"a": ["8.0.0.3"]},
    }
    outcome = await refused(table, ours=(("8.0.0.2", 25),))
    assert (outcome.kind, outcome.status) == (OutcomeKind.FAILED, "5.4.6")


async def test_no_loop_is_claimed_while_a_better_host_cannot_be_looked_up():
    table = {
        "there.test": {"mx": [(10, "best.test"), (20, "us.test")]},
        "best.test": DnsStatus.SERVFAIL,
        "us.test": {"a": ["8.0.0.2"]},
    }
    assert (await refused(table, ours=(("8.0.0.2", 25),))).kind is OutcomeKind.DEFERRED


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "192.168.0.1", "169.254.1.1", "0.0.0.0", "224.0.0.1", "::1", "fe80::1", "fd00::1", "ff02::1",
     "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::1", "100.64.0.1"],
)  # fmt: skip
async def test_private_addresses_are_not_for_strangers_to_choose(address: str):
    kind = "aaaa" if ":" in address else "a"
    table = {"there.test": {kind: [address]}}
    outcome = await refused(table)
    assert (outcome.kind, outcome.status) == (OutcomeKind.FAILED, "5.4.4")
    assert not is_public(address)
    assert await hops(table, settings=RelaySettings("us.test", loopback_allowed=True)) == [("there.test", address)]


async def test_a_public_address_beside_a_private_one_is_asked():
    table = {"there.test": {"a": ["127.0.0.1", "8.0.0.1"]}}
    assert await hops(table) == [("there.test", "8.0.0.1")]


async def test_an_address_literal_needs_no_dns():
    assert await hops({}, "[8.0.0.1]") == [("8.0.0.1", "8.0.0.1")]
    assert await hops({}, "[IPv6:2a00::1]") == [("2a00::1", "2a00::1")]
    assert (await refused({}, "[127.0.0.1]")).status == "5.4.4"
    assert (await refused({}, "[8.0.0.1]", ours=(("8.0.0.1", 25),))).status == "5.4.6"


async def test_a_hundred_hosts_are_not_all_looked_up():
    names = [f"mx{n}.test" for n in range(100)]
    table = {"there.test": {"mx": [(n, name) for n, name in enumerate(names)]}}
    table |= {name: {"a": [f"8.0.{n}.{m}" for m in range(50)]} for n, name in enumerate(names)}
    resolver = TableResolver(table)
    found = await mx_hops("there.test", resolver, SETTINGS, nobody, as_it_is)
    assert len(found) == SETTINGS.max_addresses
    assert len({hop.name for hop in found}) > 2
    assert len(resolver.asked) == 1 + SETTINGS.max_hosts


# --- routes -----------------------------------------------------------------------------------------------------------


def test_the_nearest_route_wins():
    one, two, three = NextHop("one"), NextHop("two"), NextHop("three")
    routes = Routes({"a.test": one, ".b.test": two}, smarthost=three)
    assert routes.to("a.test") is one
    assert routes.to("x.a.test") is three
    assert routes.to("x.b.test") is two
    assert routes.to("y.x.b.test") is two
    assert routes.to("b.test") is three
    assert Routes().to("a.test") is None


async def test_a_route_may_lead_to_a_private_address():
    found = await route_hops(NextHop("10.0.0.1", 2525), TableResolver(), SETTINGS, nobody)
    assert found == (Hop("10.0.0.1", "10.0.0.1", 2525, TlsMode.OPPORTUNISTIC),)


async def test_a_route_by_name_asks_for_addresses_and_not_for_mx():
    resolver = TableResolver({"smart.test": {"mx": [(1, "other.test")], "a": ["8.0.0.1"], "aaaa": ["2a00::1"]}})
    found = await route_hops(NextHop("smart.test", 587, "required", "me", "secret"), resolver, SETTINGS, nobody)
    assert [hop.address for hop in found] == ["2a00::1", "8.0.0.1"]
    assert {(hop.name, hop.tls, hop.login, hop.password) for hop in found} == {("smart.test", TlsMode.REQUIRED, "me", "secret")}
    assert "secret" not in repr(found)


async def test_a_password_is_never_sent_over_tls_that_may_be_taken_away():
    found = await route_hops(NextHop("10.0.0.1", 587, "opportunistic", "me", "secret"), TableResolver(), SETTINGS, nobody)
    assert found[0].tls is TlsMode.REQUIRED


async def test_a_route_that_is_not_found_defers():
    with pytest.raises(Undeliverable) as caught:
        await route_hops(NextHop("smart.test"), TableResolver(), SETTINGS, nobody)
    assert caught.value.outcome.kind is OutcomeKind.DEFERRED


async def test_a_route_to_ourselves_is_a_loop():
    with pytest.raises(Undeliverable) as caught:
        await route_hops(NextHop("127.0.0.1", 25), TableResolver(), SETTINGS, lambda a, p: (a, p) == ("127.0.0.1", 25))
    assert caught.value.outcome.status == "5.4.6"
