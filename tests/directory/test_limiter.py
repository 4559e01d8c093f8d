"""Limits on failed logins: by address, network and name, shared by workers, never a lockout of an honest client."""

from __future__ import annotations

import asyncio

import pytest

from postillon.directory.limiter import Limiter, LimiterSettings
from postillon.directory.local import LocalDirectory
from postillon.directory.subjects import subjects
from postillon.model.envelope import Client
from postillon.model.errors import AuthenticationDelayed, AuthenticationFailed

from .conftest import Town


async def fail(directory: LocalDirectory, address: str, name: str = "alice@example.test", password: str = "wrong") -> None:
    with pytest.raises(AuthenticationFailed):
        await directory.authenticate(name, password, Client(address))


async def make_alice(town: Town) -> None:
    await town.directory.create_domain("example.test")
    await town.directory.create_account("alice@example.test", "secret")


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", ("192.0.2.7", "192.0.2.0/24")),
        ("::ffff:192.0.2.7", ("192.0.2.7", "192.0.2.0/24")),
        ("2001:db8:1:2:3:4:5:6", ("2001:db8:1:2::/64", "2001:db8:1::/56")),
        ("/run/socket", ("/run/socket", "/run/socket")),
    ],
)
def test_addresses_are_counted_alone_and_as_networks(address: str, counted: tuple[str, str]) -> None:
    assert subjects(address) == counted


async def test_ten_failures_a_minute_and_the_password_is_not_even_looked_at(town: Town) -> None:
    await make_alice(town)
    for n in range(10):
        await fail(town.directory, "192.0.2.7", f"nobody{n}@example.test")
    looked = len(town.pool.done)
    for password in ("wrong", "secret"):
        with pytest.raises(AuthenticationDelayed) as caught:
            await town.directory.authenticate("alice@example.test", password, Client("192.0.2.7"))
        assert (caught.value.code, caught.value.status) == (454, "4.7.0")
    assert len(town.pool.done) == looked
    await town.directory.authenticate("alice@example.test", "secret", Client("192.0.2.8"))
    town.clock.at += 120
    await town.directory.authenticate("alice@example.test", "secret", Client("192.0.2.7"))


async def test_workers_count_together(town: Town) -> None:
    await make_alice(town)
    workers = [town.directory, town.worker()]
    for n in range(10):
        await fail(workers[n % 2], "192.0.2.7", f"nobody{n}@example.test")
    for worker in workers:
        with pytest.raises(AuthenticationDelayed):
            await worker.authenticate("alice@example.test", "secret", Client("192.0.2.7"))


async def test_a_network_may_fail_three_times_as_often(town: Town) -> None:
    await make_alice(town)
    for n in range(30):
        await fail(town.directory, f"192.0.2.{n}", f"nobody{n}@example.test")
    with pytest.raises(AuthenticationDelayed):
        await town.directory.authenticate("alice@example.test", "secret", Client("192.0.2.200"))
    await town.directory.authenticate("alice@example.test", "secret", Client("192.0.3.1"))


async def test_fifty_failures_a_day_are_enough(town: Town) -> None:
    await make_alice(town)
    town.clock.at -= town.clock.at % 86_400
    for n in range(50):
        town.clock.at += 120 if n % 9 == 0 else 0
        await fail(town.directory, "192.0.2.7", f"nobody{n}@example.test")
    town.clock.at += 3600
    with pytest.raises(AuthenticationDelayed):
        await town.directory.authenticate("alice@example.test", "secret", Client("192.0.2.7"))
    town.clock.at += 2 * 86_400
    await town.directory.authenticate("alice@example.test", "secret", Client("192.0.2.7"))


async def test_a_client_with_an_old_password_is_limited_by_the_minute_only(town: Town) -> None:
    await make_alice(town)
    for _ in range(60):
        town.clock.at += 60
        await fail(town.directory, "192.0.2.7", password="the one before")
    town.clock.at += 120
    await town.directory.authenticate("alice@example.test", "secret", Client("192.0.2.7"))


async def test_a_name_under_attack_answers_slower_and_slower(town: Town) -> None:
    await make_alice(town)
    await town.directory.authenticate("alice@example.test", "secret", Client("203.0.113.1"))
    checked = 0
    for n in range(300):
        town.clock.at += 1
        address = Client(f"198.51.{n % 256}.{n // 256}")
        try:
            await town.directory.authenticate("alice@example.test", f"guess {n}", address)
        except AuthenticationFailed:
            checked += 1
        except AuthenticationDelayed:
            pass
    assert 8 <= checked <= 15
    # From where alice has logged in before she still may, and a stranger with her password only has to wait.
    await town.directory.authenticate("alice@example.test", "secret", Client("203.0.113.1"))
    with pytest.raises(AuthenticationDelayed):
        await fail_delayed(town)
    town.clock.at += 120
    await town.directory.authenticate("alice@example.test", "secret", Client("203.0.113.99"))


async def fail_delayed(town: Town) -> None:
    await town.directory.authenticate("alice@example.test", "secret", Client("203.0.113.99"))


async def test_unknown_names_are_delayed_just_the_same(town: Town) -> None:
    await make_alice(town)
    outcomes = []
    for name in ("alice@example.test", "nobody@example.test"):
        said = []
        for n in range(8):
            try:
                await town.directory.authenticate(name, f"guess {n}", Client(f"198.51.{100 + n}.{len(name)}"))
            except (AuthenticationFailed, AuthenticationDelayed) as refusal:
                said.append(refusal.status)
        outcomes.append(said)
    assert outcomes[0] == outcomes[1]
    assert outcomes[0][-1] == "4.7.0"


async def test_a_burst_of_guesses_does_not_slip_through_before_it_is_counted(town: Town) -> None:
    await make_alice(town)
    tries = [
        town.directory.authenticate(f"nobody{n}@example.test", "wrong", Client("192.0.2.7"))  # each name once
        for n in range(40)
    ]
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(result, AuthenticationFailed) for result in results) <= 20
    assert sum(isinstance(result, AuthenticationDelayed) for result in results) >= 20


async def test_a_burst_of_honest_logins_is_admitted(town: Town) -> None:
    await make_alice(town)
    for n in range(30):
        await town.directory.ensure_account(f"u{n % 3}@example.test", "secret")
    tries = [town.directory.authenticate(f"u{n % 3}@example.test", "secret", Client("192.0.2.7")) for n in range(30)]
    assert len(await asyncio.gather(*tries)) == 30


async def test_scram_failures_count_and_sound_the_same_beyond_the_limit(town: Town) -> None:
    await make_alice(town)
    account = await town.directory.authenticate("alice@example.test", "secret", Client("203.0.113.1"))
    for n in range(10):
        await town.directory.failed(f"nobody{n}@example.test", Client("192.0.2.7"))
    with pytest.raises(AuthenticationDelayed):
        await town.directory.failed("alice@example.test", Client("192.0.2.7"))
    with pytest.raises(AuthenticationDelayed):
        await town.directory.admit(account, Client("192.0.2.7"))
    assert await town.directory.admit(account, Client("192.0.3.7")) == account


async def test_only_the_two_loopback_addresses_are_exempt_and_only_when_told_so(town: Town) -> None:
    await make_alice(town)
    lenient = town.worker(limits=LimiterSettings(loopback_exempt=True))
    for n in range(12):
        await fail(lenient, "127.0.0.1", f"nobody{n}@example.test")
        await fail(lenient, "::1", f"nobody{n}@example.test")
    await lenient.authenticate("alice@example.test", "secret", Client("127.0.0.1"))
    for address in ("127.0.0.66", "127.0.1.2"):
        for n in range(10):
            await fail(lenient, address, f"nobody{n}{address}@example.test")
        with pytest.raises(AuthenticationDelayed):
            await lenient.authenticate("alice@example.test", "secret", Client(address))
    for n in range(10):
        await fail(town.directory, "127.0.0.1", f"somebody{n}@example.test")
    with pytest.raises(AuthenticationDelayed):
        await town.directory.authenticate("alice@example.test", "secret", Client("127.0.0.1"))


async def test_counters_that_ended_are_pruned(town: Town) -> None:
    limiter = Limiter(town.side, town.clock)
    await limiter.failed("192.0.2.7", "nobody@example.test")
    await limiter.succeeded("192.0.2.7", "alice@example.test")
    assert await limiter.prune() == 0
    town.clock.at += 3 * 86_400
    assert await limiter.prune() == 6
    town.clock.at += 40 * 86_400
    assert await limiter.prune() == 1
    assert await limiter.prune() == 0


async def test_no_gate_is_left_behind(town: Town) -> None:
    await make_alice(town)
    await fail(town.directory, "192.0.2.7")
    assert town.limiter._gates == {}
