"""The operator's rules, and what becomes of messages that they are about."""

from __future__ import annotations

from dataclasses import replace

import pytest

from postillon.flow.receive import Receiver
from postillon.flow.rules import IN, NO_ORDERS, OUT, Rule, Rules, glob, verp
from postillon.flow.submit import Submitter
from postillon.message import build
from postillon.message.octets import Octets
from postillon.model.address import Address
from postillon.model.envelope import Envelope, Recipient
from postillon.model.queue import QueueState
from postillon.storage.ids import IdSource
from postillon.storage.store import Chosen, Rope

from ..kinds import TableResolver
from .conftest import SETTINGS, Office

TEXT = b"From: Alice <alice@example.test>\r\nTo: bob@example.test\r\nSubject: =?utf-8?q?Quarterly_num=62ers?=\r\n\r\nHello.\r\n"
ALICE, BOB = Address.parse("alice@example.test"), Address.parse("bob@example.test")


def ruled(office: Office, *rules: Rule) -> Office:
    found = Rules(rules)
    ids = IdSource(9)
    submitter = Submitter(
        store=office.store,
        directory=office.directory,
        deliverer=office.deliverer,
        clock=office.clock,
        ids=ids,
        settings=SETTINGS,
        rules=found,
    )
    receiver = Receiver(
        store=office.store,
        directory=office.directory,
        resolver=TableResolver({"sender.test": {"mx": [(10, "mx.sender.test")]}}),
        deliverer=office.deliverer,
        clock=office.clock,
        settings=SETTINGS,
        rules=found,
    )
    return replace(office, submitter=submitter, receiver=receiver)


def orders(rule: Rule, way: str = OUT, sender: Address | None = ALICE, header: bytes = TEXT, size: int = 100):
    return Rules((rule,)).orders(way, sender, [BOB], header, size)


# --- when ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "holds"),
    [
        (Rule("x", hold=True), True),
        (Rule("x", hold=True, ways=frozenset({IN})), False),
        (Rule("x", hold=True, sender=("*@EXAMPLE.test",)), True),
        (Rule("x", hold=True, sender=("<>", "carol@*")), False),
        (Rule("x", hold=True, recipient=("b?b@example.test",)), True),
        (Rule("x", hold=True, recipient=("bob@other.test",)), False),
        (Rule("x", hold=True, header={"subject": "*numbers*"}), True),
        (Rule("x", hold=True, header={"Subject": "numbers"}), False),
        (Rule("x", hold=True, header={"Subject": "*", "X-None": "*"}), False),
        (Rule("x", hold=True, larger_than=100), True),
        (Rule("x", hold=True, larger_than=101), False),
        (Rule("x", hold=True, sender=("alice@*",), recipient=("nobody@*",)), False),
    ],
)
def test_all_conditions_must_hold(rule: Rule, holds: bool):
    assert bool(orders(rule).held(BOB)) is holds


def test_the_null_sender_has_a_pattern_of_its_own():
    assert orders(Rule("x", hold=True, sender=("<>",)), sender=None).held(BOB) == "held by the rule x"
    assert orders(Rule("x", hold=True, sender=("*@*",)), sender=None) is NO_ORDERS


def test_brackets_are_no_character_classes_and_many_stars_no_attack():
    assert glob("*@[192.0.2.1]").match("x@[192.0.2.1]")
    assert not glob("*a" * 40 + "b").match("a" * 4000)


def test_no_rule_costs_nothing():
    assert Rules().orders(IN, ALICE, [BOB], TEXT, 100) is NO_ORDERS
    assert NO_ORDERS.header(TEXT) is TEXT
    recipient = Recipient(BOB)
    assert Rules().recipient(IN, ALICE, recipient) is recipient


# --- what ----------------------------------------------------------------------------------------------------------


def test_fields_are_removed_and_added():
    rule = Rule("x", header_remove=("subject",), header_add=(("X-Org", "Exämple"),))
    assert orders(rule).header(TEXT.partition(b"Hello")[0]) == (
        build.text("X-Org", "Exämple") + b"From: Alice <alice@example.test>\r\nTo: bob@example.test\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("field", "after"),
    [
        (b"From: Alice <alice@old.test>", b"From: Alice <alice@new.test>"),
        (b"From: =?utf-8?q?=C3=84?= <alice@old.test>, x@y.test", b"From: =?utf-8?b?w4Q=?= <alice@new.test>, x@y.test"),
        (b"Sender: alice@old.test", b"Sender: alice@new.test"),
        (b"From: People: alice@old.test;", b"From: People: alice@old.test;"),
        (b"To: alice@old.test", b"To: alice@old.test"),
        (b"X-From: alice@old.test", b"X-From: alice@old.test"),
    ],
)
def test_our_own_senders_are_rewritten_in_the_header_too(field: bytes, after: bytes):
    rule = Rule("x", sender=("*@old.test",), sender_becomes="*@new.test")
    sender = Address.parse("alice@old.test")
    found = Rules((rule,)).orders(OUT, sender, [BOB], field + b"\r\n\r\n", 10)
    assert found.header(field + b"\r\n\r\n") == after + b"\r\n\r\n"
    foreign = Rules((rule,)).orders(IN, sender, [BOB], field + b"\r\n\r\n", 10)
    assert foreign.header(field + b"\r\n\r\n") == field + b"\r\n\r\n"


def test_a_rule_may_give_mail_a_priority():
    found = orders(Rule("x", priority=-3)).envelope(Envelope(ALICE))
    assert found == Envelope(ALICE, priority=-3)
    assert orders(Rule("x", hold=True)).envelope(Envelope(ALICE, priority=4)).priority == 4


def test_verp_names_the_recipient():
    sender = verp(ALICE, Address.parse("x.y@there.test"))
    assert str(sender) == "alice+x.y=there.test@example.test"
    assert verp(ALICE, Address("x" * 250, "there.test")) == ALICE


# --- on the way ----------------------------------------------------------------------------------------------------


async def test_a_copy_for_the_archive_goes_along_unseen(office: Office):
    out = Rule("archive", bcc=(Address.parse("alice@example.test"), Address.parse("safe@elsewhere.test")))
    office = ruled(office, out)
    await office.receive("x@sender.test", ["bob@example.test"], TEXT)
    (mine,), (copy,) = await office.mail(office.bob), await office.mail(office.alice)
    assert mine == copy and b"safe@" not in mine
    ((entry, octets),) = await office.queued()
    assert str(entry.recipient.address) == "safe@elsewhere.test" and b"alice@example.test" not in octets.split(b"\r\nFrom:")[0]
    assert not await office.mail(office.alice, ("Junk",))


async def test_a_copy_to_nowhere_is_no_reason_to_refuse(office: Office):
    office = ruled(office, Rule("typo", bcc=(Address.parse("nobody@example.test"),)))
    assert (await office.receive("x@sender.test", ["bob@example.test"], TEXT)).filed


async def test_held_mail_waits_with_its_reason_and_is_filed_when_released(office: Office):
    office = ruled(office, Rule("numbers", header={"Subject": "*numbers*"}, hold=True))
    receipt = await office.receive("x@sender.test", ["bob@example.test"], TEXT)
    assert not receipt.filed and await office.queued() == []
    (view,) = await office.store.queue_views()
    assert (view.state, view.last_answer, view.destination) == (QueueState.HELD, "held by the rule numbers", "local")
    await office.store.queue_state(Chosen(view.queue_id), QueueState.WAITING)
    ((entry, _),) = await office.queued()
    await office.deliverer.file_entry(entry)
    assert len(await office.mail(office.bob)) == 1


async def test_only_the_recipient_that_a_rule_is_about_is_held_or_sent_another_way(office: Office):
    office = ruled(
        office,
        Rule("hold", recipient=("a@*",), hold=True),
        Rule("partner", recipient=("*@partner.test",), destination="via:hop=gate:0"),
    )
    await office.submit("alice@example.test", ["a@there.test", "b@there.test", "c@partner.test"], TEXT)
    found = {view.recipient: (view.state.name, view.destination) for view in await office.store.queue_views()}
    assert found == {
        "a@there.test": ("HELD", "there.test"),
        "b@there.test": ("WAITING", "there.test"),
        "c@partner.test": ("WAITING", "via:hop=gate:0"),
    }


async def test_addresses_are_rewritten_on_the_way_in_and_out(office: Office):
    office = ruled(
        office,
        Rule("old names", recipient=("*@old.test",), recipient_becomes="*@example.test"),
        Rule("one voice", sender=("alice@example.test",), ways=frozenset({OUT}), sender_becomes="office@example.test"),
    )
    assert (await office.receive("x@sender.test", ["bob@old.test"], TEXT)).filed[0].account == office.bob
    await office.submit("alice@example.test", ["x@there.test"], TEXT)
    ((entry, octets),) = await office.queued()
    assert str(entry.envelope.sender) == "office@example.test"
    assert b"\r\nFrom: Alice <office@example.test>\r\n" in octets


async def test_each_recipient_gets_an_envelope_sender_of_its_own(office: Office):
    office = ruled(office, Rule("news", sender=("alice@*",), verp=True))
    await office.submit("alice@example.test", ["a@there.test", "b@there.test"], TEXT)
    found = {str(entry.recipient.address): str(entry.envelope.sender) for entry, _ in await office.queued()}
    assert found == {
        "a@there.test": "alice+a=there.test@example.test",
        "b@there.test": "alice+b=there.test@example.test",
    }
    assert (await office.receive(None, ["alice+a=there.test@example.test"], TEXT)).filed[0].account == office.alice


async def test_what_is_stored_beside_a_message_fits_its_edited_header(office: Office):
    office = ruled(office, Rule("x", header_remove=("Subject",), header_add=(("X-Seen", "yes"),)))
    await office.receive("x@sender.test", ["bob@example.test"], TEXT)
    from postillon.message.part import decode_structure
    from postillon.message.prepare import unpack_overview
    from postillon.model.account import SERVER

    box = await office.store.find_mailbox(SERVER, office.bob, ("INBOX",))
    (email,) = await office.store.emails(SERVER, office.bob, box.id, [1])
    rope = Rope(Octets.decode(email.recipe, email.blob_size), email.blob)
    octets = await office.store.read_octets(rope, 0, rope.size)
    assert b"\r\nX-Seen: yes\r\n" in octets and b"Subject" not in octets
    assert decode_structure(email.structure).lines == 1 and b"umbers" not in unpack_overview(email.overview)[0]
