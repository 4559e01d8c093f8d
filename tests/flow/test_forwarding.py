"""What an alias hands on to another server: under a sender of ours, with a way back that is no relay."""

from __future__ import annotations

from dataclasses import replace

import pytest

from postillon.flow.bounce import Reporter
from postillon.flow.deliver import Deliverer
from postillon.flow.receive import Receiver
from postillon.mailauth.srs import Srs
from postillon.model.address import Address
from postillon.model.envelope import Envelope, Recipient
from postillon.model.errors import Refusal
from postillon.model.queue import Outcome, OutcomeKind
from postillon.storage.ids import IdSource

from ..kinds import TableResolver
from .conftest import SETTINGS, STRANGER, Office

TEXT = b"From: x@sender.test\r\nSubject: hi\r\n\r\nHello.\r\n"
SRS = Srs(b"key")


@pytest.fixture
async def forwarding(office: Office) -> Office:
    reporter = Reporter(
        store=office.store, directory=office.directory, clock=office.clock, ids=IdSource(9), hostname="mail.example.test", srs=SRS
    )
    deliverer = Deliverer(
        store=office.store, directory=office.directory, clock=office.clock, settings=SETTINGS, srs=SRS, reporter=reporter
    )
    receiver = Receiver(
        store=office.store,
        directory=office.directory,
        resolver=TableResolver({"sender.test": {"mx": [(10, "mx.sender.test")]}}),
        deliverer=deliverer,
        clock=office.clock,
        settings=SETTINGS,
        srs=SRS,
    )
    await office.directory.create_alias("out@example.test", ["carol@elsewhere.test", "dave@other.test"])
    return replace(office, receiver=receiver, deliverer=deliverer)


def refused(status: str, words: str):
    return pytest.raises(Refusal, match=words, check=lambda refusal: refusal.status == status)


async def test_the_sender_becomes_one_of_ours_and_reports_find_back(forwarding: Office):
    await forwarding.receive("x@sender.test", ["out@example.test"], TEXT)
    queued = [entry for entry, _ in await forwarding.queued()]
    assert {str(entry.recipient.address) for entry in queued} == {"carol@elsewhere.test", "dave@other.test"}
    (sender,) = {entry.envelope.sender for entry in queued}
    assert sender is not None and sender.local.startswith("SRS0=") and sender.domain == "example.test"
    for entry in queued:
        await forwarding.store.settle(entry)
    receipt = await forwarding.receive(None, [str(sender)], TEXT)
    assert receipt.queued
    ((entry, _),) = await forwarding.queued()
    assert str(entry.recipient.address) == "x@sender.test" and entry.envelope.sender is None


async def test_the_way_back_is_for_reports_only_and_no_relay(forwarding: Office):
    sender = str(SRS.rewrite(Address.parse("x@sender.test"), "example.test", forwarding.clock.now()))
    with refused("5.7.1", "takes only reports"):
        await forwarding.receive("x@sender.test", [sender], TEXT)
    with refused("5.7.1", "Relaying denied"):
        await forwarding.receive(None, [sender.replace("@example.test", "@there.test")], TEXT)
    with refused("5.1.1", "not made here"):
        await forwarding.receive(None, [sender.replace("sender.test", "victim.test")], TEXT)
    forwarding.clock.at += 30 * 86400
    with refused("5.1.1", "too old"):
        await forwarding.receive(None, [sender], TEXT)


async def test_a_catch_all_does_not_take_forged_return_addresses(forwarding: Office):
    await forwarding.directory.set_catch_all("example.test", "bob@example.test")
    with refused("5.1.1", "not made here"):
        await forwarding.receiver.recipient(
            STRANGER, Envelope(None), Recipient(Address.parse("SRS0=AAAAAAAAAA=AA=victim.test=x@example.test"))
        )


async def test_our_own_senders_and_the_null_sender_stay(forwarding: Office):
    await forwarding.receive(None, ["out@example.test"], TEXT)
    await forwarding.receive("bob@example.test", ["out@example.test"], TEXT + b"x\r\n")
    senders = {entry.envelope.sender for entry, _ in await forwarding.queued()}
    assert senders == {None, Address.parse("bob@example.test")}


async def test_our_own_report_about_a_forward_goes_to_the_original_sender(forwarding: Office):
    await forwarding.receive("x@sender.test", ["out@example.test"], TEXT)
    (first, _), *_ = await forwarding.queued()
    reporter = forwarding.deliverer._reporter
    assert reporter is not None
    plan = await reporter.failure([(first, Outcome(OutcomeKind.FAILED, "5.1.1", "nobody", "mx", 550))])
    assert plan is not None and plan.body.data is not None
    (item,) = plan.items
    assert [str(one.address) for one in item.envelope.recipients] == ["x@sender.test"]  # type: ignore[union-attr]
    assert b"\r\nTo: x@sender.test\r\n" in plan.body.data
