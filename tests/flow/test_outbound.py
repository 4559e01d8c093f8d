"""From an attempt to what the queue is told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from postillon.flow.bounce import Reporter
from postillon.flow.outbound import Outbound
from postillon.flow.retry import RetrySchedule
from postillon.model.address import Address
from postillon.model.envelope import Envelope, Recipient
from postillon.model.errors import NotFound, Unavailable
from postillon.model.ids import QueueId
from postillon.model.plan import Enqueue, Plan
from postillon.model.queue import Outcome, OutcomeKind, QueueEntry
from postillon.storage.ids import IdSource

from ..kinds import TableDirectory
from .conftest import Office

DELIVERED = Outcome(OutcomeKind.DELIVERED, "2.0.0", "taken", "mx [192.0.2.1]", 250)
DEFERRED = Outcome(OutcomeKind.DEFERRED, "4.2.1", "busy", "mx [192.0.2.1]", 450)
FAILED = Outcome(OutcomeKind.FAILED, "5.1.1", "nobody", "mx [192.0.2.1]", 550)
DAY = 86400


@dataclass
class Answering:
    """`seams.Transport` that answers from a list, and remembers what it was given."""

    answers: Sequence[Outcome] | Exception
    given: list[tuple[Envelope, bytes]] = field(default_factory=list)

    async def attempt(self, envelope: Envelope, octets: Any) -> dict[int, Outcome]:
        self.given.append((envelope, await octets.read(0, octets.size)))
        if isinstance(self.answers, Exception):
            raise self.answers
        return dict(enumerate(self.answers))


async def unused(entry: QueueEntry) -> Outcome:
    raise AssertionError(f"nothing local here: {entry}")


def outbound(
    office: Office,
    answers: Sequence[Outcome] | Exception = (),
    local: Callable[[QueueEntry], Awaitable[Outcome]] = unused,
    directory: Any = None,
) -> Outbound:
    reporter = Reporter(
        store=office.store,
        directory=directory or TableDirectory({"alice@example.test": [office.alice]}),  # type: ignore[arg-type]
        clock=office.clock,
        ids=IdSource(9),
        hostname="mail.example.test",
    )
    return Outbound(
        store=office.store,
        transport=Answering(answers),
        deliver_local=local,
        reporter=reporter,
        clock=office.clock,
        schedule=RetrySchedule(),
    )


async def leased(office: Office, *recipients: str, destination: str = "there.test") -> list[QueueEntry]:
    spool = office.store.spool(10**7)
    spool.write(b"Subject: hello\r\n\r\nhello\r\n")
    addresses = tuple(Recipient(Address.parse(recipient)) for recipient in recipients)
    envelope, now = Envelope(Address.parse("alice@example.test"), addresses), office.clock.now()
    queue_id = QueueId(office.store.new_ids(1)[0])
    item = Enqueue(queue_id, envelope, (destination,) * len(addresses), b"", None, now, now + 5 * DAY)
    await office.store.commit(Plan(await spool.finish(), None, now, items=(item,)))
    return await office.store.lease(now, 100, 300)


async def test_recipients_of_a_message_are_tried_together(office: Office):
    entries = await leased(office, "a@there.test", "b@there.test")
    flow = outbound(office, [DELIVERED, FAILED])
    assert await flow.attempt(entries) == [DELIVERED, FAILED]
    ((envelope, octets),) = flow._transport.given  # type: ignore[attr-defined]
    assert [str(recipient.address) for recipient in envelope.recipients] == ["a@there.test", "b@there.test"]
    assert octets == b"Subject: hello\r\n\r\nhello\r\n"


@pytest.mark.parametrize("error", [RuntimeError("a bug"), KeyError(0), Unavailable("database away")])
async def test_our_own_faults_only_defer(office: Office, error: Exception):
    entries = await leased(office, "a@there.test")
    (outcome,) = await outbound(office, error).attempt(entries)
    assert (outcome.kind, outcome.status) == (OutcomeKind.DEFERRED, "4.3.0")


async def test_a_transport_that_forgets_a_recipient_defers_it(office: Office):
    entries = await leased(office, "a@there.test", "b@there.test")
    assert {outcome.kind for outcome in await outbound(office, [DELIVERED]).attempt(entries)} == {OutcomeKind.DEFERRED}


async def test_an_account_that_is_gone_is_a_failure(office: Office):
    async def gone(entry: QueueEntry) -> Outcome:
        raise NotFound("There is no such account any more")

    entries = await leased(office, "bob@example.test", destination="local")
    (outcome,) = await outbound(office, local=gone).attempt(entries)
    assert (outcome.kind, outcome.status) == (OutcomeKind.FAILED, "5.1.1")


async def test_a_copy_that_was_filed_is_settled_already(office: Office):
    async def filed(entry: QueueEntry) -> Outcome:
        return DELIVERED

    entries = await leased(office, "bob@example.test", destination="local")
    flow = outbound(office, local=filed)
    (settlement,) = await flow.judge(entries, await flow.attempt(entries))
    assert settlement.is_settled


async def test_each_outcome_has_its_consequence(office: Office):
    entries = await leased(office, "a@there.test", "b@there.test", "c@there.test")
    failed, delivered, deferred = await outbound(office).judge(entries, [DELIVERED, DEFERRED, FAILED])
    assert (failed.entry.number, failed.next_try) == (2, None)
    assert failed.report is not None
    assert (delivered.entry.number, delivered.next_try, delivered.report) == (0, None, None)
    assert (deferred.entry.number, deferred.next_try, deferred.report) == (1, office.clock.now() + 1800, None)
    assert not any(settlement.is_settled for settlement in (failed, delivered, deferred))


async def test_failures_of_one_attempt_are_one_report_that_comes_first(office: Office):
    entries = await leased(office, "a@there.test", "b@there.test", "c@there.test")
    first, *others = await outbound(office).judge(entries, [DELIVERED, FAILED, FAILED])
    assert first.report is not None and first.report.body.data is not None
    assert first.report.body.data.count(b"Final-Recipient:") == 2
    assert [settlement.report for settlement in others] == [None, None]


async def test_at_the_end_of_trying_the_last_words_are_reported(office: Office):
    entries = await leased(office, "a@there.test")
    office.clock.at += 5 * DAY - 60
    (settlement,) = await outbound(office).judge(entries, [DEFERRED])
    assert settlement.next_try is None
    assert (settlement.outcome.kind, settlement.outcome.status, settlement.outcome.text) == (OutcomeKind.FAILED, "4.4.7", "busy")
    assert settlement.report is not None and settlement.report.body.data is not None
    assert b"could not be delivered for 5 days" in settlement.report.body.data


class BrokenDirectory:
    async def find(self, address: Address) -> None:
        raise Unavailable("away")


async def test_a_failure_that_cannot_be_reported_is_not_forgotten(office: Office):
    entries = await leased(office, "a@there.test", "b@there.test")
    flow = outbound(office, directory=BrokenDirectory())
    delivered, failed = await flow.judge(entries, [DELIVERED, FAILED])
    assert delivered.next_try is None
    assert failed.next_try == office.clock.now() + 1800
    office.clock.at += 5 * DAY
    (failed,) = await flow.judge(entries[1:], [FAILED])
    assert failed.next_try is None
