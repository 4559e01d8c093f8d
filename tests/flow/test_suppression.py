"""Whom an account does not write to any more: fed by servers that know nobody of that name, and by complaints."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from postillon.flow.bounce import Reporter
from postillon.flow.complaints import Complaints
from postillon.flow.outbound import Outbound
from postillon.flow.receive import Receiver
from postillon.model.address import Address
from postillon.model.envelope import Envelope, Recipient
from postillon.model.errors import Refusal
from postillon.model.queue import Outcome, OutcomeKind, QueueEntry
from postillon.storage.ids import IdSource
from postillon.storage.store.suppression import BOUNCE_S

from ..kinds import TableResolver
from ..message.test_arf import REPORT
from ..message.test_bounced import POSTFIX
from .conftest import SETTINGS, Office
from .test_allowance import limited

TEXT = b"From: alice@example.test\r\nMessage-ID: <8787KJKJ3K4J3K4J3K4J3.mail@example.test>\r\nSubject: hi\r\n\r\nHello.\r\n"
UNKNOWN = Outcome(OutcomeKind.FAILED, "5.1.1", "no such user here", "mx [192.0.2.1]", 550)


async def bounce(office: Office, entry: QueueEntry, outcome: Outcome) -> None:
    """What the queue's worker does after an attempt."""
    reporter = Reporter(
        store=office.store, directory=office.directory, clock=office.clock, ids=IdSource(9), hostname="mail.example.test"
    )
    outbound = Outbound(
        store=office.store,
        transport=None,  # type: ignore[arg-type]
        deliver_local=office.deliverer.file_entry,
        reporter=reporter,
        clock=office.clock,
    )
    (settled,) = await outbound.judge([entry], [outcome])
    assert await office.store.settle(entry, report=settled.report, suppress=settled.suppress)


def refused(status: str, words: str):
    return pytest.raises(Refusal, match=words, check=lambda refusal: refusal.status == status)


async def test_an_address_that_does_not_exist_is_not_written_to_for_a_while(office: Office):
    office, allowance = limited(office)
    await office.submit("alice@example.test", ["gone@there.test"], TEXT)
    ((entry, _),) = await office.queued()
    await bounce(office, entry, UNKNOWN)
    recipient = Recipient(Address.parse("Gone@there.test"))
    with refused("5.1.1", "There was no <Gone@there.test> when you wrote to it on 2027-01-15"):
        await office.submitter.recipient(office.client, Envelope(None), recipient)
    (found,) = await allowance.suppressed(office.alice)
    assert (found.address, found.cause.name, found.words) == ("gone@there.test", "BOUNCE", "550 5.1.1 no such user here")
    bob = replace(office.client, account=office.bob)
    assert await office.submitter.recipient(bob, Envelope(None), recipient)
    office.clock.at += BOUNCE_S
    assert await office.submitter.recipient(office.client, Envelope(None), recipient)
    assert await allowance.suppressed(office.alice) == [] and await allowance.prune() >= 1


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome(OutcomeKind.FAILED, "5.7.1", "blocked, see our list", "mx", 550),
        Outcome(OutcomeKind.FAILED, "5.2.2", "mailbox full", "mx", 552),
        Outcome(OutcomeKind.FAILED, "4.4.7", "no such user", "mx", 450),
        Outcome(OutcomeKind.FAILED, "5.1.2", "the domain does not exist"),
    ],
)
async def test_other_failures_suppress_nobody(office: Office, outcome: Outcome):
    office, allowance = limited(office)
    await office.submit("alice@example.test", ["there@there.test"], TEXT)
    ((entry, _),) = await office.queued()
    await bounce(office, entry, outcome)
    found = await allowance.suppressed(office.alice)
    assert found == [] or outcome.status == "4.4.7"


def hearing(office: Office) -> Office:
    office.clock.at = int(time.time())  # records are looked for by the time in their ids, which is the real one
    receiver = Receiver(
        store=office.store,
        directory=office.directory,
        resolver=TableResolver({"provider.test": {"mx": [(10, "mx.provider.test")]}}),
        deliverer=office.deliverer,
        clock=office.clock,
        settings=SETTINGS,
        complaints=Complaints(store=office.store, directory=office.directory, clock=office.clock),
    )
    return replace(office, receiver=receiver)


@pytest.mark.parametrize("size", [0, 100_000])
async def test_who_complains_is_not_written_to_again(office: Office, size: int):
    limited_office, allowance = limited(hearing(office))
    await limited_office.submit("alice@example.test", ["user@provider.test", "other@provider.test"], TEXT)
    message = REPORT.replace(b"Spam Spam Spam", b"Spam Spam Spam\r\n" + b"x" * 70 + b"\r\n" * (size // 2))
    await limited_office.receive("fbl@provider.test", ["abuse@example.test"], message)
    (found,) = await allowance.suppressed(office.alice)
    assert (found.address, found.cause.name) == ("user@provider.test", "COMPLAINT")
    with refused("5.7.1", "has complained about mail of yours"):
        await limited_office.submit("alice@example.test", ["user@provider.test"], TEXT)
    office.clock.at += 400 * 86400
    assert len(await allowance.suppressed(office.alice)) == 1
    assert await allowance.unsuppress(office.alice, Address.parse("user@provider.test"))
    assert await allowance.suppressed(office.alice) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"8787KJKJ3K4J3K4J3K4J3.mail@example.test", b"another@example.test"),
        (b"<user@provider.test>", b"<stranger@provider.test>"),
        (b"<user@provider.test>", b"redacted"),
    ],
)
async def test_a_complaint_about_what_we_never_sent_counts_for_nothing(office: Office, before: bytes, after: bytes):
    limited_office, allowance = limited(hearing(office))
    await limited_office.submit("alice@example.test", ["user@provider.test", "other@provider.test"], TEXT)
    await limited_office.receive("fbl@provider.test", ["abuse@example.test"], REPORT.replace(before, after))
    assert await allowance.suppressed(office.alice) == []


async def test_a_failure_that_is_reported_later_counts_like_one_in_the_dialogue(office: Office):
    limited_office, allowance = limited(hearing(office))
    await limited_office.submit("alice@example.test", ["gone@there.test", "full@there.test"], TEXT)
    await limited_office.receive("forger@provider.test", ["alice@example.test"], POSTFIX)
    assert await allowance.suppressed(office.alice) == []
    await limited_office.receive(None, ["alice@example.test"], POSTFIX.replace(b"8787", b"8788"))
    assert await allowance.suppressed(office.alice) == []
    await limited_office.receive(None, ["alice@example.test"], POSTFIX + b"\r\n")
    (found,) = await allowance.suppressed(office.alice)
    assert (found.address, found.cause.name, found.words) == ("gone@there.test", "BOUNCE", '5.1.1 unknown user: "gone"')
