"""BURL (RFC 4468): a message that is submitted is read from the sender's own mailbox. Real mailboxes, sessions and keys."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from postillon.model.account import Principal
from postillon.net.listener import bind, serve
from postillon.net.stream import connect
from postillon.protocols.smtp.server import SmtpLimits
from postillon.servers.imap.urlauth import UrlAuthority
from postillon.servers.smtp.service import SmtpSettings
from postillon.servers.smtp.submission import SubmissionServer
from tests.servers.smtp.house import Office, Peer

from .house import PASSWORD, SIMPLE, House

LOGIN = "AUTH PLAIN " + base64.b64encode(f"\0alice@example.test\0{PASSWORD}".encode()).decode()


@asynccontextmanager
async def submission(house: House, *, size: int = 1 << 20, login: bool = True) -> AsyncIterator[tuple[Peer, Office]]:
    office = Office()
    server = SubmissionServer(
        path=office,
        spool=office.spool,
        clock=house.clock,
        session_id=lambda: "s",
        directory=house.directory,
        bus=house.bus,
        settings=SmtpSettings("localhost", SmtpLimits(size=size), plaintext_login_allowed=True),
        urls=UrlAuthority(house.store, house.directory, house.clock, "localhost"),
    )
    listener = await serve(bind("127.0.0.1", 0), server.session, tls=None)
    peer = Peer(await connect("127.0.0.1", listener.port, timeout_s=5))
    await peer.reply()
    await peer.ask("EHLO client.example")
    if login:
        assert (await peer.ask(LOGIN)).startswith("235")
    yield peer, office
    await listener.close(0)


async def signed(house: House, path: str, who: str = "submit+alice%40example.test", name: str = "alice") -> str:
    client = await house.client(login=False)
    await client.ok(f'LOGIN {name}@example.test "{PASSWORD}"')
    (line,) = await client.ok(f'GENURLAUTH "imap://{name}%40example.test@localhost{path};urlauth={who}" INTERNAL')
    return line.decode().partition('"')[2].removesuffix('"')


async def begin(peer: Peer) -> None:
    assert (await peer.ask("MAIL FROM:<alice@example.test>", "RCPT TO:<b@example.net>")).startswith("250")


async def test_a_draft_is_sent_by_its_url(house: House):
    await house.put(SIMPLE)
    url = await signed(house, "/INBOX/;uid=1")
    async with submission(house) as (peer, office):
        await begin(peer)
        assert (await peer.ask(f"BURL {url} LAST")).startswith("250 2.0.0 Ok")
        assert [incoming.body.data for incoming in office.messages] == [SIMPLE]
        await begin(peer)  # the next transaction


async def test_pieces_and_urls_make_a_message_together(house: House):
    await house.put(b"Subject: x\r\n\r\n" + b"line\r\n" * 50_000)
    url = await signed(house, "/INBOX/;uid=1/;section=TEXT")
    async with submission(house) as (peer, office):
        await begin(peer)
        await peer.send(b"BDAT 14\r\nSubject: new\r\n")
        assert (await peer.reply()).startswith("250")
        await peer.send(f"BURL {url}\r\n".encode())
        assert (await peer.reply()) == "250 2.6.0 300000 octets read"
        await peer.send(f"BDAT 6\r\nend.\r\nBURL {url} LAST\r\n".encode())
        assert [reply[:3] for reply in await peer.replies(2)] == ["250", "250"]
        (incoming,) = office.messages
        assert incoming.body.data == b"Subject: new\r\n" + b"line\r\n" * 50_000 + b"end.\r\n" + b"line\r\n" * 50_000


@pytest.mark.parametrize(
    "kind", ["unsigned", "other", "forged", "expired", "elsewhere", "gone", "for others", "nonsense", "scheme"]
)
async def test_only_ones_own_signed_urls_are_opened(house: House, kind: str):
    await house.put(SIMPLE)
    url = await signed(house, "/INBOX/;uid=1;expire=2027-01-15T08:30:00Z")
    if kind == "unsigned":
        url = "imap://alice%40example.test@localhost/INBOX/;uid=1"
    elif kind == "other":
        url = await signed(house, "/INBOX/;uid=1", "anonymous", "bob")
    elif kind == "forged":
        url = url[:-2] + ("00" if url[-2:] != "00" else "11")
    elif kind == "expired":
        house.clock.at += 3600
    elif kind == "elsewhere":
        url = url.replace("localhost", "mail.example")
    elif kind == "gone":
        await house.store.remove(Principal(house.alice.id), house.alice.id, (await house.mailbox()).id, [1])
    elif kind == "for others":
        url = await signed(house, "/INBOX/;uid=1", "submit+bob%40example.test")
    elif kind == "nonsense":
        url = "imap:x"
    else:
        url = "http://localhost/secret"
    async with submission(house) as (peer, office):
        await begin(peer)
        assert await peer.ask(f"BURL {url} LAST") == "554 5.6.6 The URL cannot be opened"
        assert (await peer.ask(f"BURL {url} LAST")).startswith("503")  # RFC 4468 §3.3: only RSET helps
        assert (await peer.ask("RSET")).startswith("250")
        await begin(peer)
        assert not office.messages and office.open_spools == 0


async def test_a_url_to_too_much_is_refused(house: House):
    await house.put(SIMPLE + b"x\r\n" * 30_000)
    url = await signed(house, "/INBOX/;uid=1")
    async with submission(house, size=50_000) as (peer, office):
        await begin(peer)
        assert (await peer.ask(f"BURL {url} LAST")).startswith("552 5.3.4")
        assert not office.messages


async def test_the_order_of_commands(house: House):
    async with submission(house, login=False) as (peer, _):
        assert "250-BURL\r\n" in await peer.ask("EHLO client.example") + "\r\n"
        assert (await peer.ask("BURL imap://a@localhost/x/;uid=1 LAST")).startswith("503")
        assert (await peer.ask(LOGIN)).startswith("235")
        assert "BURL imap imap://localhost\r\n" in await peer.ask("EHLO client.example")
        assert (await peer.ask("MAIL FROM:<alice@example.test>", "BURL imap://a@localhost/x/;uid=1 LAST")).startswith("503")
        assert (await peer.ask("RCPT TO:<b@example.net>", "BURL LAST")).startswith("501")
        assert (await peer.ask("BURL")).startswith("501")
