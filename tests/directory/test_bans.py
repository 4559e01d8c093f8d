"""Temporary bans: offences are counted for all workers together, each ban lasts longer, and who is trusted is never banned."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from postillon.bus.local import LocalBus
from postillon.directory.bans import Bans, BanSettings, Offence
from postillon.directory.limiter import Limiter
from postillon.model.errors import NotFound, Refusal

from .conftest import Town
from .test_plans import Noting, explain


def make(town: Town, settings: BanSettings | None = None, bus: LocalBus | None = None) -> Bans:
    return Bans(town.database, town.side, bus or LocalBus(), town.clock, settings)


async def offend(bans: Bans, address: str, times: int, offence: Offence = Offence.UNKNOWN) -> None:
    for _ in range(times):
        bans.note(address, offence)
    await bans.flush()


async def banned(bans: Bans) -> list[str]:
    return [ban.network for ban in await bans.active()]


async def test_thirty_points_within_an_hour_are_a_ban_and_one_less_is_none(town: Town) -> None:
    bans = make(town)
    await offend(bans, "192.0.2.7", 29)
    assert not bans.refusal("192.0.2.7")
    await offend(bans, "192.0.2.7", 1)
    words = bans.refusal("192.0.2.7")
    assert "until" in words and "unknown recipients" in words
    assert not bans.refusal("192.0.2.8")
    town.clock.at += 601
    assert not bans.refusal("192.0.2.7")


async def test_offences_of_long_ago_do_not_count(town: Town) -> None:
    bans = make(town)
    await offend(bans, "192.0.2.7", 29)
    town.clock.at += 7200
    await offend(bans, "192.0.2.7", 29)
    assert not await banned(bans)


async def test_workers_count_together_and_all_of_them_refuse(town: Town) -> None:
    first, second = make(town), make(town)
    await offend(first, "192.0.2.7", 15)
    await offend(second, "192.0.2.7", 15)
    assert second.refusal("192.0.2.7")
    await first.load()
    assert first.refusal("192.0.2.7")


async def test_a_wake_makes_the_others_look(town: Town) -> None:
    bus = LocalBus()
    seen = asyncio.Event()
    bans, other = make(town, bus=bus), make(town, bus=bus)
    task = asyncio.create_task(other.run())
    await offend(bans, "192.0.2.7", 30)
    town.wakes.topics.clear()
    bus.publish([-3])
    async with asyncio.timeout(5):
        while not other.refusal("192.0.2.7"):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    task.cancel()
    assert not seen.is_set()


async def lengths(town: Town, offence: Offence) -> list[int]:
    """How long seven bans in a row last."""
    bans, lasted = make(town), []
    for _ in range(7):
        await offend(bans, "192.0.2.7", 30, offence)
        (ban,) = await bans.active()
        lasted.append(ban.ends - ban.since)
        town.clock.at = ban.ends + 1
    return lasted


async def test_each_ban_lasts_longer_than_the_one_before(town: Town) -> None:
    assert await lengths(town, Offence.RELAY) == [600, 2400, 9600, 38_400, 153_600, 604_800, 604_800]


async def test_unknown_recipients_alone_are_no_long_ban(town: Town) -> None:
    assert await lengths(town, Offence.UNKNOWN) == [600, 2400, 3600, 3600, 3600, 3600, 3600]


async def test_after_a_month_of_peace_the_first_ban_is_short_again(town: Town) -> None:
    bans = make(town)
    await offend(bans, "192.0.2.7", 30)
    town.clock.at += 40 * 86_400
    await offend(bans, "192.0.2.7", 30)
    (ban,) = await bans.active()
    assert ban.ends - ban.since == 600


async def test_an_ipv6_host_is_its_64(town: Town) -> None:
    bans = make(town)
    await offend(bans, "2001:db8:1:2::3", 15)
    await offend(bans, "2001:db8:1:2:ffff::4", 15)
    assert await banned(bans) == ["2001:db8:1:2::/64"]
    assert bans.refusal("2001:db8:1:2::99") and not bans.refusal("2001:db8:1:3::99")


async def test_a_mapped_address_is_the_ipv4_address_that_it_maps(town: Town) -> None:
    bans = make(town)
    await offend(bans, "::ffff:192.0.2.7", 30)
    assert bans.refusal("192.0.2.7") and bans.refusal("::ffff:192.0.2.7")


async def test_a_network_of_four_banned_hosts_is_banned(town: Town) -> None:
    bans = make(town)
    for host in range(4):
        assert "192.0.2.0/24" not in await banned(bans)
        await offend(bans, f"192.0.2.{host}", 30)
    assert "192.0.2.0/24" in await banned(bans)
    assert bans.refusal("192.0.2.200") and not bans.refusal("192.0.3.1")


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "unix", "10.1.2.3"])
async def test_who_is_trusted_and_who_has_no_address_is_never_banned(town: Town, address: str) -> None:
    bans = make(town, BanSettings(trusted=("127.0.0.1", "::1", "10.0.0.0/8")))
    await offend(bans, address, 100, Offence.INJECTION)
    assert not await banned(bans) and not bans.refusal(address)


async def test_other_loopback_addresses_are_strangers(town: Town) -> None:
    bans = make(town)
    await offend(bans, "127.0.0.2", 30)
    assert bans.refusal("127.0.0.2")


async def test_messages_that_were_taken_make_good(town: Town) -> None:
    bans = make(town)
    for _ in range(200):
        bans.note("192.0.2.7", Offence.UNKNOWN)
        bans.made_good("192.0.2.7")
    await bans.flush()
    assert not await banned(bans)
    bans.made_good("192.0.2.99")
    assert "192.0.2.99" not in bans._noted


async def test_switched_off_only_the_administrator_bans(town: Town) -> None:
    bans = make(town, BanSettings(is_on=False))
    await offend(bans, "192.0.2.7", 100)
    assert not await banned(bans)
    await bans.add("192.0.2.7", None, "")
    assert bans.refusal("192.0.2.7") == "Your address is refused"


async def test_the_administrator_bans_and_unbans(town: Town) -> None:
    bans = make(town)
    await bans.add("198.51.100.9/22", 3600, "scans")
    assert await banned(bans) == ["198.51.100.0/22"]
    assert bans.refusal("198.51.103.255").endswith(": scans") and not bans.refusal("198.51.104.1")
    await bans.remove("198.51.100.0/22")
    assert not bans.refusal("198.51.103.255")
    with pytest.raises(NotFound):
        await bans.remove("198.51.100.0/22")
    with pytest.raises(Refusal):
        await bans.add("everybody", None, "")


async def test_a_ban_that_would_have_no_effect_is_refused(town: Town) -> None:
    bans = make(town, BanSettings(trusted=("127.0.0.1", "192.0.2.0/24")))
    with pytest.raises(Refusal, match=r"192\.0\.2\.64/26 is trusted"):
        await bans.add("192.0.2.64/26", None, "")
    await bans.add("192.0.0.0/16", None, "")  # more than what is trusted
    assert await banned(bans) == ["192.0.0.0/16"]


async def test_an_unbanned_host_begins_anew(town: Town) -> None:
    bans = make(town)
    await offend(bans, "192.0.2.7", 30)
    await bans.remove("192.0.2.7")
    await offend(bans, "192.0.2.7", 29)
    assert not await banned(bans)
    await offend(bans, "192.0.2.7", 1)
    (ban,) = await bans.active()
    assert ban.level == 0


async def test_a_failed_login_is_an_offence_and_the_same_password_again_is_none(town: Town) -> None:
    bans = make(town)
    limiter = Limiter(town.side, town.clock, None, lambda address: bans.note(address, Offence.LOGIN))
    for _ in range(50):
        await limiter.failed("192.0.2.7", "alice", is_repeated=True)
    await bans.flush()
    assert not await banned(bans)
    for _ in range(10):
        await limiter.failed("192.0.2.7", "alice")
    await bans.flush()
    assert await banned(bans) == ["192.0.2.7/32"]


async def test_what_is_noted_is_bounded(town: Town) -> None:
    bans = make(town)
    for n in range(30_000):
        bans.note(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}", Offence.UNKNOWN)
    assert len(bans._noted) <= 10_000 and len(bans._offenders) <= 10_000


async def test_old_bans_are_pruned(town: Town) -> None:
    bans = make(town)
    await offend(bans, "192.0.2.7", 30)
    assert await bans.prune() == 0
    town.clock.at += 40 * 86_400
    assert await bans.prune() == 1


async def test_every_statement_of_the_bans_goes_by_an_index(town: Town) -> None:
    mail, side = Noting(town.database), Noting(town.side)
    bans = Bans(mail, side, LocalBus(), town.clock)
    await offend(bans, "192.0.2.7", 30)
    await bans.load()
    await bans.remove("192.0.2.7")
    await bans.prune()
    notings: Iterable[Noting] = (mail, side)
    for noting in notings:
        assert noting.statements
        for sql in noting.statements:
            await explain(noting.inner, sql)
