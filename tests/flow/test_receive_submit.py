"""The mail path from RCPT to the mailbox and the queue."""

from __future__ import annotations

from dataclasses import replace

import pytest

from postillon.message.part import decode_structure
from postillon.message.prepare import unpack_overview
from postillon.model.account import SERVER
from postillon.model.address import Address
from postillon.model.envelope import Envelope, Recipient
from postillon.model.errors import Refusal
from postillon.model.queue import OutcomeKind

from .conftest import SETTINGS, STRANGER, Office

TEXT = b"From: Alice <alice@example.test>\r\nTo: bob@example.test\r\nSubject: hi\r\n\r\nHello.\r\n"


def refused(status: str):
    return pytest.raises(Refusal, check=lambda refusal: refusal.status == status)


# --- the MX --------------------------------------------------------------------------------------------------------


async def test_mail_from_outside_is_filed_with_return_path_and_received_in_front(office: Office):
    receipt = await office.receive("x@sender.test", ["bob@example.test"], TEXT)
    assert receipt.filed[0].account == office.bob and not receipt.queued
    (message,) = await office.mail(office.bob)
    assert message.startswith(b"Return-Path: <x@sender.test>\r\nReceived: from peer.test")
    assert message.endswith(TEXT) and b"mail.example.test" in message and b"for <bob@example.test>" in message


async def test_an_unknown_recipient_and_a_foreign_domain_are_refused_in_the_dialogue(office: Office):
    with refused("5.1.1"):
        await office.receive("x@sender.test", ["nobody@example.test"], TEXT)
    with refused("5.7.1"):
        await office.receive("x@sender.test", ["a@elsewhere.test"], TEXT)


async def test_a_sender_domain_with_a_null_mx_is_refused(office: Office):
    with refused("5.7.27"):
        await office.receive("x@null.test", ["bob@example.test"], TEXT)
    assert (await office.receive(None, ["bob@example.test"], TEXT)).filed


async def test_two_ways_to_one_account_make_one_copy(office: Office):
    await office.directory.create_alias("team@example.test", ["bob@example.test", "alice@example.test"])
    receipt = await office.receive("x@sender.test", ["bob@example.test", "bob+lists@example.test", "team@example.test"], TEXT)
    assert sorted(filed.account for filed in receipt.filed) == sorted([office.alice, office.bob])


async def test_an_alias_to_another_place_is_handed_on_with_the_sender_it_had(office: Office):
    await office.directory.create_alias("out@example.test", ["carol@elsewhere.test", "bob@example.test"])
    receipt = await office.receive("x@sender.test", ["out@example.test"], TEXT)
    assert len(receipt.filed) == 1 and len(receipt.queued) == 1
    ((entry, octets),) = await office.queued()
    assert str(entry.recipient.address) == "carol@elsewhere.test" and entry.recipient.original == "rfc822;out@example.test"
    assert str(entry.envelope.sender) == "x@sender.test" and entry.destination == "elsewhere.test"
    assert octets.startswith(b"Received: ") and octets.endswith(TEXT)


async def test_a_full_mailbox_is_said_at_rcpt_by_the_size_announced(office: Office):
    await office.directory.set_quota("bob@example.test", 1000)
    recipient = Recipient(Address.parse("bob@example.test"))
    await office.receiver.recipient(STRANGER, Envelope(None, size=900), recipient)
    with refused("4.2.2"):
        await office.receiver.recipient(STRANGER, Envelope(None, size=1001), recipient)


async def test_what_was_accepted_is_filed_whatever_the_quota_says(office: Office):
    await office.directory.set_quota("bob@example.test", 1000)
    assert (await office.receive(None, ["bob@example.test"], TEXT + b"x" * 5000 + b"\r\n")).filed


async def test_bare_postmaster_and_abuse_reach_somebody_from_the_start(office: Office):
    accepted = await office.receiver.recipient(STRANGER, Envelope(None), None)
    assert accepted.accounts == (office.alice,)
    for name in ("postmaster", "abuse"):
        assert (await office.receive(None, [f"{name}@example.test"], TEXT)).filed[0].account == office.alice


async def test_a_message_that_goes_in_a_circle_is_refused(office: Office):
    trace = b"Received: from a by b; Mon, 23 Nov 2026 10:00:00 +0000\r\n"
    assert (await office.receive(None, ["bob@example.test"], trace * 50 + TEXT)).filed
    with refused("5.4.6"):
        await office.receive(None, ["bob@example.test"], trace * 51 + TEXT)


async def test_the_same_message_from_the_same_peer_is_no_other_one_when_its_answer_was_lost(office: Office):
    first = await office.receive("x@sender.test", ["bob@example.test"], TEXT)
    await office.store.void_all()
    again = await office.receive("x@sender.test", ["bob@example.test"], TEXT)
    assert again.repeated and again.blob == first.blob
    other = await office.receive("x@sender.test", ["alice@example.test"], TEXT)
    assert not other.repeated
    assert len(await office.mail(office.bob)) == 1


async def test_copies_beyond_fifty_go_by_the_queue_and_are_filed_once(office: Office):
    names = [f"u{n}@example.test" for n in range(52)]
    for name in names:
        await office.directory.create_account(name, imported_hash="{SSHA256}AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
    receipt = await office.receive("x@sender.test", names, TEXT)
    assert len(receipt.filed) == 50
    entries = await office.queued()
    assert [entry.destination for entry, _ in entries] == ["local", "local"]
    for entry, _ in entries:
        assert (await office.deliverer.file_entry(entry)).kind is OutcomeKind.DELIVERED
        await office.deliverer.file_entry(entry)
    for name in names[50:]:
        account = (await office.directory.find_account(name)).id
        (message,) = await office.mail(account)
        assert message.startswith(b"Return-Path: <x@sender.test>")
    assert await office.store.next_due() is None


async def test_a_large_message_is_scanned_from_its_file(office: Office):
    data = TEXT + b"line of text\r\n" * 20_000
    await office.receive(None, ["bob@example.test"], data)
    box = await office.store.find_mailbox(SERVER, office.bob, ("INBOX",))
    (email,) = await office.store.emails(SERVER, office.bob, box.id, [1])
    assert decode_structure(email.structure).lines == 20_001
    assert (await office.mail(office.bob))[0].endswith(data)


# --- submission ----------------------------------------------------------------------------------------------------


async def test_a_submission_is_completed_and_its_blind_recipients_stay_blind(office: Office):
    data = TEXT.replace(b"Subject", b"Bcc: secret@example.test\r\nSubject")
    receipt = await office.submit("alice@example.test", ["bob@example.test", "x@elsewhere.test"], data)
    assert len(receipt.filed) == 1 and len(receipt.queued) == 1
    (message,) = await office.mail(office.bob)
    head = message.split(b"\r\n\r\n")[0]
    assert b"Bcc" not in head and b"secret@" not in head
    assert b"\r\nDate: Fri, 15 Jan 2027 08:00:00 +0000\r\n" in head and b"\r\nMessage-ID: <" in head
    ((entry, octets),) = await office.queued()
    assert entry.account == office.alice and not octets.startswith(b"Return-Path") and b"secret@" not in octets
    box = await office.store.find_mailbox(SERVER, office.bob, ("INBOX",))
    (email,) = await office.store.emails(SERVER, office.bob, box.id, [1])
    assert b"secret" not in unpack_overview(email.overview)[0]


@pytest.mark.parametrize(
    ("sender", "header"),
    [
        ("bob@example.test", b"From: alice@example.test\r\n"),
        ("alice@example.test", b"From: bob@example.test\r\n"),
        ("alice@example.test", b"From: alice@example.test, bob@example.test\r\n"),
        ("alice@example.test", b"From: alice@example.test\r\nSender: bob@example.test\r\n"),
        (None, b"From: x@elsewhere.test\r\n"),
    ],
)
async def test_every_sender_must_belong_to_the_account(office: Office, sender: str | None, header: bytes):
    with refused("5.7.1"):
        await office.submit(sender, ["bob@example.test"], header + b"\r\nHello\r\n")
    assert await office.mail(office.bob) == []


async def test_two_from_fields_are_refused(office: Office):
    with refused("5.6.0"):
        await office.submit("alice@example.test", ["bob@example.test"], b"From: alice@example.test\r\n" * 2 + b"\r\nx\r\n")


async def test_a_message_without_a_header_gets_one(office: Office):
    await office.submit("alice+cron@example.test", ["bob@example.test"], b"just text\r\nmore\r\n")
    (message,) = await office.mail(office.bob)
    assert b"\r\nFrom: alice+cron@example.test\r\n" in message and message.endswith(b"\r\n\r\njust text\r\nmore\r\n")


async def test_without_a_way_out_foreign_recipients_are_refused_in_the_dialogue(office: Office):
    settings = replace(SETTINGS, remote_allowed=False, routed_domains=frozenset({"routed.test"}))
    office.submitter._settings = settings
    await office.submitter.recipient(office.client, Envelope(None), Recipient(Address.parse("x@routed.test")))
    with refused("5.7.1"):
        await office.submitter.recipient(office.client, Envelope(None), Recipient(Address.parse("x@elsewhere.test")))
