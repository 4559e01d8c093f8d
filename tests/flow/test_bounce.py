"""What a sender is told about a message that did not arrive."""

from __future__ import annotations

import email
import email.policy
from dataclasses import replace

import pytest

from postillon.flow.bounce import Reporter, wants_failure
from postillon.flow.report_words import explanation
from postillon.flow.sign import Signer
from postillon.mailauth import dkim
from postillon.mailauth.content import Content
from postillon.message.prepare import prepare
from postillon.model.account import SERVER
from postillon.model.address import Address
from postillon.model.envelope import Envelope, Notify, Recipient
from postillon.model.ids import QueueId
from postillon.model.plan import Enqueue, File, Plan
from postillon.model.queue import Outcome, OutcomeKind, QueueEntry
from postillon.storage.ids import IdSource

from ..kinds import TableDirectory, TableResolver
from ..mailauth.keys import published, signing_keys
from .conftest import Office

MESSAGE = (
    b"From: alice@example.test\r\nSubject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\r\nMessage-ID: <1@example.test>\r\n\r\nSecret body.\r\n"
)
FAILED = Outcome(OutcomeKind.FAILED, "5.1.1", "nobody of that name", "mx.there.test [192.0.2.1]", 550)
ALICE = Address.parse("alice@example.test")


async def leased(office: Office, *recipients: Recipient, sender: Address | None = ALICE, **more: object) -> list[QueueEntry]:
    """A message in the queue, leased for all of its recipients."""
    spool = office.store.spool(10**7)
    spool.write(MESSAGE)
    envelope = Envelope(sender, recipients or (Recipient(Address.parse("bob@there.test")),), **more)  # type: ignore[arg-type]
    now = office.clock.now()
    destinations = tuple(recipient.address.domain for recipient in envelope.recipients)
    item = Enqueue(QueueId(office.store.new_ids(1)[0]), envelope, destinations, b"", None, now, now + 5 * 86400)
    await office.store.commit(Plan(await spool.finish(), None, now, items=(item,)))
    return await office.store.lease(now, 100, 300)


def reporter(office: Office, signer: Signer | None = None, **addresses: list[int | str]) -> Reporter:
    table = {f"{name}@example.test": targets for name, targets in (addresses or {"alice": [office.alice]}).items()}
    return Reporter(
        store=office.store,
        directory=TableDirectory(table),  # type: ignore[arg-type]
        clock=office.clock,
        ids=IdSource(9),
        hostname="mail.example.test",
        signer=signer,
    )


async def report(
    office: Office, entries: list[QueueEntry], outcome: Outcome = FAILED, **addresses: list[int | str]
) -> Plan | None:
    return await reporter(office, **addresses).failure([(entry, outcome) for entry in entries])


async def test_a_local_sender_finds_the_report_in_the_inbox(office: Office):
    entries = await leased(office)
    plan = await report(office, entries)
    assert plan is not None
    assert [type(item) for item in plan.items] == [File]
    assert await office.store.settle(entries[0], report=plan)
    box = await office.store.find_mailbox(SERVER, office.alice, ("INBOX",))
    (found,) = await office.store.emails(SERVER, office.alice, box.id, [1])
    rope = office.store.octets(found)
    octets = await office.store.read_octets(rope, 0, rope.size)
    assert found.structure == prepare(plan.body.data or b"").structure  # offsets count in the blob, without Return-Path
    message = email.message_from_bytes(octets, policy=email.policy.default)
    assert octets.startswith(b"Return-Path: <>\r\n")
    assert message["To"] == "alice@example.test"
    assert message["Subject"] == "Not delivered: Grüße"
    assert message["In-Reply-To"] == "<1@example.test>"
    assert message["Auto-Submitted"] == "auto-replied"
    assert message.get_content_type() == "multipart/report"
    words, status, header = message.iter_parts()
    assert words.get_content().startswith(
        "Your message to bob@there.test was not delivered: there is no such address. Please check"
    )
    assert "mx.there.test [192.0.2.1] said: 550 nobody of that name (5.1.1)" in words.get_content()
    assert status.get_content_type() == "message/delivery-status"
    assert status.get_payload()[1]["Status"] == "5.1.1"
    assert status.get_payload()[1]["Final-Recipient"] == "rfc822; bob@there.test"
    assert status.get_payload()[1]["Action"] == "failed"
    assert header.get_content_type() == "text/rfc822-headers"
    assert b"Secret body" not in octets


async def test_a_sender_elsewhere_gets_the_report_by_the_queue(office: Office):
    entries = await leased(office, sender=Address.parse("carol@far.test"))
    plan = await report(office, entries)
    assert plan is not None
    (item,) = plan.items
    assert isinstance(item, Enqueue)
    assert item.envelope.sender is None
    assert [str(recipient.address) for recipient in item.envelope.recipients] == ["carol@far.test"]
    assert item.destinations == ("far.test",)
    assert await office.store.settle(entries[0], report=plan)
    (again,) = await office.store.lease(office.clock.now(), 10, 300)
    assert again.envelope.sender is None
    assert not wants_failure(again)


async def test_a_report_that_leaves_is_signed_by_the_domain_of_our_host(office: Office):
    entries = await leased(office, sender=Address.parse("carol@far.test"))
    signer = Signer(lambda domain: signing_keys(domain) if domain == "example.test" else [])
    plan = await reporter(office, signer).failure([(entry, FAILED) for entry in entries])
    assert plan is not None and await office.store.settle(entries[0], report=plan)
    ((_, sent),) = await office.queued()
    header, empty, body = sent.partition(b"\r\n\r\n")
    content = Content(header + empty, lambda: [body])
    assert b"\r\nFrom: " in header and b"@mail.example.test" in header
    found = await dkim.evaluate(content, dkim.read(content), TableResolver(published("example.test")), office.clock.now())
    assert [(one.result, one.domain) for one in found] == [("pass", "example.test")] * 2


async def test_an_alias_gets_its_report_where_it_leads(office: Office):
    plan = await report(office, await leased(office), alice=[office.bob, "carol@far.test"])
    assert plan is not None
    assert [type(item) for item in plan.items] == [File, Enqueue]


async def test_nothing_is_said_about_a_report(office: Office):
    assert await report(office, await leased(office, sender=None)) is None


async def test_a_sender_of_ours_that_does_not_exist_gets_nothing(office: Office):
    assert await report(office, await leased(office, sender=Address.parse("ghost@example.test"))) is None


@pytest.mark.parametrize(
    ("notify", "wanted"),
    [((), True), ((Notify.FAILURE,), True), ((Notify.NEVER,), False), ((Notify.SUCCESS, Notify.DELAY), False)],
)
async def test_notify_is_respected(office: Office, notify: tuple[Notify, ...], wanted: bool):
    recipient = Recipient(Address.parse("bob@there.test"), frozenset(notify))
    assert (await report(office, await leased(office, recipient)) is not None) is wanted


async def test_who_wants_no_report_is_not_named_in_the_others(office: Office):
    never = Recipient(Address.parse("never@there.test"), frozenset({Notify.NEVER}))
    plan = await report(office, await leased(office, never, Recipient(Address.parse("bob@there.test"))))
    assert plan is not None and plan.body.data is not None
    assert b"never@there.test" not in plan.body.data
    assert b"bob@there.test" in plan.body.data


async def test_ret_and_envid_are_respected(office: Office):
    plan = await report(office, await leased(office, ret="FULL", envid="id 7"))
    assert plan is not None and plan.body.data is not None
    assert b"Secret body" in plan.body.data
    assert b"Original-Envelope-Id: id 7" in plan.body.data


async def test_a_message_that_cannot_be_read_is_reported_all_the_same(office: Office):
    (entry,) = await leased(office)
    plan = await report(office, [replace(entry, blob=entry.blob + 1)])  # type: ignore[arg-type]
    assert plan is not None


async def test_a_hostile_header_makes_no_field_of_the_report(office: Office):
    entries = await leased(office)
    outcome = replace(FAILED, text="evil\r\nBcc: victim@far.test", remote="x\r\ny [1]")
    plan = await report(office, entries, outcome)
    assert plan is not None and plan.body.data is not None
    assert b"\r\nBcc:" not in plan.body.data


def entry(recipient: str) -> QueueEntry:
    envelope = Envelope(ALICE, (Recipient(Address.parse(recipient)),))
    return QueueEntry(QueueId(1), 0, None, 1, 1, b"", envelope, "there.test", 1_700_000_000, 1_700_432_000, 3, "", 1, 1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("status", "begins"),
    [
        ("4.4.7", "Your message to bob@there.test could not be delivered for 5 days, and we have stopped trying. "),
        ("5.1.10", "Your message to bob@there.test was not delivered: there.test takes no mail. Please ask"),
        ("5.1.2", "Your message to bob@there.test was not delivered: the domain there.test does not exist. Please check"),
        ("5.2.2", "Your message to bob@there.test was not delivered: the mailbox is full. The recipient has to"),
        ("5.7.26", "Your message to bob@there.test was refused by their server's rules. "),
        ("5.0.0", "Your message to bob@there.test was refused by their server. "),
        ("5.99.999", "Your message to bob@there.test was refused by their server. "),
    ],
)
def test_the_first_line_says_what_happened_and_whose_turn_it_is(status: str, begins: str):
    words = explanation([(entry("bob@there.test"), replace(FAILED, status=status))], "us.test")
    assert words.startswith(begins)


def test_recipients_with_the_same_fate_share_a_sentence():
    lost = [(entry(f"{name}@there.test"), FAILED) for name in ("a", "b")]
    lost.append((entry("c@there.test"), replace(FAILED, status="5.2.2")))
    words = explanation(lost, "us.test")
    assert words.startswith("Your message to 2 recipients was not delivered: there is no such address.")
    assert "Your message to c@there.test was not delivered: the mailbox is full." in words
