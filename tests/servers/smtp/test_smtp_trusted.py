"""XCLIENT, XFORWARD and LMTP: whom we believe, and what becomes of what they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from postillon.bus.local import LocalBus
from postillon.directory.bans import Bans
from postillon.model.account import AccountState
from postillon.net.networks import LOOPBACK, Networks
from postillon.servers.smtp.service import SmtpSettings
from postillon.storage.db.migrate import migrate
from postillon.storage.db.sqlite import SqliteDatabase
from tests.kinds import FixedClock

from .house import HOSTNAME, lmtp, mx, submission

TRUSTING = SmtpSettings(HOSTNAME, xclient=Networks(LOOPBACK))
MESSAGE = "Subject: x\r\n\r\nx\r\n."


async def test_the_message_comes_from_the_client_that_is_spoken_for() -> None:
    async with mx(settings=TRUSTING) as house:
        peer = await house.visit()
        await peer.ask("EHLO proxy.example")
        said = await peer.ask("XCLIENT NAME=spike.example ADDR=IPV6:2001:db8::7 PORT=1234 PROTO=SMTP HELO=spike DESTPORT=25")
        assert said.startswith("220 ")
        await peer.ask("HELO spike.example")
        await peer.ask("MAIL FROM:<a@spike.example>", "RCPT TO:<b@example.org>", "DATA")
        assert (await peer.ask(MESSAGE)).startswith("250")
        client = house.office.messages[0].client
        assert (client.address, client.port, client.reverse_name) == ("2001:db8::7", 1234, "spike.example")
        assert (client.hello, client.esmtp, client.local_port) == ("spike.example", False, 25)


async def test_what_the_client_does_not_know_stays_as_it_was() -> None:
    async with mx(settings=TRUSTING) as house:
        peer = await house.visit()
        await peer.ask("EHLO proxy.example")
        await peer.ask("XCLIENT NAME=[UNAVAILABLE] ADDR=[UNAVAILABLE]")
        await peer.ask("EHLO spike.example")
        await peer.ask("MAIL FROM:<a@spike.example>", "RCPT TO:<b@example.org>", "DATA")
        await peer.ask(MESSAGE)
        client = house.office.messages[0].client
        assert (client.address, client.reverse_name, client.hello) == ("127.0.0.1", "", "spike.example")


async def test_trust_goes_by_who_is_connected() -> None:
    async with mx(settings=SmtpSettings(HOSTNAME, xclient=Networks(["192.0.2.1"]))) as house:
        peer = await house.visit()
        assert "XCLIENT" not in await peer.ask("EHLO proxy.example")
        assert (await peer.ask("XCLIENT ADDR=192.0.2.1")).startswith("502")


async def test_a_login_counts_on_submission_only() -> None:
    async with mx(settings=TRUSTING) as house:
        peer = await house.visit()
        await peer.ask("EHLO proxy.example")
        await peer.ask("XCLIENT LOGIN=alice@example.org")
        await peer.ask("EHLO x")
        await peer.ask("MAIL FROM:<a@spike.example>", "RCPT TO:<b@example.org>", "DATA")
        await peer.ask(MESSAGE)
        assert house.office.messages[0].client.account is None
    async with submission(LocalBus(), settings=TRUSTING) as house:
        peer = await house.visit()
        await peer.ask("EHLO proxy.example")
        assert (await peer.ask("MAIL FROM:<alice@example.org>")).startswith("530")
        assert (await peer.ask("XCLIENT ADDR=192.0.2.9 LOGIN=alice@example.org")).startswith("220")
        await peer.ask("EHLO x")
        await peer.ask("MAIL FROM:<alice@example.org>", "RCPT TO:<b@example.org>", "DATA")
        assert (await peer.ask(MESSAGE)).startswith("250")
        client = house.office.messages[0].client
        assert (client.account, client.login, client.address) == (7, "alice@example.org", "192.0.2.9")


@pytest.mark.parametrize("login", ["nobody@example.org", "also.alice@example.org", "alice", "a@b@c"])
async def test_a_login_that_is_no_account_ends_it(login: str) -> None:
    async with submission(LocalBus(), settings=TRUSTING) as house:
        peer = await house.visit()
        await peer.ask("EHLO proxy.example")
        await peer.send(f"XCLIENT LOGIN={login}\r\nEHLO x\r\n".encode())
        assert (await peer.rest()).startswith((b"454 ", b"421 "))


async def test_a_login_of_an_account_that_is_closed_ends_it() -> None:
    async with submission(LocalBus(), settings=TRUSTING) as house:
        house.directory.state = AccountState.SUSPENDED
        peer = await house.visit()
        await peer.ask("EHLO proxy.example")
        await peer.send(b"XCLIENT LOGIN=alice@example.org\r\n")
        assert (await peer.rest()).startswith(b"421 ")


async def test_one_who_is_not_logged_in_is_not_whom_was_spoken_for_before() -> None:
    async with submission(LocalBus(), settings=TRUSTING) as house:
        peer = await house.visit()
        await peer.ask("EHLO proxy.example")
        await peer.ask("XCLIENT ADDR=192.0.2.9 LOGIN=alice@example.org")
        await peer.ask("EHLO x")
        await peer.ask("XCLIENT ADDR=192.0.2.10 LOGIN=[UNAVAILABLE]")
        await peer.ask("EHLO y")
        assert (await peer.ask("MAIL FROM:<alice@example.org>")).startswith("530")


async def test_who_is_banned_does_not_come_in_through_somebody_who_is_trusted(tmp_path: Path) -> None:
    bus, clock = LocalBus(), FixedClock()
    database = SqliteDatabase(str(tmp_path / "mail.db"), lambda topics: None).open()
    await migrate(database, clock.now())
    bans = Bans(database, database, bus, clock)
    await bans.add("192.0.2.9", 600, "scans")
    async with mx(settings=TRUSTING, bans=bans) as house:
        peer = await house.visit()
        await peer.ask("EHLO proxy.example")
        assert (await peer.ask("XCLIENT ADDR=192.0.2.8")).startswith("220 ")
        await peer.ask("EHLO x")
        await peer.send(b"XCLIENT ADDR=192.0.2.9\r\n")
        assert (await peer.rest()).startswith(b"421 4.7.0 Your address is refused until ")
    await database.close()


async def test_lmtp_is_for_trusted_servers() -> None:
    async with lmtp(peers=Networks(["192.0.2.1"])) as house:
        peer = await house.visit(greeted=False)
        assert (await peer.rest()).startswith(b"554 5.7.1 ")


async def test_each_recipient_of_lmtp_hears_the_same_when_the_message_fails() -> None:
    async with lmtp() as house:
        peer = await house.visit()
        await peer.ask("LHLO front.example")
        await peer.ask("MAIL FROM:<a@front.example>", "RCPT TO:<b@example.org>", "RCPT TO:<c@example.org>", "DATA")
        await peer.send(b"later\r\n.\r\nNOOP\r\n")
        assert [reply[:9] for reply in await peer.replies(3)] == ["451 4.3.0", "451 4.3.0", "250 2.0.0"]
        await peer.ask("MAIL FROM:<a@front.example>", "RCPT TO:<b@example.org>", "RCPT TO:<c@example.org>", "DATA")
        await peer.send(b"a\nb\r\n.\r\nNOOP\r\n")
        assert [reply[:9] for reply in await peer.replies(3)] == ["550 5.6.0", "550 5.6.0", "250 2.0.0"]
        assert house.office.messages == []
