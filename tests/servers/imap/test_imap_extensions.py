"""What the dialogues of the extensions cannot show: limits, compression, previews of odd messages, atomic changes."""

from __future__ import annotations

import random
import zlib
from dataclasses import replace

import pytest

from postillon.model.account import SERVER, Principal
from postillon.model.errors import NotFound, TooLarge
from postillon.servers.imap.capability import SETTING
from postillon.servers.imap.compression import STEP, BrokenStream, Compression
from postillon.servers.imap.previews import CHARACTERS, shorten
from postillon.servers.imap.session import NOBODY
from postillon.storage.store.metadata import MAX_ENTRIES, MAX_VALUE

from .house import PASSWORD, SIMPLE, Client, House


def deflated(data: bytes) -> bytes:
    coder = zlib.compressobj(9, zlib.DEFLATED, -15)
    return coder.compress(data) + coder.flush(zlib.Z_SYNC_FLUSH)


async def compressed(house: House) -> Client:
    client = await house.client()
    await client.ok("COMPRESS DEFLATE")
    client.deflate()
    return client


# --- COMPRESS ------------------------------------------------------------------------------------------------------


def test_a_bomb_is_inflated_a_step_at_a_time():
    layer = Compression()
    layer.feed(deflated(b"x" * 50_000_000))
    total = 0
    while layer.has_more:
        found = layer.step()
        assert len(found) <= STEP
        total += len(found)
    assert total == 50_000_000


def test_what_comes_in_single_octets_is_inflated_whole():
    layer, rng = Compression(), random.Random(1)
    text = bytes(rng.choices(b"abcdefgh \r\n", k=20_000))
    found = b""
    for octet in deflated(text):
        layer.feed(bytes((octet,)))
        while layer.has_more:
            found += layer.step()
    assert found == text


def test_noise_and_an_end_of_the_stream_are_errors():
    layer = Compression()
    layer.feed(b"\xff\xff\xff\xff not deflated")
    with pytest.raises(BrokenStream):
        layer.step()
    layer, coder = Compression(), zlib.compressobj(9, zlib.DEFLATED, -15)
    layer.feed(coder.compress(b"bye") + coder.flush() + b"plain")
    assert layer.step() == b"bye"
    assert layer.has_more
    assert layer.leave() == b"plain"
    with pytest.raises(BrokenStream):
        layer.step()


async def test_a_compressed_line_without_end_is_refused_and_read_over(house: House):
    client = await compressed(house)
    client.send(b"x" * 30_000_000 + b"\r\n")
    assert (await client.response()).startswith(b"* BAD")
    await client.ok("NOOP")


async def test_long_answers_and_literals_pass_through_compression(house: House):
    text = bytes(random.Random(2).choices(b"abcdefghijklmnop \n", k=700_000)).replace(b"\n", b"\r\n")
    client = await compressed(house)
    await client.append(SIMPLE + text)
    await client.ok("SELECT INBOX")
    (line,) = await client.ok("FETCH 1 BODY.PEEK[]")
    assert line.endswith(SIMPLE + text + b")")
    for _ in range(20):
        await client.ok("NOOP")


async def test_noise_after_compress_is_told_and_closes(house: House):
    client = await house.client()
    await client.ok("COMPRESS DEFLATE")
    client.send(b"a NOOP\r\n\xff\xff\xff\xff")
    client.deflate()
    assert (await client.response()).startswith(b"* BYE")
    assert await client.response() == b""


async def test_plaintext_sent_along_with_compress_is_never_heard(house: House):
    client = await house.client()
    client.send(b"a COMPRESS DEFLATE\r\nb NOOP\r\n")
    assert await client.response() == b""


# --- UNAUTHENTICATE ------------------------------------------------------------------------------------------------


async def test_before_login_nobody_is_somebody_without_rights(house: House):
    assert NOBODY.account is not None
    assert not NOBODY.may(house.alice.id)


async def test_after_unauthenticate_news_of_the_old_account_are_not_told(house: House):
    client = await house.client(select="INBOX")
    await client.ok("UNAUTHENTICATE")
    await house.put(SIMPLE)
    await client.ok(f'LOGIN bob@example.test "{PASSWORD}"')
    assert await client.ok("NOOP") == []
    assert b"* 0 EXISTS" in await client.ok("SELECT INBOX")
    await house.directory.suspend("alice@example.test")
    await client.ok("NOOP")


async def test_compression_ends_with_unauthenticate_also_for_who_sends_ahead(house: House):
    """RFC 8437 §3, §4.1: the next AUTHENTICATE may follow at once, uncompressed."""
    client = await house.client()
    await client.ok("COMPRESS DEFLATE")
    coder, raw = zlib.compressobj(9, zlib.DEFLATED, -15), client.writer
    login = f'n LOGIN bob@example.test "{PASSWORD}"\r\n'.encode()
    raw.write(coder.compress(b"u UNAUTHENTICATE\r\n") + coder.flush() + login)
    inflate = zlib.decompressobj(-15)
    heard = b""
    while b"n OK" not in heard:
        data = await client.reader.read(65536)
        assert data
        heard += inflate.decompress(data) if b"u OK" not in heard and not data.startswith(b"n OK") else data
    assert b"u OK [CAPABILITY" in heard


async def test_unauthenticate_can_be_switched_off(house: House):
    house.server.settings = replace(house.server.settings, hidden=("UNAUTHENTICATE",))
    client = await house.client()
    assert b"UNAUTHENTICATE" not in (await client.ok("CAPABILITY"))[0].split()
    assert (await client.no("UNAUTHENTICATE")).startswith(b"BAD")
    await client.ok("SELECT INBOX")


# --- REPLACE -------------------------------------------------------------------------------------------------------


async def test_replace_frees_what_it_replaces(house: House):
    await house.put(SIMPLE * 10)
    await house.directory.set_quota("alice@example.test", len(SIMPLE) * 12)
    client = await house.client(select="INBOX")
    assert b"OVERQUOTA" in await client.append(SIMPLE * 5)
    *told, tagged = await client.command(f"REPLACE 1 INBOX {{{len(SIMPLE) * 11}}}", SIMPLE * 11 + b"\r\n")
    assert tagged.startswith(b"OK"), tagged
    assert told[1:] == [b"* 1 EXPUNGE", b"* 1 EXISTS"]
    *_, tagged = await client.command(f"REPLACE 1 INBOX {{{len(SIMPLE) * 13}}}", SIMPLE * 13 + b"\r\n")
    assert tagged.startswith(b"NO [OVERQUOTA]")
    assert (await house.mailbox()).total == 1


async def test_replace_of_what_another_expunged_stores_nothing(house: House):
    await house.put(SIMPLE, SIMPLE)
    client = await house.client(select="INBOX")
    client.send(b"r REPLACE 1 Archive {%d}\r\n" % len(SIMPLE))
    assert (await client.response()).startswith(b"+")
    box = await house.mailbox()
    await house.store.remove(SERVER, house.alice.id, box.id, [1])
    client.send(SIMPLE + b"\r\n")
    *told, tagged = await client.until(b"r")
    assert tagged.startswith(b"NO [EXPUNGEISSUED]")
    assert told == [b"* 1 EXPUNGE"]
    assert (await house.mailbox("Archive")).total == 0
    assert (await house.mailbox()).total == 1


# --- UIDBATCHES ----------------------------------------------------------------------------------------------------


async def test_batches_have_the_size_asked_for(house: House):
    await house.put(*[b"Subject: x\r\n\r\n"] * 1203)
    box = await house.mailbox()
    await house.store.remove(SERVER, house.alice.id, box.id, [2, 700, 1203])
    client = await house.client(select="INBOX")
    assert await client.ok("UIDBATCHES 500") == [b'* UIDBATCHES (TAG "t3") 1202:703,702:202,201:1']
    assert await client.ok("UIDBATCHES 500 2:3") == [b'* UIDBATCHES (TAG "t4") 702:202,201:1']
    assert await client.ok("UIDBATCHES 2000") == [b'* UIDBATCHES (TAG "t5") 1202:1']


# --- METADATA ------------------------------------------------------------------------------------------------------


async def test_annotations_have_limits_and_a_failing_change_changes_nothing(house: House):
    client = await house.client()
    big = b"x" * 65_000
    await client.ok("SETMETADATA INBOX (/private/a {65000}", big + b")\r\n")
    assert (await client.ok("GETMETADATA INBOX /private/a"))[0].endswith(big + b")")
    await client.ok("SETMETADATA INBOX (/private/a NIL)")
    boxes = [await house.mailbox(name) for name in ("INBOX", "Archive")]
    store, alice = house.store, house.alice.id
    many = [(f"/private/{at}", b"") for at in range(MAX_ENTRIES)]
    await store.set_metadata(SERVER, alice, boxes[0].id, many)
    assert (await client.no('SETMETADATA Archive (/private/0 NIL /private/one "1")')).startswith(b"NO [METADATA TOOMANY]")
    assert await client.ok("GETMETADATA Archive /private/one") == [b"* METADATA Archive (/private/one NIL)"]
    await client.ok('SETMETADATA INBOX (/private/0 NIL /private/other "1")')
    with pytest.raises(TooLarge):
        await store.set_metadata(SERVER, alice, boxes[1].id, [("/private/0", b"x" * (MAX_VALUE + 1))])


async def test_annotations_are_their_owners_and_go_with_the_mailbox(house: House):
    box = await house.mailbox("Archive")
    client = await house.client()
    await client.ok('SETMETADATA Archive (/shared/comment "here")')
    with pytest.raises(NotFound):
        await house.store.metadata(Principal(house.bob.id), house.alice.id, box.id)
    with pytest.raises(NotFound):
        await house.store.set_metadata(Principal(house.bob.id), house.alice.id, box.id, [("/shared/x", b"")])
    await client.ok("DELETE Archive")
    house.clock.at += 3600
    while await house.store.clean():
        pass
    assert await house.store.metadata(SERVER, house.alice.id, box.id) == {}


# --- capabilities of one account -----------------------------------------------------------------------------------


async def test_a_capability_can_be_hidden_from_one_account(house: House):
    hide = {"hide": ["QRESYNC", "COMPRESS=DEFLATE", "IMAP4REV2", "IMAP4REV1"]}
    await house.store.set_account_setting(house.alice.id, SETTING, hide)
    client = await house.client()
    words = (await client.ok("CAPABILITY"))[0].split()
    assert b"QRESYNC" not in words and b"COMPRESS=DEFLATE" not in words and b"IMAP4rev2" not in words
    assert b"CONDSTORE" in words and b"IMAP4rev1" in words
    assert await client.ok("ENABLE QRESYNC CONDSTORE IMAP4rev2") == [b"* ENABLED CONDSTORE"]
    await client.ok("UNAUTHENTICATE")
    await client.ok(f'LOGIN bob@example.test "{PASSWORD}"')
    assert b"QRESYNC" in (await client.ok("CAPABILITY"))[0].split()


async def test_a_capability_can_be_hidden_from_everybody_and_offered_to_one(house: House):
    house.server.settings = replace(house.server.settings, hidden=("uidonly", "IMAP4rev1"))
    await house.store.set_account_setting(house.bob.id, SETTING, {"hide": ["SORT"], "offer": ["UIDONLY"]})
    client = await house.client()
    words = (await client.ok("CAPABILITY"))[0].split()
    assert b"UIDONLY" not in words and b"SORT" in words and b"IMAP4rev1" in words
    assert await client.ok("ENABLE UIDONLY") == [b"* ENABLED"]
    await client.ok("UNAUTHENTICATE")
    await client.ok(f'LOGIN bob@example.test "{PASSWORD}"')
    words = (await client.ok("CAPABILITY"))[0].split()
    assert b"UIDONLY" in words and b"SORT" not in words
    assert await client.ok("ENABLE UIDONLY") == [b"* ENABLED UIDONLY"]


# --- PREVIEW -------------------------------------------------------------------------------------------------------


def test_a_preview_ends_at_a_word_and_has_no_controls():
    assert shorten("a b\x00\x1bc") == "a bc"
    assert shorten("word " * 100) == ("word " * 40).strip()
    assert len(shorten("x" * 1000)) == CHARACTERS


async def test_previews_of_odd_messages(house: House):
    html = b"Content-Type: text/html\r\n\r\n<style>p {}</style><p>Dear <b>Ann</b></p>"
    empty = b"Subject: nothing\r\n\r\n"
    attached = b"Content-Type: application/pdf\r\n\r\nxxx"
    quoted = b"Subject: x\r\n\r\n> you said\r\n> this\r\nNo.\r\n"
    coded = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nR3LDvMOfZQ==\r\n"
    long = b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + "ü".encode() * 10_000
    await house.put(html, empty, attached, quoted, coded, long)
    client = await house.client(select="INBOX")
    lines = await client.ok("FETCH 1:* PREVIEW")
    assert lines[0] == b'* 1 FETCH (PREVIEW "Dear Ann")'
    assert lines[1] == b'* 2 FETCH (PREVIEW "")'
    assert lines[2] == b'* 3 FETCH (PREVIEW "")'
    assert lines[3] == b'* 4 FETCH (PREVIEW "No.")'
    assert lines[4] == "* 5 FETCH (PREVIEW {7}\r\nGrüße)".encode()
    assert lines[5] == b"* 6 FETCH (PREVIEW {400}\r\n" + "ü".encode() * 200 + b")"
    assert b"SEEN" not in b"".join(await client.ok("FETCH 1:* FLAGS")).upper()


# --- CATENATE ------------------------------------------------------------------------------------------------------


async def test_large_pieces_are_put_together_and_leave_nothing_in_the_spool(house: House):
    text = bytes(random.Random(4).choices(b"abcdefghijklmnop \n", k=900_000)).replace(b"\n", b"\r\n")
    await house.put(SIMPLE + text)
    client = await house.client(select="INBOX")
    own = b"Subject: own\r\n\r\n" + text[::-1].replace(b"\n\r", b"\r\n")
    line = b'APPEND INBOX CATENATE (TEXT {%d+}\r\n%b URL "/INBOX/;UID=1/;SECTION=TEXT" TEXT {2+}\r\n.\n)' % (len(own), own)
    await client.ok(line)
    (answer,) = await client.ok("FETCH 2 BODY.PEEK[]")
    assert answer.endswith(b"}\r\n" + own + b"Hi.\r\n" + text + b".\r\n)")
    assert (await client.command(line.replace(b"UID=1", b"UID=7")))[-1].startswith(b"NO [BADURL")
    assert list((house.tmp / "spool").iterdir()) == []


async def test_a_message_put_together_keeps_to_the_limit(house: House):
    house.server.settings = replace(house.server.settings, append_limit=100_000)
    await house.put(SIMPLE + b"x" * 60_000)
    client = await house.client(select="INBOX")
    url = b'URL "/INBOX/;UID=1"'
    await client.ok(b"APPEND INBOX CATENATE (%b)" % url)
    assert (await client.no(b"APPEND INBOX CATENATE (%b %b)" % (url, url))).startswith(b"NO [TOOBIG]")
    many = b" ".join([b'URL "/INBOX/;UID=1/;PARTIAL=0.1"'] * 1001)
    assert (await client.no(b"APPEND INBOX CATENATE (%b)" % many)).startswith(b"NO [LIMIT]")


async def test_a_large_binary_message_is_stored_as_text_and_read_binary(house: House):
    body = bytes(random.Random(6).randrange(256) for _ in range(400_000))
    whole = b"MIME-Version: 1.0\r\nContent-Type: a/b\r\nContent-Transfer-Encoding: binary\r\n\r\n" + body
    client = await house.client(select="INBOX")
    await client.ok(b"APPEND INBOX ~{%d+}\r\n%b" % (len(whole), whole))
    (answer,) = await client.ok("FETCH 1 BINARY.PEEK[1]")
    assert answer.endswith(b"}\r\n" + body + b")")
    assert list((house.tmp / "spool").iterdir()) == []


@pytest.mark.parametrize(
    "command",
    [
        "NOTIFY SET " + " ".join(f"(mailboxes a{n} (MailboxName))" for n in range(101)),
        "ESEARCH IN (" + " ".join(f"mailboxes a{n}" for n in range(101)) + ") ALL",
    ],
)
async def test_filters_of_one_command_are_limited(house: House, command: str):
    client = await house.client()
    assert (await client.no(command)).startswith(b"NO [LIMIT]")
    await client.ok(command.replace(" (mailboxes a0 (MailboxName))", "").replace("mailboxes a0 ", ""))
