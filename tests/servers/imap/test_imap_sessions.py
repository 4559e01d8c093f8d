"""What dialogues cannot show well: limits, sizes, several workers, cost."""

from __future__ import annotations

import asyncio
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from postillon.message.octets import Octets
from postillon.message.prepare import prepare
from postillon.model.account import SERVER
from postillon.model.ids import BlobId
from postillon.model.plan import File, Plan
from postillon.net.listener import bind, serve
from postillon.servers.imap.service import ImapServer, ImapSettings
from postillon.storage.ids import IdSource
from postillon.storage.spool import body_of

from .house import PASSWORD, SIMPLE, House, open_house
from .letters import MULTIPART


async def test_without_tls_nobody_logs_in_unless_allowed(tmp_path: Path):
    async with open_house(tmp_path, ImapSettings()) as house:
        client = await house.client(login=False)
        assert "LOGINDISABLED" in client.greeting
        assert "AUTH=" not in client.greeting
        assert (await client.no(f'LOGIN alice@example.test "{PASSWORD}"')).startswith(b"NO [PRIVACYREQUIRED]")
        assert (await client.no("AUTHENTICATE PLAIN")).startswith(b"NO [PRIVACYREQUIRED]")
        await client.ok("STARTTLS")
        await client.start_tls(house.ca)
        await client.ok(f'LOGIN alice@example.test "{PASSWORD}"')


async def test_silence_before_login_ends_the_connection(tmp_path: Path):
    async with open_house(tmp_path, ImapSettings(login_timeout_s=0.05)) as house:
        client = await house.client(login=False)
        assert (await client.response()).startswith(b"* BYE")
        assert await client.response() == b""


async def test_a_full_account_is_told_before_it_sends(house: House):
    await house.directory.set_quota("alice@example.test", 1000)
    client = await house.client()
    assert (await client.append(SIMPLE)).startswith(b"OK")
    assert (await client.no("APPEND INBOX {2000}")).startswith(b"NO [OVERQUOTA]")
    await client.ok("SELECT INBOX")
    for _ in range(7):
        await client.ok("COPY 1 INBOX")
    assert (await client.no("COPY 1 INBOX")).startswith(b"NO [OVERQUOTA]")
    await client.ok("MOVE 1 Archive")
    await client.ok("STORE 1:* +FLAGS.SILENT (\\Deleted)")
    await client.ok("EXPUNGE")
    assert (await client.append(SIMPLE)).startswith(b"OK")


async def test_a_large_message_passes_in_pieces(house: House):
    lines = b"".join(b"line %d of a message that is larger than any buffer\r\n" % n for n in range(60_000))
    message = b"Subject: large\r\nContent-Type: text/plain\r\n\r\n" + lines
    client = await house.client(select="INBOX")
    assert (await client.append(message)).startswith(b"OK")
    fetched = (await client.ok("FETCH 1 (UID RFC822.SIZE BODY.PEEK[] FLAGS)"))[-1]
    assert fetched == b"* 1 FETCH (UID 1 RFC822.SIZE %d BODY[] {%d}\r\n%b FLAGS ())" % (len(message), len(message), message)
    part = (await client.ok("FETCH 1 BODY[TEXT]<1000000.2000000>"))[-1]
    assert lines[1_000_000:3_000_000] in part
    assert part.endswith(b" FLAGS (\\Seen))")
    assert (await client.ok('SEARCH BODY "line 59999 of"')) == [b"* SEARCH 1"]


async def test_a_message_that_breaks_off_ends_the_connection_and_not_the_literal(house: House):
    text = b"".join(b"line %d of many\r\n" % n for n in range(200_000))
    await house.put(b"Subject: large\r\n\r\n" + text)
    (blob,) = [path for path in house.tmp.glob("blobs/**/*") if path.is_file()]
    os.truncate(blob, 2_000_000)
    client = await house.client(select="INBOX")
    assert (await client.no("FETCH 1 BINARY.PEEK[1]")).startswith(b"NO [CORRUPTION]")  # its size could not be told
    client.send("f1 FETCH 1 BODY.PEEK[TEXT]\r\n")
    assert await client.reader.readline() == b"* 1 FETCH (BODY[TEXT] {%d}\r\n" % len(text)
    async with asyncio.timeout(10):
        rest = await client.reader.read()
    # A tagged NO would be taken for octets of the message.
    assert len(rest) > 1_000_000 and text.startswith(rest)


async def test_two_messages_of_which_one_is_large_keep_their_order(house: House):
    big = b"Subject: big\r\n\r\n" + b"x" * 70 + b"\r\n" * 600_000
    await house.put(SIMPLE, big, SIMPLE)
    client = await house.client(select="INBOX")
    responses = await client.ok("UID FETCH 1:* (BODY.PEEK[])")
    assert [int(re.search(rb"UID (\d+)", r)[1]) for r in responses] == [1, 2, 3]  # type: ignore[index]
    assert big in responses[1]


async def test_changes_on_another_worker_are_seen_without_the_bus(house: House):
    """The other worker has its own memory, and no wake passes between them."""
    other = ImapServer(
        store=house.store,
        directory=house.directory,
        bus=type(house.bus)(),
        clock=house.clock,
        session_id=IdSource.session,
        settings=house.server.settings,
    )
    listener = await serve(bind("127.0.0.1", 0), other.session)
    here, there = await house.client(select="INBOX"), await house.client(select="INBOX", port=listener.port)
    await here.append(SIMPLE)
    assert await there.ok("NOOP") == [b"* 1 EXISTS"]
    await there.ok("STORE 1 +FLAGS ($New)")
    assert (await here.ok("NOOP"))[-1] == b"* 1 FETCH (UID 1 FLAGS ($New))"
    await there.ok("STORE 1 +FLAGS (\\Deleted)")
    await there.ok("EXPUNGE")
    assert b"* 1 EXPUNGE" in await here.ok("NOOP")
    await listener.close(0)


async def test_idle_looks_by_itself_when_a_wake_was_lost(tmp_path: Path):
    settings = ImapSettings(plaintext_on_loopback=True, poll_s=0.05)
    async with open_house(tmp_path, settings) as house:
        house.bus.publish = lambda topics: None  # type: ignore[method-assign]
        client = await house.client(select="INBOX")
        client.send(b"i IDLE\r\n")
        await client.response()
        await house.put(SIMPLE)
        assert await client.response() == b"* 1 EXISTS"


async def test_a_session_that_reads_nothing_holds_up_nobody(house: House):
    await house.put(*[b"Subject: m\r\n\r\n" + b"x" * 60_000 + b"\r\n" for _ in range(200)])
    deaf, client = await house.client(select="INBOX"), await house.client(select="INBOX")
    deaf.send(b"f FETCH 1:* BODY.PEEK[]\r\n" * 20)
    for _ in range(50):
        async with asyncio.timeout(1):
            await client.ok("NOOP")


async def test_a_bug_in_a_command_leaves_the_session_usable(house: House, monkeypatch: pytest.MonkeyPatch):
    async def broken(*_: object) -> None:
        raise ZeroDivisionError

    client = await house.client(select="INBOX")
    monkeypatch.setattr(house.store, "find_mailbox", broken)
    assert await client.no("STATUS INBOX (MESSAGES)") == b"NO [SERVERBUG] Internal error"
    monkeypatch.undo()
    await client.ok("STATUS INBOX (MESSAGES)")


async def test_nothing_of_another_account_is_seen(house: House):
    await house.put(SIMPLE)
    alice, bob = await house.client(), await house.client(login=False)
    await bob.ok(f'LOGIN bob@example.test "{PASSWORD}"')
    await alice.ok("CREATE Secret")
    assert not any(b"Secret" in line for line in await bob.ok('LIST "" *'))
    assert (await bob.no("SELECT Secret")).startswith(b"NO [NONEXISTENT]")
    assert b"* 0 EXISTS" in await bob.ok("SELECT INBOX")


async def test_many_messages_are_changed_in_slices(house: House):
    await house.put(*[SIMPLE] * 1200)
    await house.put(*[SIMPLE] * 1200)
    client = await house.client(select="INBOX")
    assert len(await client.ok("STORE 1:* +FLAGS (\\Flagged)")) == 2400
    assert len(await client.ok("FETCH 1:* (FLAGS RFC822.SIZE ENVELOPE)")) == 2400
    assert await client.ok("SEARCH UNFLAGGED") == [b"* SEARCH"]
    await client.ok("STORE 1:2399 +FLAGS.SILENT (\\Deleted)")
    assert len(await client.ok("EXPUNGE")) == 2399
    assert await client.ok("UID SEARCH ALL") == [b"* SEARCH 2400"]


async def test_a_compacted_snapshot_serves_new_sessions_beside_old_ones(house: House):
    await house.put(*[SIMPLE] * 1500)
    old = await house.client(select="INBOX")
    await old.ok("STORE 1:1400 +FLAGS.SILENT (\\Deleted)")
    await old.ok("EXPUNGE")
    new = await house.client(select="INBOX")
    await new.ok("STORE 100 +FLAGS (\\Flagged)")
    assert await old.ok("NOOP") == [b"* 100 FETCH (UID 1500 FLAGS (\\Flagged))"]
    for client in (old, new):
        assert await client.ok("UID SEARCH 100") == [b"* SEARCH 1500"]


async def test_memory_of_mailboxes_is_bounded(house: House):
    house.server.snapshots._limit = 1
    await house.put(*[SIMPLE] * 10)
    first = await house.client(select="INBOX")
    second = await house.client(select="Archive")
    assert len(house.server.snapshots._loaded) == 2
    await first.ok("UNSELECT")
    await second.ok("EXAMINE Sent")
    assert len(house.server.snapshots._loaded) == 1
    await first.ok("SELECT INBOX")


async def test_dates_of_append_are_kept(house: House):
    client = await house.client(select="INBOX")
    await client.append(SIMPLE, extra='"31-Dec-1999 23:59:59 -1130" ')
    await client.append(SIMPLE)
    dates = await client.ok("FETCH 1:2 INTERNALDATE")
    assert dates[-2:] == [
        b'* 1 FETCH (INTERNALDATE "31-Dec-1999 23:59:59 -1130")',
        b'* 2 FETCH (INTERNALDATE "15-Jan-2027 08:00:00 +0000")',
    ]
    assert await client.ok("SEARCH ON 31-Dec-1999") == [b"* SEARCH 1"]


async def test_status_is_what_the_store_has(house: House):
    client = await house.client()
    await house.put(SIMPLE, SIMPLE)
    box = await house.mailbox()
    assert replace(box, total=2) == await house.store.mailbox(SERVER, house.alice.id, box.id)
    assert await client.ok("STATUS INBOX (MESSAGES SIZE)") == [b"* STATUS INBOX (MESSAGES 2 SIZE %d)" % (2 * len(SIMPLE))]


async def test_fields_put_in_front_on_arrival_are_part_of_the_message(house: House):
    """What we add lies in the recipe, not in the body that was received; every offset behind it moves."""
    prefix = b"Return-Path: <ann@example.org>\r\nReceived: from x by y; Fri, 15 Jan 2027 08:00:00 +0000\r\n"
    body = body_of(BlobId(house.store.new_ids(1)[0]), MULTIPART)
    rope = Octets.whole(len(MULTIPART)).with_prefix(prefix)
    filing = File(house.alice.id, rope.encode(), rope.size)
    await house.store.commit(Plan(body, prepare(prefix + MULTIPART, len(MULTIPART)), house.clock.now(), items=(filing,)))
    client = await house.client(select="INBOX")
    whole = prefix + MULTIPART
    assert await client.ok("FETCH 1 (RFC822.SIZE BODY.PEEK[])") == [
        b"* 1 FETCH (RFC822.SIZE %d BODY[] {%d}\r\n%b)" % (len(whole), len(whole), whole)
    ]
    (parts,) = await client.ok("FETCH 1 (BODY.PEEK[HEADER] BODY.PEEK[1] BODY.PEEK[3.2] BODY.PEEK[3.HEADER]<0.11> BINARY.PEEK[2])")
    head, _, rest = whole.partition(b"\r\n\r\n")
    assert b"BODY[HEADER] {%d}\r\n%b\r\n\r\n BODY[1] " % (len(head) + 4, head) in parts
    assert b"BODY[1] {27}\r\nSch=C3=B6ne Gr=C3=BC=C3=9Fe BODY[3.2] {29}\r\n<p>html <b>inner</b> text</p> " in parts
    assert b"BODY[3.HEADER]<0> {11}\r\nFrom: inner BINARY[2] ~{6}\r\n\x00\x01\x02\x03\x04\x05)" in parts
    assert (await client.ok("FETCH 1 BODY.PEEK[TEXT]"))[0].endswith(b"}\r\n" + rest + b")")
    assert await client.ok("SEARCH HEADER Return-Path ann@ BODY plain TEXT received") == [b"* SEARCH 1"]


"""Capability (AUTH for all mechanisms) -> the dialogue that shows it."""
