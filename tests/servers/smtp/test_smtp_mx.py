"""MX sessions over loopback: what the mail path says, limits, TLS, stopping."""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import replace

import pytest

from postillon.bus.local import LocalBus
from postillon.model import errors
from postillon.model.address import Address
from postillon.model.envelope import Notify
from postillon.net.networks import LOOPBACK, Networks
from postillon.net.tls import ServerTls, client_context
from postillon.protocols.smtp.offers import Offers
from postillon.protocols.smtp.server import SmtpLimits
from postillon.servers.smtp.patience import Patience, PatienceSettings
from postillon.servers.smtp.service import SmtpSettings, reply_to
from tests.protocols.smtp.dialogue import Dialogue, agrees, dialogues

from .house import HOSTNAME, Peer, lmtp, mx, submission

BEGIN = ("MAIL FROM:<a@client.example>", "RCPT TO:<b@example.org>")


def quick(**patience: float) -> SmtpSettings:
    return SmtpSettings(HOSTNAME, patience=PatienceSettings(**{"slow_down_s": 0, **patience}))  # type: ignore[arg-type]


async def take(peer: Peer, content: str = "Subject: x\r\n\r\nx") -> str:
    """The answer to a message."""
    assert (await peer.ask(*BEGIN, "DATA")).startswith("354")
    return (await peer.ask(f"{content}\r\n.")).strip()


@pytest.mark.parametrize("dialogue", dialogues(), ids=lambda each: each.name)
async def test_dialogue(dialogue: Dialogue, tls: ServerTls) -> None:
    if "burl" in dialogue.settings:
        return  # needs mailboxes: tests/servers/imap/test_burl.py
    patience = PatienceSettings(slow_down_s=0)
    trusted = Networks(LOOPBACK if "trusted" in dialogue.settings else ())
    settings = SmtpSettings(
        HOSTNAME,
        limits=dialogue.limits,
        patience=patience,
        plaintext_login_allowed=True,
        offers=replace(dialogue.offers, xclient=False, etrn=False),
        xclient=trusted,
        etrn=trusted,
    )
    if "lmtp" in dialogue.settings:
        serving = lmtp(tls, settings)
    else:
        serving = submission(LocalBus(), tls, settings) if "submission" in dialogue.settings else mx(tls, settings)
    async with serving as house:
        peer = await house.visit(greeted=False)
        assert agrees((await peer.reply()).encode() + b"\r\n", dialogue.greeting)
        for segment, patterns, closes in dialogue.turns:
            await peer.send(segment)
            lines = "".join([line + "\r\n" for reply in range(_replies(patterns)) for line in [await peer.reply()]])
            assert agrees(lines.encode(), patterns), (segment, lines)
            if closes:
                assert await peer.rest() == b""
        assert [incoming.body.data for incoming in house.office.messages] == dialogue.messages
        assert house.office.open_spools == 0 or not dialogue.turns[-1][2]


def _replies(patterns: list[str]) -> int:
    return sum(pattern[3:4] != "-" for pattern in patterns)


async def test_the_mail_path_sees_all_that_was_said() -> None:
    async with mx() as house:
        peer = await house.visit()
        await peer.ask("EHLO client.example")
        await peer.ask(
            "MAIL FROM:<a@client.example> SIZE=9 BODY=8BITMIME RET=HDRS ENVID=id",
            "RCPT TO:<b@example.org> NOTIFY=NEVER ORCPT=rfc822;c@example.org",
            "RCPT TO:<unknown@example.org>",
            "RCPT TO:<Postmaster>",
            "RCPT TO:<b@example.org> NOTIFY=NEVER ORCPT=rfc822;c@example.org",
            "DATA",
        )
        assert (await peer.ask("hello\r\n.")) == "250 2.0.0 Ok: b10b"
        (incoming,) = house.office.messages
        assert incoming.client.hello == "client.example" and incoming.client.esmtp and incoming.client.tls is None
        assert (incoming.client.address, incoming.client.session) == ("127.0.0.1", "session1")
        assert incoming.client.local_port == house.listener.port
        envelope = incoming.envelope
        assert (envelope.sender, envelope.size, envelope.body) == (Address("a", "client.example"), 9, "8BITMIME")
        assert (envelope.ret, envelope.envid) == ("HDRS", "id")
        assert [str(each.address) for each in envelope.recipients] == ["b@example.org", "postmaster@example.org"]
        assert envelope.recipients[0].notify == {Notify.NEVER} and envelope.recipients[0].original == "rfc822;c@example.org"
        assert [each.recipient for each in incoming.accepted] == list(envelope.recipients)
        assert (incoming.body.data, incoming.at) == (b"hello\r\n", 1_700_000_000)
        assert len(house.office.asked) == 3, "a recipient given twice is asked for once"


async def test_refusals_of_the_mail_path_are_told_with_code_and_status() -> None:
    async with mx() as house:
        peer = await house.visit()
        await peer.ask("EHLO client.example")
        assert await peer.ask("MAIL FROM:<nobody@client.example>") == "550 5.7.1 Not your address"
        await peer.ask("MAIL FROM:<>")
        assert await peer.ask("RCPT TO:<unknown@example.org>") == "550 5.1.1 No such address here"
        assert await peer.ask("RCPT TO:<full@example.org>") == "452 4.2.2 Mailbox is full"
        await peer.ask("RSET")
        assert await take(peer, "virus") == "550 5.7.1 We do not like it"
        assert await take(peer, "later") == "451 4.3.0 Database is busy"
        assert (await take(peer)).startswith("250 2.0.0 Ok: ")
        assert house.office.open_spools == 0


async def test_a_bug_is_answered_and_the_connection_lives() -> None:
    async with mx() as house:
        peer = await house.visit()
        await peer.ask("EHLO client.example")
        broken = "451 4.3.0 Internal error; try again later"
        assert await peer.ask("MAIL FROM:<bug@client.example>") == broken
        await peer.ask("MAIL FROM:<a@client.example>")
        assert await peer.ask("RCPT TO:<bug@example.org>") == broken
        await peer.ask("RSET")
        assert await take(peer, "bug") == broken
        assert (await take(peer)).startswith("250 2.0.0 Ok: ")


@pytest.mark.parametrize("bdat", [False, True])
async def test_a_full_disk_is_told_and_nothing_is_left(bdat: bool) -> None:
    async with mx() as house:
        peer = await house.visit()
        await peer.ask("EHLO client.example")
        house.office.disk_is_full = True
        if bdat:
            await peer.ask(*BEGIN)
            await peer.send(b"BDAT 3\r\nx\r\nBDAT 2 LAST\r\ny\n")
            assert (await peer.replies(2)) == [
                "452 4.3.1 Not enough disk space; try again later",
                "503 5.5.1 An earlier BDAT failed; send RSET",
            ]
            assert (await peer.ask("RSET")).startswith("250")
        else:
            assert await take(peer) == "452 4.3.1 Not enough disk space; try again later"
        house.office.disk_is_full = False
        assert (await take(peer)).startswith("250 2.0.0 Ok: ")
        assert house.office.open_spools == 0


async def test_an_answer_counts_as_heard_once_the_client_goes_on() -> None:
    async with mx() as house:
        peer = await house.visit()
        await peer.ask("EHLO client.example")
        await take(peer)
        assert house.office.confirmed == []
        await peer.ask("NOOP")
        assert house.office.confirmed == house.office.messages
        await take(peer)
        assert len(house.office.messages) == 2 and len(house.office.confirmed) == 1


async def test_an_answer_is_lost_when_the_connection_breaks() -> None:
    def talk(port: int) -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as peer:
            replies = peer.makefile("rb")
            for line in ("HELO client.example", *BEGIN, "DATA", "Subject: x\r\n\r\n."):
                replies.readline()
                peer.sendall(line.encode() + b"\r\n")
            replies.readline()
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset instead of an end

    async with mx() as house:
        await asyncio.to_thread(talk, house.listener.port)
        await house.left.wait()
        assert house.office.lost == house.office.messages
        assert len(house.office.messages) == 1
        assert house.office.confirmed == []


async def test_an_answer_counts_as_heard_when_the_client_closes_after_it_came() -> None:
    """Without QUIT, as many programs do."""
    async with mx() as house:
        peer = await house.visit()
        await peer.ask("EHLO client.example")
        await take(peer)
        await peer.stream.close()
        await house.left.wait()
        assert house.office.confirmed == house.office.messages
        assert house.office.lost == []


async def test_an_answer_is_lost_when_the_client_closed_before_it_came() -> None:
    async with mx() as house:
        peer = await house.visit()
        await peer.ask("EHLO client.example")
        assert (await peer.ask(*BEGIN, "DATA")).startswith("354")
        await peer.send(b"x\r\n.\r\n")
        peer.stream.finish()
        await house.left.wait()
        assert house.office.lost == house.office.messages
        assert house.office.confirmed == []


async def test_what_is_pipelined_behind_a_message_does_not_mean_that_its_answer_was_heard() -> None:
    async with mx() as house:
        peer = await house.visit()
        await peer.ask("EHLO client.example")
        assert (await peer.ask(*BEGIN, "DATA")).startswith("354")
        await peer.send(b"x\r\n.\r\nNOOP\r\nNOOP\r\n")
        await peer.replies(3)
        assert house.office.confirmed == []


async def test_replies_to_a_segment_go_out_together() -> None:
    async with mx() as house:
        peer = await house.visit()
        await peer.ask("EHLO client.example")
        await peer.send(("\r\n".join([*BEGIN * 1, *["RCPT TO:<c@example.org>"] * 50, "DATA"]) + "\r\n").encode())
        together = await peer.stream.receive(None, 5)
        assert together is not None and together.count(b"\r\n") == 53


async def test_a_dropped_connection_leaves_nothing_behind() -> None:
    async with mx() as house:
        peer = await house.visit()
        await peer.ask("EHLO client.example")
        await peer.ask(*BEGIN, "DATA")
        await peer.send(b"half a mess")
        peer.stream.abort()
        await house.left.wait()
        assert house.office.open_spools == 0 and house.office.messages == []


# Too early


async def test_who_speaks_with_the_connection_is_sent_away() -> None:
    async with mx() as house:
        with socket.create_connection(("127.0.0.1", house.listener.port)) as early:
            early.sendall(b"EHLO client.example\r\n")
            early.setblocking(False)
            answer = await asyncio.get_running_loop().sock_recv(early, 1000)
            assert answer == b"554 5.5.0 Commands sent before their time\r\n"


async def test_the_trusted_do_not_wait_for_the_greeting() -> None:
    async with mx(settings=SmtpSettings(HOSTNAME, greet_delay_s=300, trusted=Networks(["127.0.0.1"]))) as house:
        await house.visit()


async def test_who_waits_while_the_server_stops_hears_goodbye_at_once() -> None:
    async with mx(settings=SmtpSettings(HOSTNAME, greet_delay_s=300)) as house:
        peer = await house.visit(greeted=False)
        while house.listener.sessions == 0:  # noqa: ASYNC110
            await asyncio.sleep(0)
        closing = asyncio.create_task(house.listener.close(5))
        assert b"421 4.3.2" in await peer.rest()
        await closing


def test_answers_come_later_with_each_error_up_to_a_bound() -> None:
    patience = Patience(PatienceSettings(soft_errors=3, slow_down_s=1, slowest_s=8))
    found = []
    for _ in range(9):
        patience.errors += 1
        found.append(patience.delay)
    assert found == [0, 0, 1, 2, 4, 8, 8, 8, 8]


async def test_who_hangs_up_while_answers_are_late_holds_nothing() -> None:
    async with mx(settings=quick(soft_errors=1, slow_down_s=600, slowest_s=600)) as house:
        peer = await house.visit()
        await peer.send(b"NONSENSE\r\n")
        peer.stream.abort()
        await asyncio.wait_for(house.left.wait(), 5)


async def test_who_speaks_within_the_delay_is_sent_away() -> None:
    async with mx(settings=SmtpSettings(HOSTNAME, greet_delay_s=5)) as house:
        peer = await house.visit(greeted=False)
        await peer.send(b"EHLO client.example\r\n")
        assert await peer.rest() == b"554 5.5.0 Commands sent before their time\r\n"


async def test_who_waits_is_greeted() -> None:
    async with mx(settings=SmtpSettings(HOSTNAME, greet_delay_s=0.01)) as house:
        peer = await house.visit()
        assert (await peer.ask("NOOP")).startswith("250")


# TLS


async def test_starttls_begins_anew(tls: ServerTls) -> None:
    async with mx(tls) as house:
        peer = await house.visit()
        assert "STARTTLS" in await peer.ask("EHLO before.example")
        await peer.start_tls()
        assert (await peer.ask("MAIL FROM:<a@client.example>")).startswith("503 5.5.1")
        assert "STARTTLS" not in await peer.ask("EHLO after.example")
        assert (await peer.ask("STARTTLS")).startswith("502 5.5.1")
        await take(peer)
        client = house.office.messages[0].client
        assert client.hello == "after.example" and client.tls is not None and client.tls.version == "TLSv1.3"


@pytest.mark.parametrize("count", [1, 100, 4096])
async def test_plaintext_behind_starttls_is_never_heard(tls: ServerTls, count: int) -> None:
    async with mx(tls) as house:
        peer = await house.visit()
        await peer.ask("EHLO client.example")
        await peer.send(b"STARTTLS\r\n" + (b"RSET\r\nMAIL FROM:<evil@client.example>\r\n" * 200)[:count])
        assert await peer.rest() == b"554 5.5.0 Commands sent before their time\r\n"


async def test_plaintext_after_the_go_ahead_breaks_the_handshake(tls: ServerTls) -> None:
    async with mx(tls) as house:
        peer = await house.visit()
        await peer.ask("EHLO client.example")
        assert (await peer.ask("STARTTLS")).startswith("220")
        await peer.send(b"MAIL FROM:<evil@client.example>\r\nRCPT TO:<b@example.org>\r\n")
        assert b"250" not in await peer.rest()
        assert house.office.asked == []


async def test_implicit_tls_offers_no_starttls(tls: ServerTls) -> None:
    async with submission(LocalBus(), tls, implicit=True) as house:
        peer = await house.visit(greeted=False)
        await peer.stream.start_tls(client_context(verify=False), server_side=False)
        assert (await peer.reply()).startswith("220 ")
        offered = await peer.ask("EHLO client.example")
        assert "STARTTLS" not in offered and "AUTH " in offered


# Limits


async def test_too_many_errors_end_the_connection() -> None:
    async with mx(settings=quick()) as house:
        peer = await house.visit()
        for _ in range(19):
            assert (await peer.ask("FROB")).startswith("500 5.5.1")
        await peer.send(b"FROB\r\nNOOP\r\n")
        assert await peer.rest() == b"421 4.7.0 Too many errors; closing\r\n"


async def test_a_message_forgives_errors() -> None:
    async with mx(settings=quick(hard_errors=3)) as house:
        peer = await house.visit()
        await peer.ask("EHLO client.example")
        for _ in range(3):
            await peer.ask("FROB", "FROB")
            assert (await take(peer)).startswith("250")
        await peer.ask(
            "MAIL FROM:<>", "RCPT TO:<unknown@example.org>", "RCPT TO:<full@example.org>", "RCPT TO:<full@example.org>"
        )
        await peer.ask("RCPT TO:<unknown@example.org>")
        await peer.send(b"RCPT TO:<unknown@example.org>\r\n")
        assert (await peer.rest()).startswith(b"421 4.7.0")


async def test_too_many_idle_commands_end_the_connection() -> None:
    async with mx(settings=quick(junk_commands=10, hard_errors=3)) as house:
        peer = await house.visit()
        assert (await peer.ask(*["NOOP", "RSET", "EHLO x"][:2] * 6)).startswith("250")
        await peer.send(b"VRFY x\r\n")
        assert (await peer.rest()).startswith(b"421 4.7.0")


async def test_errors_slow_the_answers_down() -> None:
    async with mx(settings=quick(soft_errors=2, slow_down_s=0.05)) as house:
        peer, loop = await house.visit(), asyncio.get_running_loop()
        await peer.ask("FROB")
        began = loop.time()
        await peer.ask("FROB")
        await peer.ask("NOOP")
        assert loop.time() - began >= 0.09


async def test_silence_ends_with_421() -> None:
    async with mx(settings=quick(command_timeout_s=0.05)) as house:
        peer = await house.visit()
        assert await peer.rest() == b"421 4.4.2 Waited too long; closing\r\n"


async def test_a_command_octet_by_octet_has_no_more_time() -> None:
    async with mx(settings=quick(command_timeout_s=0.2)) as house:
        peer, octets = await house.visit(), 0
        loop = asyncio.get_running_loop()
        began = loop.time()
        while house.listener.sessions and loop.time() - began < 5:
            await peer.send(b"N")
            octets += 1
            try:
                await peer.stream.receive(None, 0.03)
                break
            except TimeoutError:
                continue
        assert octets > 3 and loop.time() - began < 2


async def test_a_message_that_only_trickles_ends_with_421() -> None:
    async with mx(settings=quick(data_rate_after_s=0.1, data_rate=10_000)) as house:
        peer = await house.visit()
        await peer.ask("EHLO client.example")
        await peer.ask(*BEGIN, "DATA")
        await peer.send(b"x" * 1000)
        assert await peer.rest() == b"421 4.4.2 Waited too long; closing\r\n"
        assert house.office.open_spools == 0


async def test_a_transaction_has_an_end() -> None:
    async with mx(settings=quick(transaction_timeout_s=0.1)) as house:
        peer = await house.visit()
        await peer.ask("EHLO client.example")
        await peer.ask(*BEGIN, "DATA")
        assert (await peer.rest()).startswith(b"421 4.4.2")


async def test_a_message_larger_than_one_chunk_comes_whole() -> None:
    async with mx() as house:
        peer = await house.visit()
        await peer.ask("EHLO client.example")
        content = "\r\n".join([".dot", *[f"line {n}" for n in range(60_000)]])
        assert (await take(peer, "." + content)).startswith("250")
        assert house.office.messages[0].body.data == content.encode() + b"\r\n"


async def test_a_too_large_message_is_refused_and_the_next_is_taken() -> None:
    async with mx(settings=SmtpSettings(HOSTNAME, limits=SmtpLimits(size=100_000))) as house:
        peer = await house.visit()
        await peer.ask("EHLO client.example")
        assert await take(peer, "x" * 1_000_000) == "552 5.3.4 Message is too large"
        assert (await take(peer)).startswith("250")
        assert house.office.open_spools == 0


# Stopping


async def test_stopping_says_goodbye_between_commands() -> None:
    async with mx() as house:
        peer = await house.visit()
        await peer.ask("EHLO client.example")
        closing = asyncio.create_task(house.listener.close(5))
        assert await peer.rest() == b"421 4.3.2 Service is stopping; try again\r\n"
        await peer.stream.close()
        await closing


async def test_stopping_lets_a_message_come_to_its_end() -> None:
    async with mx() as house:
        peer = await house.visit()
        await peer.ask("EHLO client.example")
        await peer.ask(*BEGIN, "DATA")
        closing = asyncio.create_task(house.listener.close(5))
        await asyncio.sleep(0)
        await peer.send(b"Subject: last\r\n\r\n")
        await peer.send(b".\r\n")
        assert (await peer.rest()).splitlines() == [b"250 2.0.0 Ok: b10b", b"421 4.3.2 Service is stopping; try again"]
        await peer.stream.close()
        await closing
        assert len(house.office.messages) == 1


# Words and arithmetic


def test_every_refusal_has_its_words_in_smtp() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.Refusal)]
    assert len(kinds) > 10
    for kind in kinds:
        reply = reply_to(kind("No"))
        assert reply.kind in (4, 5) and reply.status.startswith(str(reply.kind)), kind
        assert reply.encode() == f"{reply.code} {reply.status} No\r\n".encode()


def test_patience_with_a_message() -> None:
    patience = Patience(PatienceSettings())
    assert patience.wait(0, True) == 60
    patience.received(1024 * 100)
    assert patience.wait(10, True) == 90
    patience.received(1024 * 10_000)
    assert patience.wait(20, True) == 600
    patience.transaction_begun(0)
    assert patience.wait(3500, True) == 100
    patience.transaction_over()
    assert patience.wait(5000, False) == 300 and patience.wait(5100, False) == 200
    patience.answered()
    assert patience.wait(5200, False) == 300


async def test_strangers_get_no_priority_and_their_solicitations_no_welcome() -> None:
    offers = Offers(priority=True, no_soliciting=("net.example:ADV",))
    async with mx(settings=SmtpSettings(HOSTNAME, offers=offers)) as house:
        peer = await house.visit()
        await peer.ask("EHLO client.example")
        assert (await peer.ask("MAIL FROM:<a@client.example> SOLICIT=org.example:x,NET.example:adv")).startswith("550 5.7.1")
        assert await peer.ask("MAIL FROM:<a@client.example> MT-PRIORITY=3") == "250 2.3.6 Sender ok; 0 is the new priority"
        await peer.ask("RCPT TO:<b@example.org>")
        assert house.office.asked[0][1].priority == 0
        await peer.ask("RSET")
        assert await peer.ask("MAIL FROM:<a@client.example> MT-PRIORITY=-3") == "250 2.1.0 Sender ok"
        await peer.ask("RCPT TO:<b@example.org>")
        assert house.office.asked[1][1].priority == -3
