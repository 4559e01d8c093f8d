"""Backup MX: what is taken for a domain whose own server is elsewhere. The server is real, a sink on a socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from postillon.flow.receive import Receiver
from postillon.flow.relay_domains import UNKNOWN_S, RelayDomain, RelayDomains
from postillon.model.address import Address
from postillon.model.errors import Refusal
from postillon.model.queue import NextHop, Outcome, OutcomeKind
from postillon.net.tls import client_context
from postillon.relay.hop import RelaySettings
from postillon.relay.smarthost import Routes
from postillon.relay.tls_policy import ClientContexts
from postillon.relay.transport import RelayTransport

from ..kinds import TableResolver
from ..relay.sink import Conversation, Sink
from .conftest import SETTINGS, Office

TEXT = b"From: x@sender.test\r\nSubject: hi\r\n\r\nHello.\r\n"


def primary(_: Conversation, command: bytes) -> str:
    if command.startswith(b"RCPT TO:<nobody@"):
        return "550 5.1.1 no such user"
    return "554 5.7.1 blocked" if command.startswith(b"RCPT TO:<policy@") else ""


@asynccontextmanager
async def backup(office: Office, sink: Sink, **more: object) -> AsyncIterator[Office]:
    routes = Routes({"backup.test": NextHop("127.0.0.1", sink.port)})
    relay = RelayTransport(
        settings=RelaySettings("mail.example.test", port=25, loopback_allowed=True),
        resolver=TableResolver(),
        contexts=ClientContexts(client_context(verify=False), client_context(verify=True)),
        is_self=lambda address, port: False,
        routes=lambda: routes,
    )
    yield _backup(office, relay, RelayDomain(**more))  # type: ignore[arg-type]
    await relay.close()


def _backup(office: Office, relay: RelayTransport, domain: RelayDomain) -> Office:
    return replace(
        office,
        receiver=Receiver(
            store=office.store,
            directory=office.directory,
            resolver=TableResolver({"sender.test": {"mx": [(10, "mx.sender.test")]}}),
            deliverer=office.deliverer,
            clock=office.clock,
            settings=SETTINGS,
            relay_domains=RelayDomains({"backup.test": domain}, relay.ask, office.clock),
        ),
    )


def refused(status: str):
    return pytest.raises(Refusal, check=lambda refusal: refusal.status == status)


async def test_who_the_server_does_not_know_is_refused_while_the_sender_waits(office: Office):
    async with Sink(script=primary) as sink, backup(office, sink) as backed:
        await backed.receive("x@sender.test", ["somebody@backup.test", "policy@backup.test"], TEXT)
        for _ in range(2):
            with refused("5.1.1"):
                await backed.receive("x@sender.test", ["nobody@backup.test"], TEXT)
        asked = [command for talk in sink.conversations for command in talk.commands if command.startswith(b"RCPT")]
        assert len(asked) == 3 and len(sink.conversations) == 1 and sink.received == []
        office.clock.at += UNKNOWN_S
        with refused("5.1.1"):
            await backed.receive("x@sender.test", ["nobody@backup.test"], TEXT)
        queued = [entry for entry, _ in await backed.queued()]
        assert {(str(entry.recipient.address), entry.destination) for entry in queued} == {
            ("somebody@backup.test", "backup.test"),
            ("policy@backup.test", "backup.test"),
        }
        assert {str(entry.envelope.sender) for entry in queued} == {"x@sender.test"}


async def test_while_the_server_is_away_everything_is_taken(office: Office):
    async with Sink() as sink, backup(office, sink) as backed:
        await sink.stop()
        assert (await backed.receive("x@sender.test", ["anybody@backup.test"], TEXT)).queued


async def test_a_list_needs_no_server(office: Office):
    async with Sink(script=primary) as sink:
        known = frozenset({"nobody@backup.test"})
        async with backup(office, sink, recipients=known, verify="list") as backed:
            assert (await backed.receive("x@sender.test", ["Nobody@backup.test"], TEXT)).queued
            with refused("5.1.1"):
                await backed.receive("x@sender.test", ["other@backup.test"], TEXT)
        async with backup(office, sink, verify="any") as backed:
            assert (await backed.receive("x@sender.test", ["other@backup.test"], TEXT)).queued
        assert sink.conversations == []


async def test_other_domains_are_still_no_relay(office: Office):
    async with Sink() as sink, backup(office, sink) as backed:
        with refused("5.7.1"):
            await backed.receive("x@sender.test", ["a@sub.backup.test"], TEXT)


async def test_who_wants_to_know_the_same_at_once_waits_for_one_answer(office: Office):
    async with Sink(script=primary) as sink, backup(office, sink) as backed:
        sent = [backed.receive(f"{name}@sender.test", ["nobody@backup.test"], TEXT) for name in "xyz"]
        found = await asyncio.gather(*sent, return_exceptions=True)
        assert [isinstance(one, Refusal) and one.status for one in found] == ["5.1.1"] * 3
        assert sum(command.startswith(b"RCPT") for talk in sink.conversations for command in talk.commands) == 1


async def test_two_servers_that_are_routed_at_each_other_do_not_ask_in_a_circle(office: Office):
    asked: list[str] = []
    servers: dict[str, RelayDomains] = {}

    def server(other: str) -> RelayDomains:
        async def ask(recipient: Address) -> Outcome:
            asked.append(other)
            assert await servers[other].takes(recipient, None)  # a question has the null sender
            return Outcome(OutcomeKind.DELIVERED, "2.1.5", "ok", code=250)

        return RelayDomains({"backup.test": RelayDomain()}, ask, office.clock)

    servers |= {"first": server("second"), "second": server("first")}
    assert await servers["first"].takes(Address.parse("somebody@backup.test"), Address.parse("x@sender.test"))
    assert asked == ["second", "first"]
