"""Submission sessions over loopback: logging in, and what is allowed before."""

from __future__ import annotations

import base64

import pytest

from postillon.bus.local import LocalBus
from postillon.model.account import AccountState
from postillon.net.tls import ServerTls
from postillon.protocols.scram import ScramClient
from postillon.seams import DIRECTORY_TOPIC
from postillon.servers.smtp.patience import PatienceSettings
from postillon.servers.smtp.service import SmtpSettings

from .house import HOSTNAME, House, Peer, submission

CLEAR = SmtpSettings(HOSTNAME, plaintext_login_allowed=True)


def plain(name: str, password: str) -> str:
    return "AUTH PLAIN " + base64.b64encode(f"\0{name}\0{password}".encode()).decode()


ALICE = plain("alice@example.org", "secret")


async def secure(house: House) -> Peer:
    peer = await house.visit()
    await peer.ask("EHLO client.example")
    await peer.start_tls()
    await peer.ask("EHLO client.example")
    return peer


async def test_nothing_goes_without_tls_and_login(tls: ServerTls) -> None:
    async with submission(LocalBus(), tls) as house:
        peer = await house.visit()
        assert "AUTH" not in await peer.ask("EHLO client.example")
        assert await peer.ask("MAIL FROM:<alice@example.org>") == "530 5.7.0 Must issue a STARTTLS command first"
        assert (await peer.ask(ALICE)).startswith("538 5.7.11")
        assert house.directory.failures == 0
        await peer.start_tls()
        assert "AUTH " in await peer.ask("EHLO client.example")
        assert await peer.ask("MAIL FROM:<alice@example.org>") == "530 5.7.0 Authentication required"
        assert (await peer.ask(ALICE)).startswith("235 2.7.0")
        assert (await peer.ask("MAIL FROM:<alice@example.org>", "RCPT TO:<b@example.net>", "DATA")).startswith("354")
        assert (await peer.ask("x\r\n.")).startswith("250 2.0.0")
        (incoming,) = house.office.messages
        assert (incoming.client.account, incoming.client.login) == (7, "alice@example.org")


async def test_login_in_clear_only_on_loopback_and_when_allowed() -> None:
    async with submission(LocalBus(), settings=CLEAR) as house:
        peer = await house.visit()
        assert "AUTH " in await peer.ask("EHLO client.example")
        assert await peer.ask("MAIL FROM:<alice@example.org>") == "530 5.7.0 Authentication required"
        assert (await peer.ask(ALICE)).startswith("235 2.7.0")


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-1", "SCRAM-SHA-256"])
@pytest.mark.parametrize("password", ["secret", "wrong"])
async def test_scram_runs_through_challenges(mechanism: str, password: str) -> None:
    async with submission(LocalBus(), settings=CLEAR) as house:
        peer = await house.visit()
        await peer.ask("EHLO client.example")
        client = ScramClient(mechanism, "alice@example.org", password, b"nonce")
        first = await peer.ask(f"AUTH {mechanism} " + base64.b64encode(client.initial()).decode())
        assert first.startswith("334 ")
        final = await peer.ask(base64.b64encode(client.respond(base64.b64decode(first[4:]))).decode())
        if password == "wrong":
            assert final.startswith("535 5.7.8") and house.directory.failures == 1
            return
        assert final.startswith("334 ")
        assert client.respond(base64.b64decode(final[4:])) == b""  # the server has proved itself
        assert (await peer.ask("")).startswith("235 2.7.0")
        assert (await peer.ask("MAIL FROM:<alice@example.org>")).startswith("250")


async def test_plus_is_offered_where_there_is_a_binding(tls: ServerTls) -> None:
    async with submission(LocalBus(), tls) as house:
        peer = await secure(house)
        offered = await peer.ask("EHLO client.example")
        words = next(line for line in offered.split("\r\n") if line[4:].startswith("AUTH ")).split()[1:]
        assert words[-2:] == ["PLAIN", "LOGIN"] and "SCRAM-SHA-256" in words


async def test_too_many_failed_logins_end_the_connection() -> None:
    async with submission(LocalBus(), settings=CLEAR) as house:
        peer = await house.visit()
        await peer.ask("EHLO client.example")
        for _ in range(4):
            assert await peer.ask(plain("alice@example.org", "guess")) == "535 5.7.8 Authentication failed"
        await peer.send(plain("alice@example.org", "guess").encode() + b"\r\n")
        assert (await peer.rest()).splitlines() == [
            b"535 5.7.8 Authentication failed",
            b"421 4.7.0 Too many failed logins; closing",
        ]


async def test_a_busy_directory_and_a_broken_one_are_told_apart() -> None:
    async with submission(LocalBus(), settings=CLEAR) as house:
        peer = await house.visit()
        await peer.ask("EHLO client.example")
        assert await peer.ask(plain("busy", "x")) == "451 4.3.0 Directory is busy"
        assert await peer.ask(plain("bug", "x")) == "454 4.7.0 Temporary authentication failure"
        assert (await peer.ask(ALICE)).startswith("235")


async def test_what_cannot_be_read_ends_the_exchange_and_counts_as_an_error() -> None:
    settings = SmtpSettings(HOSTNAME, plaintext_login_allowed=True, patience=PatienceSettings(hard_errors=3, slow_down_s=0))
    async with submission(LocalBus(), settings=settings) as house:
        peer = await house.visit()
        await peer.ask("EHLO client.example")
        assert await peer.ask("AUTH PLAIN") == "334 "
        assert (await peer.ask("no base64!")).startswith("501 5.5.2")
        assert await peer.ask("AUTH LOGIN") == "334 VXNlcm5hbWU6"
        assert (await peer.ask("*")).startswith("501 5.7.0")
        assert await peer.ask("AUTH PLAIN") == "334 "
        await peer.send(b"*\r\n")
        assert (await peer.rest()).startswith(b"421 4.7.0")


async def test_a_client_that_leaves_in_the_middle_of_a_login_is_no_bug() -> None:
    async with submission(LocalBus(), settings=CLEAR) as house:
        peer = await house.visit()
        await peer.ask("EHLO client.example")
        await peer.ask("AUTH PLAIN")
        await peer.stream.close()
        assert house.directory.failures == 0
        assert (await (await house.visit()).ask("NOOP")).startswith("250")


@pytest.mark.parametrize("state", [AccountState.SUSPENDED, AccountState.REMOVED])
async def test_a_suspended_account_is_sent_away_at_once(state: AccountState) -> None:
    bus = LocalBus()
    async with submission(bus, settings=CLEAR) as house:
        peer = await house.visit()
        await peer.ask("EHLO client.example")
        await peer.ask(ALICE)
        bus.publish([DIRECTORY_TOPIC])
        assert (await peer.ask("NOOP")).startswith("250")
        house.directory.state = state
        bus.publish([DIRECTORY_TOPIC])
        assert (await peer.rest()).startswith(b"421 4.7.0")


async def test_recipients_that_do_not_exist_are_no_errors_of_our_own_people() -> None:
    settings = SmtpSettings(HOSTNAME, plaintext_login_allowed=True, patience=PatienceSettings(hard_errors=3, slow_down_s=0))
    async with submission(LocalBus(), settings=settings) as house:
        peer = await house.visit()
        await peer.ask("EHLO client.example")
        await peer.ask(ALICE)
        await peer.ask("MAIL FROM:<alice@example.org>")
        for _ in range(5):
            assert (await peer.ask("RCPT TO:<unknown@example.org>")).startswith("550 5.1.1")


async def test_bare_newlines_are_mended_or_refused_as_set() -> None:
    for normalise, answer in ((True, "250 2.0.0"), (False, "550 5.6.0")):
        settings = SmtpSettings(HOSTNAME, plaintext_login_allowed=True, normalise_newlines=normalise)
        async with submission(LocalBus(), settings=settings) as house:
            peer = await house.visit()
            await peer.ask("EHLO client.example")
            await peer.ask(ALICE)
            await peer.ask("MAIL FROM:<alice@example.org>", "RCPT TO:<b@example.org>", "DATA")
            assert (await peer.ask("a\n.\nb\r\n.")).startswith(answer)
            assert [incoming.body.data for incoming in house.office.messages] == [b"a\r\n.\r\nb\r\n"] * normalise
