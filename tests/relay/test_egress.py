"""Where connections begin: pools of our addresses with shares and names, proxies, and what we have no way to."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from postillon.model.queue import NextHop, OutcomeKind
from postillon.net.socks import Proxy
from postillon.relay.egress import Egress, EgressSettings, Member
from postillon.relay.hop import Hop, Origin
from postillon.relay.outcome import Undeliverable, is_trouble
from postillon.relay.tls_policy import TlsMode

from ..peers.processes import free_port, wait_for_port
from .sink import Sink
from .test_transport import MESSAGE, Octets, envelope, relay

ONE, TWO = Origin("127.0.0.2", "one.us.test"), Origin("127.0.0.3", "two.us.test")
SIX = Origin("::1", "six.us.test")


def hops(*addresses: str) -> tuple[Hop, ...]:
    return tuple(Hop("mx.there.test", address, 25, TlsMode.NONE) for address in addresses)


def egress(*members: Member, **more: object) -> Egress:
    return Egress(EgressSettings(pools={"main": members}, pool="main", **more))  # type: ignore[arg-type]


def test_shares_are_kept_evenly() -> None:
    pool = egress(Member(ONE, 3), Member(TWO, 1), Member(Origin("127.0.0.4"), 0))
    found = [pool.ways(hops("192.0.2.1"), "there.test", None)[0].origin for _ in range(8)]
    assert [origin.address[-1] for origin in found if origin] == list("22322232")


def test_each_family_has_its_own_address_and_the_other_is_left_out() -> None:
    both = egress(Member(ONE), Member(SIX))
    assert [hop.origin for hop in both.ways(hops("2001:db8::1", "192.0.2.1"), "there.test", None)] == [SIX, ONE]
    only = egress(Member(ONE))
    assert [hop.address for hop in only.ways(hops("2001:db8::1", "192.0.2.1"), "there.test", None)] == ["192.0.2.1"]
    with pytest.raises(Undeliverable) as refused:
        only.ways(hops("2001:db8::1"), "there.test", None)
    assert (refused.value.outcome.kind, refused.value.outcome.status) == (OutcomeKind.DEFERRED, "4.4.4")


def test_route_outweighs_destination_which_outweighs_the_rest() -> None:
    there = Egress(
        EgressSettings(
            pools={"main": (Member(ONE),), "bulk": (Member(TWO),)},
            proxies={"out": Proxy("192.0.2.5")},
            pool="main",
            pool_of={"bulk.test": "bulk", "plain.test": "direct"},
            proxy_of={"far.test": "out"},
        )
    )

    def way(domain: str, route: NextHop | None = None) -> tuple[Origin | None, Proxy | None]:
        hop = there.ways(hops("192.0.2.1"), domain, route)[0]
        return hop.origin, hop.proxy

    assert way("there.test") == (ONE, None)
    assert way("bulk.test") == (TWO, None)
    assert way("plain.test") == (None, None)
    assert way("far.test") == (None, Proxy("192.0.2.5"))
    assert way("far.test", NextHop("192.0.2.1", proxy="direct")) == (ONE, None)
    assert way("bulk.test", NextHop("192.0.2.1", pool="main")) == (ONE, None)


def test_an_address_that_has_sent_its_messages_is_passed_over_until_its_time_comes() -> None:
    moment = [0.0]
    pool = Egress(
        EgressSettings(pools={"main": (Member(ONE, 1, 6), Member(TWO, 1, 12))}, pool="main"), monotonic=lambda: moment[0]
    )

    def way() -> str | int:
        try:
            origin = pool.ways(hops("192.0.2.1"), "there.test", None)[0].origin
        except Undeliverable as refused:
            outcome = refused.outcome
            assert (outcome.kind, outcome.status) == (OutcomeKind.DEFERRED, "4.3.2") and not is_trouble(outcome)
            return outcome.later_s
        assert origin is not None
        return origin.address[-1]

    assert [way() for _ in range(6)] == ["2", "3", "3", 5, 9, 12]  # they come again one after the other
    moment[0] = 5
    assert [way(), way()] == ["3", 10]
    moment[0] = 600
    found = []
    for _ in range(600):
        moment[0] += 1
        answer = way()
        found.append(answer if isinstance(answer, str) else "")
    assert 59 <= found.count("2") <= 62 and 119 <= found.count("3") <= 123


async def test_connections_begin_at_their_addresses_with_their_names() -> None:
    async with Sink() as sink, relay(sink.port, egress=egress(Member(ONE), Member(TWO))) as transport:
        for _ in range(4):
            found = await transport.attempt(envelope(), Octets(MESSAGE))
            assert found[0].kind is OutcomeKind.DELIVERED
        assert found[0].security == "in clear, from 127.0.0.3"
    assert [(one.peer, one.commands[0]) for one in sink.conversations] == [
        ("127.0.0.2", b"EHLO one.us.test"),
        ("127.0.0.3", b"EHLO two.us.test"),
    ], "connections are kept by address"


async def test_address_that_is_not_ours_is_our_own_trouble() -> None:
    async with Sink() as sink, relay(sink.port, egress=egress(Member(Origin("192.0.2.77")))) as transport:
        found = await transport.attempt(envelope(), Octets(MESSAGE))
    assert (found[0].kind, found[0].status) == (OutcomeKind.DEFERRED, "4.3.5")
    assert "192.0.2.77 is not on this machine" in found[0].text


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.connect(("2001:db8::1", 25))
    except OSError:
        return False
    return True


@pytest.mark.skipif(has_ipv6(), reason="this machine has a way to IPv6 addresses")
@pytest.mark.parametrize("order", [("v6", "v4"), ("v4", "v6")])
async def test_missing_ipv6_route_is_not_what_a_failure_is_told_as(order: tuple[str, str]) -> None:
    table = {
        "there.test": {"mx": [(10, f"{order[0]}.there.test"), (20, f"{order[1]}.there.test")]},
        "v6.there.test": {"aaaa": ["2001:db8::1"]},
        "v4.there.test": {"a": ["127.0.0.1"]},
    }
    async with relay(free_port(), table=table) as transport:
        found = await transport.attempt(envelope(), Octets(MESSAGE))
    assert found[0].remote == "v4.there.test [127.0.0.1]"
    assert "Connect" in found[0].text and "IPv6" not in found[0].text
    async with Sink() as sink, relay(sink.port, table=table) as transport:
        assert (await transport.attempt(envelope(), Octets(MESSAGE)))[0].kind is OutcomeKind.DELIVERED
    async with relay(25, table={"there.test": {"aaaa": ["2001:db8::1"]}}) as transport:
        found = await transport.attempt(envelope(), Octets(MESSAGE))
    assert (found[0].kind, found[0].text) == (OutcomeKind.DEFERRED, "this machine has no way to IPv6 addresses")


@pytest.mark.real
@pytest.mark.skipif(not has_ipv6() or os.geteuid() != 0, reason="tested right here, or no root to make a network of its own")
def test_the_same_in_a_network_without_ipv6() -> None:
    command = f"ip link set lo up && exec {sys.executable} -m pytest -n0 -q -p no:cacheprovider {__file__} -k missing_ipv6"
    found = subprocess.run(["unshare", "-n", "sh", "-c", command], capture_output=True, text=True, timeout=120, check=False)
    assert found.returncode == 0, found.stdout
    assert "...." in found.stdout, found.stdout


@contextmanager
def microsocks(login: str) -> Iterator[int]:
    """Its port; what it passes on comes from 127.0.0.9."""
    port = free_port()
    password = ["-u", login, "-P", "secret"] if login else []
    command = ["microsocks", "-i", "127.0.0.1", "-p", str(port), "-b", "127.0.0.9", *password]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        wait_for_port("127.0.0.1", port)
        yield port
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.real
@pytest.mark.parametrize("login", ["", "alice"])
async def test_mail_goes_through_a_real_proxy(login: str) -> None:
    with microsocks(login) as port:
        out = Egress(EgressSettings(proxies={"out": Proxy("127.0.0.1", port, login, "secret")}, proxy="out"))
        async with Sink() as sink, relay(sink.port, egress=out) as transport:
            found = await transport.attempt(envelope(), Octets(MESSAGE))
            assert found[0].kind is OutcomeKind.DELIVERED
            assert found[0].security == f"in clear, through the proxy 127.0.0.1:{port}"
            assert sink.conversations[0].peer == "127.0.0.9"
        wrong = Egress(EgressSettings(proxies={"out": Proxy("127.0.0.1", port, "mallory", "wrong")}, proxy="out"))
        if login:
            async with Sink() as sink, relay(sink.port, egress=wrong) as transport:
                found = await transport.attempt(envelope(), Octets(MESSAGE))
                assert (found[0].kind, found[0].text) == (OutcomeKind.DEFERRED, "no connection: the proxy refused our login")
        async with relay(free_port(), egress=out) as transport:
            found = await transport.attempt(envelope(), Octets(MESSAGE))
            assert found[0].kind is OutcomeKind.DEFERRED
