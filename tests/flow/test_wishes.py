"""Later, in time, before others: what a sender wishes, and when the queue tries it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from postillon.flow import wishes
from postillon.flow.deliver import Copies
from postillon.flow.plan import Fate, Fates
from postillon.flow.retry import RetrySchedule
from postillon.message.octets import Octets
from postillon.model.address import Address
from postillon.model.envelope import DeliverBy, Envelope, Recipient
from postillon.model.errors import Refusal
from postillon.model.ids import BlobId, QueueId
from postillon.model.plan import Enqueue, File
from postillon.model.queue import OutcomeKind, QueueEntry
from postillon.storage.store.envelopes import decode_envelope, encode_envelope

from .conftest import STRANGER, Office

NOW = 1_700_000_000
PLAIN = Envelope(Address("a", "here.test"))


def entry(envelope: Envelope, made_at: int = NOW) -> QueueEntry:
    recipients = (Recipient(Address("b", "there.test")),)
    return QueueEntry(
        QueueId(1), 0, None, BlobId(1), 10, b"", replace(envelope, recipients=recipients), "there.test",
        made_at, made_at + 1000, 0, "4.4.1 nobody there", 1, 1,
    )  # fmt: skip


def test_without_a_wish_it_is_tried_at_once():
    assert (wishes.due(PLAIN, NOW), wishes.expires(PLAIN, NOW, 500)) == (NOW, NOW + 500)


@pytest.mark.parametrize("envelope", [replace(PLAIN, hold_for=60), replace(PLAIN, hold_until=NOW + 60)])
def test_what_is_held_lives_from_its_release(envelope: Envelope):
    assert (wishes.due(envelope, NOW), wishes.expires(envelope, NOW, 500)) == (NOW + 60, NOW + 560)


def test_a_moment_that_is_over_is_now():
    assert wishes.due(replace(PLAIN, hold_until=NOW - 60), NOW) == NOW


def test_what_is_held_too_long_or_in_two_ways_is_refused():
    wishes.check_hold(replace(PLAIN, hold_for=100), 100, NOW)
    for envelope in (
        replace(PLAIN, hold_for=101),
        replace(PLAIN, hold_until=NOW + 101),
        replace(PLAIN, hold_for=1, hold_until=1),
    ):
        with pytest.raises(Refusal) as caught:
            wishes.check_hold(envelope, 100, NOW)
        assert (caught.value.code, caught.value.status) == (501, "5.5.4")


def test_ranks_go_before_each_other_and_nobody_waits_for_ever():
    def due(priority: int, now: int = NOW) -> int:
        return wishes.due(replace(PLAIN, priority=priority), now)

    assert due(9) < due(1) < due(0) < due(-1) < due(-9) <= NOW + 9
    assert due(0, NOW - 9 * 3600 - 1) < due(9)
    assert wishes.due(replace(PLAIN, priority=9, hold_for=60), NOW) == NOW + 60


@pytest.mark.parametrize(
    ("header", "priority"), [(b"MT-Priority: 3\r\n", 3), (b"mt-priority: -4 \r\n", -4), (b"MT-Priority: 12\r\n", 0)]
)
def test_the_header_tells_the_rank_where_the_client_did_not(header: bytes, priority: int):
    assert wishes.ranked(PLAIN, b"Subject: x\r\n" + header + b"\r\n").priority == priority
    assert wishes.ranked(replace(PLAIN, priority=1), header).priority == 1


def test_what_had_to_be_in_time_is_given_up_when_it_is_not():
    envelope = replace(PLAIN, deliver_by=DeliverBy(100, True))
    assert wishes.expires(envelope, NOW, 500) == NOW + 100
    assert wishes.too_late(entry(envelope), NOW + 99) is None
    outcome = wishes.too_late(entry(envelope), NOW + 100)
    assert outcome is not None and (outcome.kind, outcome.status) == (OutcomeKind.FAILED, "5.4.7")
    assert "nobody there" in outcome.text
    assert wishes.too_late(entry(replace(PLAIN, deliver_by=DeliverBy(100, False))), NOW + 500) is None


def test_the_next_hop_is_told_the_time_that_is_left():
    envelope = wishes.handed_on(replace(PLAIN, deliver_by=DeliverBy(100, False, True)), NOW, NOW + 130)
    assert envelope.deliver_by == DeliverBy(-30, False, True)


def test_who_wants_to_know_hears_when_the_time_is_over():
    schedule = RetrySchedule(delay_report_s=14400)
    assert wishes.schedule_of(entry(replace(PLAIN, deliver_by=DeliverBy(100, False))), schedule).delay_report_s == 100
    assert wishes.schedule_of(entry(replace(PLAIN, deliver_by=DeliverBy(100, True))), schedule) is schedule
    assert wishes.schedule_of(entry(PLAIN), schedule) is schedule


def test_solicitations_that_are_not_wanted_are_refused():
    header = b"Solicitation: org.example:ADLT,\r\n net.example:ADV\r\n\r\n"
    wishes.check_solicitation(header, ())
    wishes.check_solicitation(header, {"net.example:other"})
    with pytest.raises(Refusal):
        wishes.check_solicitation(header, {"net.example:adv"})


@pytest.mark.parametrize(
    "envelope", [PLAIN, replace(PLAIN, deliver_by=DeliverBy(-5, False, True), priority=-2, solicit=("net.example:adv",))]
)
def test_wishes_survive_the_queue(envelope: Envelope):
    assert decode_envelope(encode_envelope(envelope)) == envelope


async def test_what_is_held_waits_for_everybody(office: Office):
    envelope = Envelope(Address.parse("alice@example.test"), hold_for=3600)
    client = office.client
    await office.submitter.sender(client, envelope)
    incoming = await office.incoming(
        office.submitter, client, "alice@example.test", ["bob@example.test", "far@elsewhere.test"], b"Subject: later\r\n\r\nx\r\n"
    )
    incoming = replace(incoming, envelope=replace(incoming.envelope, hold_for=3600))
    receipt = await office.submitter.message(incoming)
    assert receipt.filed == () and not await office.mail(office.bob)
    now = office.clock.now()
    assert await office.store.next_due() == now + 3600
    assert await office.store.lease(now + 3599, 10, 300) == []
    entries = await office.store.lease(now + 3600, 10, 300)
    assert sorted(each.destination for each in entries) == ["elsewhere.test", "local"]


@pytest.mark.parametrize(("fate", "filed"), [(Fate.DISCARD, []), (Fate.QUARANTINE, []), (Fate.JUNK, ["junk"])])
async def test_what_is_not_wanted_does_not_come_to_the_inbox_by_being_held(office: Office, fate: Fate, filed: list[str]):
    incoming = await office.incoming(
        office.receiver, STRANGER, "far@elsewhere.test", ["alice@example.test", "bob@example.test"], b"\r\nx\r\n"
    )
    envelope = replace(incoming.envelope, hold_for=3600)
    rope = Octets.whole(incoming.body.size)
    fates = Fates({office.alice: Fate.FILE, office.bob: fate})
    items = await office.deliverer.items(envelope, incoming.accepted, fates, Copies(rope, rope), None)
    assert [item.role for item in items if isinstance(item, File)] == filed
    queued = [item for item in items if isinstance(item, Enqueue)]
    assert [[str(one.address) for one in item.envelope.recipients] for item in queued] == [["alice@example.test"]]
