"""Handing messages on, over real sockets, to a server that answers as it is told."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from postillon.model.address import Address
from postillon.model.envelope import Envelope, Notify, Recipient
from postillon.model.queue import NextHop, Outcome, OutcomeKind
from postillon.net.certificates import make_ca, make_certificate
from postillon.net.tls import client_context, server_context
from postillon.relay.egress import Egress
from postillon.relay.hop import RelaySettings, Timeouts
from postillon.relay.smarthost import Routes, hop_of, via
from postillon.relay.tls_policy import ClientContexts
from postillon.relay.transport import RelayTransport
from postillon.seams import DnsStatus

from ..kinds import TableResolver
from .sink import Answer, Conversation, Sink

DELIVERED, DEFERRED, FAILED = OutcomeKind.DELIVERED, OutcomeKind.DEFERRED, OutcomeKind.FAILED
MESSAGE = b"From: alice@here.test\r\nSubject: hello\r\n\r\nhello\r\n.\r\n..two\r\n"
TIMEOUTS = Timeouts(connect_s=2, greeting_s=2, command_s=2, data_s=2, block_s=2, end_s=2, quit_s=1)


@dataclass
class Octets:
    data: bytes
    reads: int = 0

    @property
    def size(self) -> int:
        return len(self.data)

    async def read(self, start: int, stop: int) -> bytes:
        self.reads += 1
        return self.data[start:stop]


def envelope(*recipients: str, sender: str | None = "alice@here.test", **more: Any) -> Envelope:
    addresses = [Recipient(Address.parse(recipient)) for recipient in recipients or ("bob@there.test",)]
    return Envelope(None if sender is None else Address.parse(sender), tuple(addresses), **more)


@asynccontextmanager
async def relay(
    port: int = 25,
    *,
    table: dict[str, Any] | None = None,
    routes: Routes | None = None,
    ca: Path | None = None,
    egress: Egress | None = None,
    **settings: Any,
) -> AsyncIterator[RelayTransport]:
    """A transport for which there.test is at 127.0.0.1, port *port*."""
    transport = RelayTransport(
        settings=replace(RelaySettings("us.test", port=port, loopback_allowed=True, timeouts=TIMEOUTS), **settings),
        resolver=TableResolver(table or {"there.test": {"a": ["127.0.0.1"]}}),
        contexts=ClientContexts(client_context(verify=False), client_context(verify=True, ca_file=str(ca) if ca else None)),
        is_self=lambda _address, _port: False,
        routes=lambda: routes or Routes(),
        shuffle=lambda _: None,
        egress=egress,
    )
    try:
        yield transport
    finally:
        await transport.close()


async def one(sink: Sink, message: bytes = MESSAGE, *recipients: str, env: Envelope | None = None, **more: Any) -> list[Outcome]:
    """One attempt at *sink*."""
    async with relay(sink.port, **more) as transport:
        found = await transport.attempt(env or envelope(*recipients), Octets(message))
    return [found[i] for i in range(len(found))]


def answers(**given: Answer) -> Callable[[Conversation, bytes], Answer]:
    """A script: the answer to each command by its verb."""
    return lambda _conversation, command: given.get(command.split(b" ")[0].decode().upper(), "")


@pytest.fixture
async def sink() -> AsyncIterator[Callable[..., Awaitable[Sink]]]:
    started: list[Sink] = []

    async def start(address: str = "127.0.0.1", port: int = 0, **more: Any) -> Sink:
        started.append(await Sink(**more).start(address, port))
        return started[-1]

    yield start
    await asyncio.gather(*(each.stop() for each in started))


Start = Callable[..., Awaitable[Sink]]


# --- a message --------------------------------------------------------------------------------------------------------


async def test_a_message_arrives_octet_for_octet(sink: Start):
    there = await sink()
    (outcome,) = await one(there)
    assert outcome == Outcome(DELIVERED, "2.0.0", "taken", "there.test [127.0.0.1]", 250)
    (received,) = there.received
    assert received.message == MESSAGE
    assert received.octets.startswith(b"From: alice@here.test\r\n")
    assert b"\r\n..\r\n...two" in received.octets
    assert received.mail == b"MAIL FROM:<alice@here.test> SIZE=%d" % len(MESSAGE)


async def test_with_pipelining_the_envelope_is_one_segment(sink: Start):
    there = await sink()
    await one(there, MESSAGE, "a@there.test", "b@there.test")
    assert [piece.count(b"\r\n") for piece in there.conversations[0].segments][:2] == [1, 4]


async def test_without_pipelining_each_command_waits_for_its_answer(sink: Start):
    there = await sink(extensions=())
    outcomes = await one(there, MESSAGE, "a@there.test", "b@there.test")
    assert [outcome.kind for outcome in outcomes] == [DELIVERED, DELIVERED]
    assert [piece.count(b"\r\n") for piece in there.conversations[0].segments][:5] == [1, 1, 1, 1, 1]


async def test_a_server_of_old_gets_helo(sink: Start):
    there = await sink(script=answers(EHLO="502 5.5.1 what?"))
    (outcome,) = await one(there)
    assert outcome.kind is DELIVERED
    assert there.conversations[0].commands[:3] == [b"EHLO us.test", b"HELO us.test", b"MAIL FROM:<alice@here.test>"]


async def test_a_large_message_goes_out_in_pieces(sink: Start):
    there = await sink()
    message = MESSAGE + b"x" * 70 + b"\r\n" + b".123456789\n" * 100_000
    (outcome,) = await one(there, message)
    assert outcome.kind is DELIVERED
    assert there.received[0].message == message.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


async def test_bare_line_ends_leave_as_crlf(sink: Start):
    there = await sink()
    await one(there, b"Subject: x\n\nbody\n.\nMAIL FROM:<evil@here.test>\r.\r")
    (received,) = there.received
    assert received.octets.count(b"\n") == received.octets.count(b"\r\n") == received.octets.count(b"\r")
    assert received.message == b"Subject: x\r\n\r\nbody\r\n.\r\nMAIL FROM:<evil@here.test>\r\n.\r\n"


async def test_the_senders_wishes_are_handed_on_where_the_server_knows_them(sink: Start):
    there = await sink()
    wish = Recipient(Address.parse("bob@there.test"), frozenset({Notify.NEVER}), "rfc822;bob@old.test")
    env = Envelope(Address.parse("alice@here.test"), (wish,), ret="FULL", envid="id")
    await one(there, env=env)
    assert there.received[0].mail.endswith(b" RET=FULL ENVID=id")
    assert there.received[0].rcpts == [b"RCPT TO:<bob@there.test> NOTIFY=NEVER ORCPT=rfc822;bob@old.test"]
    plain = await sink(extensions=())
    await one(plain, env=env)
    assert plain.received[0].rcpts == [b"RCPT TO:<bob@there.test>"]


# --- what each answer means -------------------------------------------------------------------------------------------


async def test_each_recipient_has_its_own_outcome(sink: Start):
    def script(_: Conversation, command: bytes) -> Answer:
        return {b"RCPT TO:<no@there.test>": "550 5.1.1 nobody", b"RCPT TO:<later@there.test>": "450 4.2.1 busy"}.get(command, "")

    there = await sink(script=script)
    no, yes, later = await one(there, MESSAGE, "no@there.test", "yes@there.test", "later@there.test")
    assert (no.kind, no.status, no.code, no.text) == (FAILED, "5.1.1", 550, "nobody")
    assert (yes.kind, yes.status) == (DELIVERED, "2.0.0")
    assert (later.kind, later.status, later.code) == (DEFERRED, "4.2.1", 450)
    assert there.received[0].rcpts == [b"RCPT TO:<yes@there.test>"]


@pytest.mark.parametrize("extensions", [("PIPELINING",), ()])
@pytest.mark.parametrize(
    ("command", "answer", "kind", "status"),
    [
        ("MAIL", "550 5.7.1 go away", FAILED, "5.7.1"),
        ("MAIL", "451 later", DEFERRED, "4.0.0"),
        ("MAIL", "354 confused", DEFERRED, "4.0.0"),
        ("RCPT", "553 no", FAILED, "5.0.0"),
        ("RCPT", "452 4.2.2 full", DEFERRED, "4.2.2"),
        ("DATA", "554 5.5.1 no", FAILED, "5.5.1"),
        ("DATA", "451 4.3.0 no", DEFERRED, "4.3.0"),
        ("DATA", "250 4.3.0 confused", DEFERRED, "4.5.0"),
        ("END", "552 5.3.4 too large", FAILED, "5.3.4"),
        ("END", "451 4.7.1 greylisted", DEFERRED, "4.7.1"),
        ("END", "550 2.0.0 class and code differ", FAILED, "5.0.0"),
    ],
)
async def test_a_refusal_at_any_stage(
    sink: Start, extensions: tuple[str, ...], command: str, answer: str, kind: OutcomeKind, status: str
):
    there = await sink(script=answers(**{command: answer}), extensions=extensions)
    outcomes = await one(there, MESSAGE, "a@there.test", "b@there.test")
    assert [(outcome.kind, outcome.status, outcome.code) for outcome in outcomes] == [(kind, status, int(answer[:3]))] * 2
    assert not there.received


async def test_a_transaction_that_failed_leaves_the_connection_usable(sink: Start):
    refusals = ["550 no", "", "", "", ""]

    def script(_: Conversation, command: bytes) -> Answer:
        return refusals.pop(0) if command.startswith((b"RCPT", b"MAIL")) and refusals else ""

    there = await sink(script=script)
    async with relay(there.port) as transport:
        first = await transport.attempt(envelope(), Octets(MESSAGE))
        second = await transport.attempt(envelope(), Octets(MESSAGE))
        third = await transport.attempt(envelope(), Octets(MESSAGE))
    assert [first[0].kind, second[0].kind, third[0].kind] == [FAILED, DELIVERED, DELIVERED]
    assert len(there.conversations) == 1
    assert there.conversations[0].commands.count(b"RSET") == 1


async def test_data_accepted_without_recipients_gets_only_a_dot(sink: Start):
    there = await sink(script=answers(RCPT="550 5.1.1 no", DATA="354 well", END="554 5.5.1 no recipients"))
    async with relay(there.port) as transport:
        first = await transport.attempt(envelope(), Octets(MESSAGE))
        assert (first[0].kind, first[0].status) == (FAILED, "5.1.1")
        await transport.attempt(envelope(), Octets(MESSAGE))
    assert len(there.conversations) == 1
    assert not there.received


async def test_recipients_that_did_not_fit_go_in_the_next_transaction(sink: Start):
    def script(conversation: Conversation, command: bytes) -> Answer:
        return "452 4.5.3 too many" if command.startswith(b"RCPT") and len(conversation.rcpts) >= 3 else ""

    there = await sink(script=script)
    outcomes = await one(there, MESSAGE, *(f"r{n}@there.test" for n in range(8)))
    assert [outcome.kind for outcome in outcomes] == [DELIVERED] * 8
    assert [len(received.rcpts) for received in there.received] == [3, 3, 2]
    assert len(there.conversations) == 1


async def test_more_than_a_hundred_recipients_are_several_transactions(sink: Start):
    there = await sink()
    outcomes = await one(there, MESSAGE, *(f"r{n}@there.test" for n in range(230)))
    assert [outcome.kind for outcome in outcomes] == [DELIVERED] * 230
    assert [len(received.rcpts) for received in there.received] == [100, 100, 30]


async def test_their_words_are_cleaned_before_anybody_reads_them(sink: Start):
    there = await sink(script=answers(RCPT="550-5.1.1 \x1b[31mred\x00\r\n550 5.1.1 " + "long " * 300))
    (outcome,) = await one(there)
    assert outcome.text.isprintable()
    assert len(outcome.text) <= 500
    assert outcome.status == "5.1.1"


# --- what the server cannot do ----------------------------------------------------------------------------------------


async def test_too_large_is_known_before_sending(sink: Start):
    there = await sink(extensions=("SIZE 20",))
    (outcome,) = await one(there)
    assert (outcome.kind, outcome.status, outcome.code) == (FAILED, "5.3.4", 552)
    assert not any(command.startswith(b"MAIL") for command in there.conversations[0].commands)


async def test_eight_bit_text_needs_8bitmime(sink: Start):
    message = MESSAGE + "schöne Grüße\r\n".encode()
    able = await sink(extensions=("8BITMIME",))
    assert (await one(able, message))[0].kind is DELIVERED
    assert able.received[0].mail.endswith(b" BODY=8BITMIME")
    unable = await sink(extensions=())
    (outcome,) = await one(unable, message)
    assert (outcome.kind, outcome.status) == (FAILED, "5.6.3")
    assert (await one(unable, MESSAGE))[0].kind is DELIVERED


async def test_eight_bit_octets_far_down_are_found_too(sink: Start):
    unable = await sink(extensions=())
    (outcome,) = await one(unable, MESSAGE + b"x" * 70 * 10_000 + b"\xff")
    assert outcome.status == "5.6.3"


async def test_international_mail_needs_smtputf8(sink: Start):
    able = await sink(extensions=("SMTPUTF8", "8BITMIME"))
    env = envelope("jürgen@there.test", smtputf8=True)
    assert (await one(able, env=env))[0].kind is DELIVERED
    assert able.received[0].mail.endswith(b" SMTPUTF8")
    assert able.received[0].rcpts == ["RCPT TO:<jürgen@there.test>".encode()]
    unable = await sink(extensions=("8BITMIME",))
    outcomes = await one(unable, env=envelope("jürgen@there.test", "bob@there.test", smtputf8=True))
    assert [(outcome.kind, outcome.status) for outcome in outcomes] == [(FAILED, "5.6.7"), (DELIVERED, "2.0.0")]
    outcomes = await one(unable, env=envelope(sender="jürgen@here.test", smtputf8=True))
    assert outcomes[0].status == "5.6.7"
    header = "Subject: Grüße\r\n\r\nx\r\n".encode()
    assert (await one(unable, header, env=envelope(smtputf8=True)))[0].status == "5.6.7"
    # All ASCII that matters: it may leave although it came with SMTPUTF8.
    body = "Subject: x\r\n\r\nGrüße\r\n".encode()
    assert (await one(unable, body, env=envelope(smtputf8=True)))[0].kind is DELIVERED


async def test_requiretls_is_not_forgotten(sink: Start):
    there = await sink()
    (outcome,) = await one(there, env=envelope(require_tls=True))
    assert (outcome.kind, outcome.status) == (FAILED, "5.7.30")
    assert not there.received


# --- hosts that will not do -------------------------------------------------------------------------------------------

THREE = {
    "there.test": {"mx": [(10, "one.test"), (20, "two.test"), (30, "three.test")]},
    "one.test": {"a": ["127.0.0.11"]},
    "two.test": {"a": ["127.0.0.12"]},
    "three.test": {"a": ["127.0.0.13"]},
}


async def unused_port() -> int:
    probe = await Sink().start("127.0.0.11")
    await probe.stop()
    return probe.port


async def test_nobody_there_means_the_next_host(sink: Start):
    port = await unused_port()
    await sink("127.0.0.13", port)
    (outcome,) = await one(await sink("127.0.0.12", port), table=THREE)
    assert (outcome.kind, outcome.remote) == (DELIVERED, "two.test [127.0.0.12]")


async def test_nobody_anywhere_means_later():
    async with relay(await unused_port(), table=THREE) as transport:
        found = await transport.attempt(envelope("a@there.test", "b@there.test"), Octets(MESSAGE))
    assert {(outcome.kind, outcome.status, outcome.code) for outcome in found.values()} == {(DEFERRED, "4.4.1", 0)}


@pytest.mark.parametrize(
    "given",
    [
        {"CONNECT": "421 4.3.2 going down"},
        {"CONNECT": "450 4.3.2 busy"},
        {"CONNECT": "554 5.7.1 not for you"},
        {"CONNECT": None},
        {"CONNECT": b"HTTP/1.1 400 Bad Request\r\n\r\n"},
        {"EHLO": "421 4.3.2 going down"},
        {"EHLO": "450 4.7.1 later"},
        {"EHLO": None},
        {"MAIL": "421 4.3.2 going down"},
        {"MAIL": None},
        {"RCPT": "421 4.3.2 going down"},
        {"RCPT": None},
        {"DATA": "421 4.3.2 going down"},
        {"END": "421 4.3.2 going down"},
    ],
)
async def test_a_host_that_breaks_off_means_the_next_host(sink: Start, given: dict[str, Answer]):
    first = await sink("127.0.0.11", script=answers(**given))
    second = await sink("127.0.0.12", first.port)
    (outcome,) = await one(first, table=THREE)
    assert (outcome.kind, outcome.remote) == (DELIVERED, "two.test [127.0.0.12]")
    assert len(second.received) == 1
    assert not first.received


async def test_ipv6_comes_first_and_ipv4_where_nobody_answers_there(sink: Start):
    table = {"there.test": {"a": ["127.0.0.11"], "aaaa": ["::1"]}}
    six = await sink("::1")
    four = await sink("127.0.0.11", six.port)
    (outcome,) = await one(six, table=table)
    assert (outcome.kind, outcome.remote) == (DELIVERED, "there.test [::1]")
    await six.stop()
    (outcome,) = await one(four, table=table)
    assert (outcome.kind, outcome.remote) == (DELIVERED, "there.test [127.0.0.11]")


async def test_silence_means_the_next_host(sink: Start):
    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220-still\r\n220-")
        await asyncio.sleep(60)

    mute = await asyncio.start_server(silent, "127.0.0.11", 0)
    port = mute.sockets[0].getsockname()[1]
    second = await sink("127.0.0.12", port)
    (outcome,) = await one(second, table=THREE, timeouts=replace(TIMEOUTS, greeting_s=0.1))
    assert outcome.remote == "two.test [127.0.0.12]"
    mute.close()


async def test_a_connection_lost_after_the_final_dot_is_not_tried_elsewhere(sink: Start):
    first = await sink("127.0.0.11", script=answers(END=None))
    second = await sink("127.0.0.12", first.port)
    (outcome,) = await one(first, table=THREE)
    assert (outcome.kind, outcome.status) == (DEFERRED, "4.4.2")
    assert not second.conversations


async def test_a_final_no_at_one_host_is_final(sink: Start):
    first = await sink("127.0.0.11", script=answers(RCPT="550 5.1.1 no"))
    second = await sink("127.0.0.12", first.port)
    (outcome,) = await one(first, table=THREE)
    assert outcome.kind is FAILED
    assert not second.conversations


async def test_what_one_host_decided_is_not_asked_of_the_next(sink: Start):
    def script(_: Conversation, command: bytes) -> Answer:
        return {b"RCPT TO:<no@there.test>": "550 5.1.1 nobody", b"RCPT TO:<x@there.test>": "421 4.3.2 bye"}.get(command, "")

    first = await sink("127.0.0.11", script=script)
    second = await sink("127.0.0.12", first.port)
    no, x, y = await one(first, MESSAGE, "no@there.test", "x@there.test", "y@there.test", table=THREE)
    assert (no.kind, no.remote) == (FAILED, "one.test [127.0.0.11]")
    assert [x.kind, y.kind] == [DELIVERED, DELIVERED]
    assert second.received[0].rcpts == [b"RCPT TO:<x@there.test>", b"RCPT TO:<y@there.test>"]


async def test_all_hosts_closed_for_us_is_final_and_one_that_may_heal_is_not(sink: Start):
    first = await sink("127.0.0.11", script=answers(CONNECT="554 5.7.1 not for you"))
    second = await sink("127.0.0.12", first.port, script=answers(CONNECT="554 5.7.1 not for you"))
    table = THREE | {"there.test": {"mx": [(10, "one.test"), (20, "two.test")]}}
    assert (await one(first, table=table))[0].kind is FAILED
    second.script = answers(CONNECT="450 4.3.2 busy")
    assert (await one(first, table=table))[0].kind is DEFERRED
    second.script, first.script = first.script, second.script
    assert (await one(first, table=table))[0].kind is DEFERRED


@pytest.mark.parametrize("goes", [True, False])
async def test_a_server_that_refuses_while_the_message_is_on_its_way_is_heard(goes: bool):
    async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hi\r\n")
        await reader.readline()
        writer.write(b"250-hi\r\n250 PIPELINING\r\n")
        for answer in (b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n"):
            await reader.readline()
            writer.write(answer)
        await reader.readexactly(1_000_000)
        writer.write(b"552 5.3.4 enough\r\n")
        await writer.drain()
        while not goes and await reader.read(1_000_000):
            pass
        writer.close()

    server = await asyncio.start_server(rude, "127.0.0.1", 0)
    async with relay(server.sockets[0].getsockname()[1]) as transport:
        found = await transport.attempt(envelope(), Octets(b"Subject: x\r\n\r\n" + b"x" * 30_000_000))
    if not goes:
        assert (found[0].kind, found[0].status, found[0].text) == (FAILED, "5.3.4", "enough")
    else:  # a reset may have overtaken its words
        assert found[0].kind in (FAILED, DEFERRED)
    server.close()


async def test_several_domains_in_one_envelope_go_their_own_ways(sink: Start):
    first = await sink("127.0.0.11")
    second = await sink("127.0.0.12", first.port)
    table = {"a.test": {"a": ["127.0.0.11"]}, "b.test": {"a": ["127.0.0.12"]}, "c.test": DnsStatus.SERVFAIL}
    outcomes = await one(first, MESSAGE, "x@a.test", "x@b.test", "y@a.test", "x@c.test", "x@d.test", table=table)
    assert [outcome.kind for outcome in outcomes] == [DELIVERED, DELIVERED, DELIVERED, DEFERRED, FAILED]
    assert [len(received.rcpts) for received in (*first.received, *second.received)] == [2, 1]


# --- kept connections -------------------------------------------------------------------------------------------------


async def test_one_connection_carries_many_messages(sink: Start):
    there = await sink()
    async with relay(there.port, messages_per_connection=5) as transport:
        for _ in range(12):
            await transport.attempt(envelope(), Octets(MESSAGE))
    assert [conversation.messages for conversation in there.conversations] == [5, 5, 2]
    assert all(conversation.commands[-1] == b"QUIT" for conversation in there.conversations)
    assert all(b"RSET" not in conversation.commands for conversation in there.conversations)


async def test_an_idle_connection_says_goodbye(sink: Start):
    there = await sink()
    async with relay(there.port, idle_s=0.05) as transport:
        await transport.attempt(envelope(), Octets(MESSAGE))
        assert there.open == 1
        await there.all_closed()
    assert there.conversations[0].commands[-1] == b"QUIT"


@pytest.mark.parametrize("farewell", [None, "421 4.4.2 idle for too long"])
async def test_a_kept_connection_that_was_closed_is_opened_again(sink: Start, farewell: Answer):
    def script(conversation: Conversation, command: bytes) -> Answer:
        return farewell if command.startswith(b"MAIL") and conversation.messages and conversation.number == 1 else ""

    there = await sink(script=script)
    async with relay(there.port) as transport:
        found = [await transport.attempt(envelope(), Octets(MESSAGE)) for _ in range(3)]
    assert [outcomes[0].kind for outcomes in found] == [DELIVERED] * 3
    assert [conversation.messages for conversation in there.conversations] == [1, 2]


async def test_a_connection_with_words_too_many_is_not_kept(sink: Start):
    there = await sink(script=answers(END=b"250 2.0.0 taken\r\n250 2.0.0 and again\r\n"))
    async with relay(there.port) as transport:
        for _ in range(2):
            found = await transport.attempt(envelope(), Octets(MESSAGE))
            assert (found[0].kind, found[0].text) == (DELIVERED, "taken")
    assert len(there.conversations) == 2


async def test_a_cancelled_attempt_leaves_no_connection_behind(sink: Start):
    heard = asyncio.Event()

    def script(_: Conversation, command: bytes) -> Answer:
        if command == b"END":
            heard.set()
            return b""
        return ""

    there = await sink(script=script)
    async with relay(there.port) as transport:
        task = asyncio.create_task(transport.attempt(envelope(), Octets(MESSAGE)))
        await heard.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await there.all_closed()
        there.script = answers()
        assert (await transport.attempt(envelope(), Octets(MESSAGE)))[0].kind is DELIVERED
    assert len(there.conversations) == 2


# --- TLS and login ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    """A server's context for there.test and 127.0.0.1, and the authority that signed it."""
    directory = tmp_path_factory.mktemp("tls")
    authority, _ = make_ca(directory)
    return server_context([make_certificate(directory, ["there.test", "127.0.0.1"])], "smtp"), authority


Certificates = tuple[ssl.SSLContext, Path]
ROUTE = NextHop("127.0.0.1", 0, "required", "me", "s3cret")


def route(sink: Sink, **more: Any) -> Routes:
    return Routes({"there.test": replace(ROUTE, port=sink.port, **more)})


async def test_tls_is_used_where_it_is_offered(sink: Start, certificates: Certificates):
    there = await sink(tls=certificates[0])
    assert (await one(there))[0].kind is DELIVERED  # nobody checks who signed it
    assert there.received[0].tls
    assert [command.split(b" ")[0] for command in there.conversations[0].commands[:3]] == [b"EHLO", b"STARTTLS", b"EHLO"]


@pytest.mark.parametrize("given", [{"STARTTLS": "454 4.7.0 not now"}, {"TLS": "break"}])
async def test_where_tls_fails_the_message_goes_in_clear(sink: Start, certificates: Certificates, given: dict[str, Answer]):
    there = await sink(tls=certificates[0], script=answers(**given))
    assert (await one(there))[0].kind is DELIVERED
    assert not there.received[0].tls


async def test_words_injected_before_tls_end_the_attempt(sink: Start, certificates: Certificates):
    there = await sink(tls=certificates[0], script=answers(STARTTLS=b"220 go\r\n250 2.0.0 injected\r\n"))
    (outcome,) = await one(there)
    assert (outcome.kind, outcome.status) == (DEFERRED, "4.7.5")
    assert not there.received


async def test_a_smarthost_gets_our_login_over_verified_tls(sink: Start, certificates: Certificates):
    there = await sink(tls=certificates[0], extensions=("PIPELINING", "AUTH PLAIN LOGIN"))
    (outcome,) = await one(there, routes=route(there), ca=certificates[1])
    assert (outcome.kind, outcome.remote) == (DELIVERED, "127.0.0.1 [127.0.0.1]")
    assert there.received[0].tls
    assert there.received[0].login == b"AUTH PLAIN AG1lAHMzY3JldA=="


async def test_auth_login_where_there_is_no_plain(sink: Start, certificates: Certificates):
    there = await sink(tls=certificates[0], extensions=("AUTH LOGIN",))
    assert (await one(there, routes=route(there), ca=certificates[1]))[0].kind is DELIVERED
    assert there.received[0].login == b"bWU=\r\nczNjcmV0\r\n"


async def test_implicit_tls(sink: Start, certificates: Certificates):
    there = await sink(tls=certificates[0], implicit=True, extensions=("AUTH PLAIN",))
    (outcome,) = await one(there, routes=route(there, tls="implicit"), ca=certificates[1])
    assert outcome.kind is DELIVERED


async def test_without_verified_tls_no_password_is_sent(sink: Start, certificates: Certificates):
    stripped = await sink(extensions=("AUTH PLAIN",))
    for tls in ("required", "opportunistic"):
        (outcome,) = await one(stripped, routes=route(stripped, tls=tls), ca=certificates[1])
        assert (outcome.kind, outcome.status) == (DEFERRED, "4.7.4")
    strange = await sink(tls=certificates[0], extensions=("AUTH PLAIN",))
    for tls in ("required", "opportunistic"):
        (outcome,) = await one(strange, routes=route(strange, tls=tls))  # the system's authorities know nothing of it
        assert (outcome.kind, outcome.status) == (DEFERRED, "4.7.5")
    for conversation in (*stripped.conversations, *strange.conversations):
        assert not any(command.startswith(b"AUTH") for command in conversation.commands)


async def test_a_login_that_fails_keeps_the_mail_waiting(sink: Start):
    there = await sink(extensions=("AUTH PLAIN",), script=answers(AUTH="535 5.7.8 wrong"))
    (outcome,) = await one(there, routes=route(there, tls="none"))
    assert (outcome.kind, outcome.status, outcome.code) == (DEFERRED, "4.7.8", 535)
    assert "s3cret" not in outcome.text


async def test_a_smarthost_takes_all_domains_in_one_transaction(sink: Start):
    there = await sink(extensions=("PIPELINING",))
    routes = Routes(smarthost=NextHop("127.0.0.1", there.port))
    outcomes = await one(there, MESSAGE, "a@one.test", "b@two.test", routes=routes)
    assert [outcome.kind for outcome in outcomes] == [DELIVERED, DELIVERED]
    assert len(there.received) == 1


async def test_what_is_rerouted_goes_by_its_next_hop_whatever_the_domains(sink: Start):
    there = await sink()
    async with relay(1) as transport:
        destination = via("127.0.0.1", there.port)
        assert transport.next_hop(destination) == f"127.0.0.1:{there.port}"
        found = await transport.attempt(envelope("a@there.test", "b@nowhere.test"), Octets(MESSAGE), destination)
    assert [outcome.kind for outcome in found.values()] == [DELIVERED, DELIVERED]
    assert len(there.received) == 1


@pytest.mark.parametrize(("host", "port"), [("mail.test", 25), ("192.0.2.1", 2525), ("2001:db8::1", 25)])
def test_a_next_hop_survives_as_a_destination(host: str, port: int):
    assert hop_of(via(host, port)) == NextHop(host, port)
    assert hop_of("there.test") is None
