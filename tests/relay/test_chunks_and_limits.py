"""BDAT and BINARYMIME (RFC 3030), LMTP (RFC 2033) and LIMITS (RFC 9422) from the client's side."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from postillon.model.envelope import DeliverBy
from postillon.model.queue import NextHop
from postillon.relay.session import BLOCK
from postillon.relay.smarthost import Routes

from .sink import Answer, Conversation
from .test_transport import DEFERRED, DELIVERED, FAILED, MESSAGE, Octets, Start, envelope, one, relay, sink  # noqa: F401

CHUNKS = ("PIPELINING", "8BITMIME", "CHUNKING", "BINARYMIME")
LARGE = b"Subject: large\r\n\r\n" + b".0123456789abcdef0123456789abcdef0123456789abcdef\r\n" * 20_000
BINARY = b"Content-Transfer-Encoding: binary\r\n\r\n\0\n\r\n.\r\n\xff\r"


def verbs(conversation: Conversation) -> list[str]:
    return [command.split(b" ")[0].decode() for command in conversation.commands]


def commands(conversation: Conversation, verb: bytes) -> list[bytes]:
    return [command for command in conversation.commands if command.startswith(verb)]


# --- chunks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("offered", [CHUNKS, CHUNKS[1:]], ids=["pipelining", "one by one"])
async def test_a_large_message_goes_in_chunks(sink: Start, offered: tuple[str, ...]):  # noqa: F811
    server = await sink(extensions=offered)
    (outcome,) = await one(server, LARGE)
    assert (outcome.kind, outcome.status) == (DELIVERED, "2.0.0")
    (received,) = server.received
    assert received.octets == LARGE
    (conversation,) = server.conversations
    assert "DATA" not in verbs(conversation)
    *first, last = commands(conversation, b"BDAT")
    assert all(chunk == b"BDAT %d" % BLOCK for chunk in first) and last == b"BDAT %d LAST" % (len(LARGE) - len(first) * BLOCK)


async def test_small_mail_and_servers_without_chunking_get_data(sink: Start):  # noqa: F811
    server = await sink(extensions=CHUNKS)
    await one(server)
    other = await sink(extensions=("PIPELINING", "8BITMIME"))
    await one(other, LARGE)
    assert "BDAT" not in verbs(server.conversations[0]) + verbs(other.conversations[0])
    assert other.received[0].message == LARGE


async def test_no_bare_newline_leaves_in_chunks(sink: Start):  # noqa: F811
    server = await sink(extensions=CHUNKS)
    # A CR at the very end of a block, and its LF at the beginning of the next.
    head = b"a\rb\nc\r\n".ljust(BLOCK - 1, b"x")
    await one(server, head + b"\r\nd\r" + b"\n\re\n" + b"y" * BLOCK + b"\r")
    (received,) = server.received
    assert re.search(rb"(?<!\r)\n|\r(?!\n)", received.octets) is None
    assert received.octets == head.replace(b"a\rb\nc", b"a\r\nb\r\nc") + b"\r\nd\r\n\r\ne\r\n" + b"y" * BLOCK + b"\r\n"


async def test_binary_mail_leaves_as_it_is_or_not_at_all(sink: Start):  # noqa: F811
    server = await sink(extensions=CHUNKS)
    (outcome,) = await one(server, BINARY, env=envelope(body="BINARYMIME"))
    assert outcome.kind is DELIVERED and server.received[0].octets == BINARY
    assert server.received[0].mail.endswith(b" BODY=BINARYMIME")
    for offered in (("PIPELINING", "8BITMIME", "CHUNKING"), ("PIPELINING", "8BITMIME", "BINARYMIME")):
        server = await sink(extensions=offered)
        (outcome,) = await one(server, BINARY, env=envelope(body="BINARYMIME"))
        assert (outcome.kind, outcome.status) == (FAILED, "5.6.3")
        assert "MAIL" not in verbs(server.conversations[0])


@pytest.mark.parametrize(("code", "kind"), [("552 5.3.4 too much", FAILED), ("452 4.3.1 no room", DEFERRED)])
async def test_a_chunk_that_is_refused_ends_it(sink: Start, code: str, kind: object):  # noqa: F811
    def script(conversation: Conversation, command: bytes) -> Answer:
        return code if command.startswith(b"BDAT") and len(conversation.chunks) > BLOCK else ""

    server = await sink(extensions=CHUNKS, script=script)
    (outcome,) = await one(server, LARGE)
    assert outcome.kind is kind and outcome.status == code[4:9]
    assert server.received == [] and len(server.conversations) == 1


async def test_a_recipient_that_is_refused_costs_no_chunks(sink: Start):  # noqa: F811
    server = await sink(extensions=CHUNKS, script=lambda _, command: "550 5.1.1 who?" if command.startswith(b"RCPT") else "")
    async with relay(server.port) as transport:
        assert (await transport.attempt(envelope(), Octets(LARGE)))[0].kind is FAILED
        server.script = lambda _conversation, _command: ""
        assert (await transport.attempt(envelope(), Octets(LARGE)))[0].kind is DELIVERED
    assert verbs(server.conversations[0])[:5] == ["EHLO", "MAIL", "RCPT", "RSET", "MAIL"]


async def test_the_senders_time_and_rank_are_handed_on_where_they_are_known(sink: Start):  # noqa: F811
    wishes = envelope(deliver_by=DeliverBy(120, True, True), priority=-3, solicit=("net.example:adv",))
    server = await sink(extensions=("PIPELINING", "DELIVERBY 60", "MT-PRIORITY MIXER", "NO-SOLICITING"))
    await one(server, env=wishes)
    assert server.received[0].mail == b"MAIL FROM:<alice@here.test> BY=120;RT MT-PRIORITY=-3 SOLICIT=net.example:adv"
    server = await sink(extensions=("PIPELINING",))
    await one(server, env=replace(wishes, deliver_by=DeliverBy(120, False)))
    assert server.received[0].mail == b"MAIL FROM:<alice@here.test>"


@pytest.mark.parametrize(("offer", "kind"), [("DELIVERBY 121", FAILED), ("HELP", FAILED), ("DELIVERBY", DELIVERED)])
async def test_what_must_be_in_time_goes_to_those_who_promise_it(sink: Start, offer: str, kind: object):  # noqa: F811
    server = await sink(extensions=("PIPELINING", offer))
    (outcome,) = await one(server, env=envelope(deliver_by=DeliverBy(120, True)))
    assert outcome.kind is kind and outcome.status == ("5.3.3" if kind is FAILED else "2.0.0")


# --- LMTP -------------------------------------------------------------------------------------------------------------


def lmtp(port: int) -> Routes:
    return Routes({"there.test": NextHop("127.0.0.1", port, tls="none", protocol="lmtp")})


@pytest.mark.parametrize("message", [MESSAGE, LARGE], ids=["DATA", "BDAT"])
async def test_by_lmtp_each_recipient_has_its_own_answer(sink: Start, message: bytes):  # noqa: F811
    def script(_conversation: Conversation, command: bytes) -> Answer:
        if command.startswith(b"RCPT TO:<nobody@"):
            return "550 5.1.1 who?"
        return "452 4.2.2 full" if command.startswith(b"END RCPT TO:<full@") else ""

    server = await sink(extensions=CHUNKS, lmtp=True, script=script)
    names = ("a@there.test", "full@there.test", "nobody@there.test", "b@there.test")
    outcomes = await one(server, message, *names, routes=lmtp(server.port))
    assert [outcome.kind for outcome in outcomes] == [DELIVERED, DEFERRED, FAILED, DELIVERED]
    assert [outcome.code for outcome in outcomes] == [250, 452, 550, 250]
    assert verbs(server.conversations[0])[0] == "LHLO"


async def test_an_answer_counts_that_came_before_the_end(sink: Start):  # noqa: F811
    def script(_conversation: Conversation, command: bytes) -> Answer:
        return None if command.startswith(b"END RCPT TO:<b@") else ""

    server = await sink(lmtp=True, script=script)
    outcomes = await one(server, MESSAGE, "a@there.test", "b@there.test", "c@there.test", routes=lmtp(server.port))
    assert [outcome.kind for outcome in outcomes] == [DELIVERED, DEFERRED, DEFERRED]
    assert outcomes[1].status == "4.4.2"


async def test_who_speaks_only_smtp_gets_no_mail_by_lmtp(sink: Start):  # noqa: F811
    server = await sink()
    (outcome,) = await one(server, routes=lmtp(server.port))
    assert outcome.kind is not DELIVERED
    assert verbs(server.conversations[0]) == ["LHLO"]


# --- limits -----------------------------------------------------------------------------------------------------------


async def test_no_transaction_has_more_recipients_than_the_server_takes(sink: Start):  # noqa: F811
    server = await sink(extensions=("PIPELINING", "LIMITS RCPTMAX=2"))
    outcomes = await one(server, MESSAGE, *(f"user{n}@there.test" for n in range(5)))
    assert [outcome.kind for outcome in outcomes] == [DELIVERED] * 5
    assert [len(received.rcpts) for received in server.received] == [2, 2, 1]
    assert len(server.conversations) == 1


async def test_no_transaction_has_more_domains_than_the_server_takes(sink: Start):  # noqa: F811
    server = await sink(extensions=("PIPELINING", "LIMITS RCPTDOMAINMAX=1"))
    routes = Routes(smarthost=NextHop("127.0.0.1", server.port, tls="none"))
    names = ("a@one.test", "b@one.test", "c@two.test", "d@one.test")
    outcomes = await one(server, MESSAGE, *names, routes=routes)
    assert [outcome.kind for outcome in outcomes] == [DELIVERED] * 4
    assert [len(received.rcpts) for received in server.received] == [2, 1, 1]


async def test_no_connection_carries_more_messages_than_the_server_wants(sink: Start):  # noqa: F811
    server = await sink(extensions=("PIPELINING", "LIMITS MAILMAX=2 RCPTMAX=1 NEWMAX=x"))
    async with relay(server.port) as transport:
        for n in range(3):
            assert (await transport.attempt(envelope(f"user{n}@there.test"), Octets(MESSAGE)))[0].kind is DELIVERED
        outcomes = await transport.attempt(envelope(*(f"user{n}@there.test" for n in range(5))), Octets(MESSAGE))
    assert {outcome.kind for outcome in outcomes.values()} == {DELIVERED}
    assert [conversation.messages for conversation in server.conversations] == [2, 2, 2, 2]


async def test_a_connection_lost_in_the_middle_sends_nothing_twice(sink: Start):  # noqa: F811
    def script(conversation: Conversation, command: bytes) -> Answer:
        return None if command.startswith(b"MAIL") and conversation.messages == 1 else ""

    server = await sink(extensions=("PIPELINING", "LIMITS RCPTMAX=1"), script=script)
    outcomes = await one(server, MESSAGE, "a@there.test", "b@there.test")
    assert [outcome.kind for outcome in outcomes] == [DELIVERED, DEFERRED]
    assert [received.rcpts for received in server.received] == [[b"RCPT TO:<a@there.test>"]]
