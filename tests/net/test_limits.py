from __future__ import annotations

import pytest

from postillon.net.limits import ConnectionLimits, LimitSettings, TokenBuckets, host_key, network_key


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_addresses_and_networks_are_what_one_owner_has():
    assert host_key("192.0.2.7") != host_key("192.0.2.8")
    assert network_key("192.0.2.7") == network_key("192.0.2.8") != network_key("192.0.3.7")
    assert host_key("2001:db8::1") == host_key("2001:db8::ffff") != host_key("2001:db8:0:1::1")
    assert network_key("2001:db8:0:ff::1") == network_key("2001:db8::1") != network_key("2001:db8:0:100::1")
    assert host_key("fe80::1%eth0") == host_key("fe80::2")


def test_one_address_may_hold_so_many_connections():
    limits = ConnectionLimits(LimitSettings(per_address=3))
    assert [limits.enter("192.0.2.1") for _ in range(4)] == ["", "", "", "too many connections from the address"]
    assert limits.enter("192.0.2.2") == ""
    limits.leave("192.0.2.1")
    assert limits.enter("192.0.2.1") == ""


def test_one_network_may_hold_so_many_connections():
    limits = ConnectionLimits(LimitSettings(per_network=5))
    assert [limits.enter(f"192.0.2.{n}") for n in range(6)] == [""] * 5 + ["too many connections from the network"]
    assert limits.enter("192.0.3.1") == ""
    assert [limits.enter(f"2001:db8:0:{n}::1") for n in range(6)] == [""] * 5 + ["too many connections from the network"]


def test_an_ipv6_host_is_its_whole_64():
    limits = ConnectionLimits(LimitSettings(per_address=2))
    assert [bool(limits.enter(f"2001:db8::{n}")) for n in range(3)] == [False, False, True]


def test_one_address_may_open_so_many_a_minute():
    clock = Clock()
    limits = ConnectionLimits(LimitSettings(per_minute=60), clock=clock)
    for _ in range(60):
        assert limits.enter("192.0.2.1") == ""
        limits.leave("192.0.2.1")
    assert limits.enter("192.0.2.1") == "too many connections a minute"
    clock.now += 1.01
    assert limits.enter("192.0.2.1") == ""
    assert limits.enter("192.0.2.1") == "too many connections a minute"


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_exempt_addresses_count_only_in_all(address):
    limits = ConnectionLimits(LimitSettings(per_address=1, per_network=1, per_minute=1, total=50))
    assert [limits.enter(address) for _ in range(51)] == [""] * 50 + ["server is full"]
    assert limits.enter("127.0.0.66") == "server is full"
    limits.leave(address)
    assert limits.enter("127.0.0.66") == ""
    assert limits.enter("127.0.0.66") != ""


def test_nobody_is_exempt_unless_told_so():
    limits = ConnectionLimits(LimitSettings(per_address=1, exempt=()))
    assert [bool(limits.enter("127.0.0.1")) for _ in range(2)] == [False, True]


def test_who_left_leaves_nothing_behind():
    limits = ConnectionLimits(LimitSettings(per_minute=10**6))
    addresses = [f"192.{n // 250}.{n % 250}.1" for n in range(5000)]
    for address in addresses:
        assert limits.enter(address) == ""
    for address in addresses:
        limits.leave(address)
    assert limits.total == 0
    assert limits._counts == {}


def test_buckets_fill_up_again_but_not_over():
    clock = Clock()
    buckets = TokenBuckets(2.0, 4, clock=clock)
    assert [buckets.take("a") for _ in range(5)] == [True] * 4 + [False]
    clock.now += 0.5
    assert [buckets.take("a") for _ in range(2)] == [True, False]
    clock.now += 1000
    assert [buckets.take("a") for _ in range(5)] == [True] * 4 + [False]
    assert not buckets.take("b", 5)
    assert buckets.take("b", 4)


def test_a_flood_of_keys_costs_no_memory_and_frees_nobody_who_is_busy():
    clock = Clock()
    buckets = TokenBuckets(0.01, 1, bound=1000, clock=clock)
    for n in range(20_000):
        clock.now += 0.001
        assert buckets.take(str(n))
        if n % 100 == 0:
            buckets.take("attacker")
    assert len(buckets) <= 1000
    assert not buckets.take("attacker")


def test_full_buckets_are_forgotten_first():
    clock = Clock()
    buckets = TokenBuckets(1.0, 10, bound=100, clock=clock)
    for n in range(100):
        buckets.take(f"old{n}")
    clock.now += 11
    buckets.take("new", 10)
    assert len(buckets) == 1
    assert not buckets.take("new")
