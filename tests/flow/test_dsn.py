"""RFC 3461: who asks for reports gets those, and nobody else; what we cannot tell is passed on."""

from __future__ import annotations

import email
import email.policy
from dataclasses import replace
from email.message import EmailMessage

import pytest

from postillon.flow.bounce import Reporter, wants_delay
from postillon.flow.outbound import Outbound
from postillon.flow.receive import Receiver
from postillon.flow.retry import RetrySchedule
from postillon.flow.submit import Submitter
from postillon.message.incoming import Incoming
from postillon.model.address import Address
from postillon.model.envelope import Client, DeliverBy, Envelope, Notify, Recipient
from postillon.model.plan import Receipt
from postillon.model.queue import Outcome, OutcomeKind, QueueEntry
from postillon.storage.ids import IdSource

from .conftest import SETTINGS, STRANGER, Office
from .test_outbound import Answering, unused

MESSAGE = (
    b"From: alice@example.test\r\nTo: bob@example.test\r\nSubject: hello\r\nMessage-ID: <7@example.test>\r\n\r\nThe body.\r\n"
)
TAKEN = Outcome(OutcomeKind.DELIVERED, "2.0.0", "taken", "mx.there.test [192.0.2.1]", 250)
BUSY = Outcome(OutcomeKind.DEFERRED, "4.2.1", "busy", "mx.there.test [192.0.2.1]", 450)
GONE = Outcome(OutcomeKind.FAILED, "5.1.1", "nobody", "mx.there.test [192.0.2.1]", 550)
HOUR = 3600


def wishing(address: str, *notify: Notify, original: str | None = None) -> Recipient:
    return Recipient(Address.parse(address), frozenset(notify), original)


@pytest.fixture
def office(office: Office) -> Office:
    """With reports."""
    reporter = Reporter(
        store=office.store, directory=office.directory, clock=office.clock, ids=IdSource(9), hostname="mail.example.test"
    )
    office.deliverer._reporter = reporter
    return office


async def hand_in(office: Office, path: Receiver | Submitter, client: Client, sender: str, *recipients: Recipient) -> Receipt:
    envelope = Envelope(Address.parse(sender), envid="QQ314159", ret="FULL")
    accepted = [await path.recipient(client, envelope, recipient) for recipient in recipients]
    envelope = replace(envelope, recipients=recipients)
    spool = office.store.spool(10**6)
    spool.write(MESSAGE)
    return await path.message(Incoming(client, envelope, tuple(accepted), await spool.finish(), office.clock.now()))


async def submit(office: Office, *recipients: Recipient) -> Receipt:
    return await hand_in(office, office.submitter, office.client, "alice@example.test", *recipients)


async def reports(office: Office) -> list[EmailMessage]:
    """The reports in alice's inbox."""
    found = [email.message_from_bytes(octets, policy=email.policy.default) for octets in await office.mail(office.alice)]
    return [one for one in found if one.get_content_type() == "multipart/report"]  # type: ignore[misc]


def blocks(report: EmailMessage) -> list[dict[str, str]]:
    """The delivery-status of each recipient."""
    _, status, _ = report.iter_parts()
    return [dict(block.items()) for block in status.get_payload()[1:]]  # type: ignore[union-attr,index]


def outbound(office: Office, *outcomes: Outcome) -> Outbound:
    assert office.deliverer._reporter is not None
    return Outbound(
        store=office.store,
        transport=Answering(outcomes),
        deliver_local=unused,
        reporter=office.deliverer._reporter,
        clock=office.clock,
        schedule=RetrySchedule(),
    )


async def settle(office: Office, entries: list[QueueEntry], *outcomes: Outcome) -> None:
    for found in await outbound(office).judge(entries, outcomes):
        assert await office.store.settle(
            found.entry, next_try=found.next_try, delay_reported=found.delay_reported, report=found.report
        )


# --- delivered here ---------------------------------------------------------------------------------------------------


async def test_success_is_reported_in_the_commit_that_files(office: Office):
    await submit(office, wishing("bob@example.test", Notify.SUCCESS, original="rfc822;Bob@example.test"))
    assert len(await office.mail(office.bob)) == 1
    (report,) = await reports(office)
    assert report["Subject"] == "Delivered: hello"
    words, status, header = report.iter_parts()
    assert words.get_content().startswith("Your message to bob@example.test was delivered.")
    assert status.get_payload()[0]["Original-Envelope-Id"] == "QQ314159"  # type: ignore[index]
    (block,) = blocks(report)
    assert (block["Action"], block["Status"]) == ("delivered", "2.1.5")
    assert block["Original-Recipient"] == "rfc822;Bob@example.test"
    # RFC 3461 §4.3: RET=FULL is for failures.
    assert header.get_content_type() == "text/rfc822-headers"


@pytest.mark.parametrize("notify", [(), (Notify.NEVER,), (Notify.FAILURE, Notify.DELAY)])
async def test_who_did_not_ask_hears_nothing_of_success(office: Office, notify: tuple[Notify, ...]):
    await submit(office, wishing("bob@example.test", *notify))
    assert len(await office.mail(office.bob)) == 1
    assert await reports(office) == []


async def test_one_report_for_all_that_are_delivered(office: Office):
    await submit(office, wishing("bob@example.test", Notify.SUCCESS), wishing("alice@example.test", Notify.SUCCESS))
    (report,) = await reports(office)
    assert {block["Final-Recipient"] for block in blocks(report)} == {"rfc822; bob@example.test", "rfc822; alice@example.test"}


async def test_a_sender_elsewhere_hears_of_success_by_the_queue(office: Office):
    await hand_in(office, office.receiver, STRANGER, "carol@sender.test", wishing("bob@example.test", Notify.SUCCESS))
    ((entry, octets),) = await office.queued()
    assert (entry.envelope.sender, str(entry.recipient.address)) == (None, "carol@sender.test")
    assert b"Action: delivered" in octets
    assert entry.recipient.notify == {Notify.NEVER}


async def test_a_message_sent_again_after_a_lost_250_is_reported_once(office: Office):
    first = await submit(office, wishing("bob@example.test", Notify.SUCCESS))
    await office.store.void_all()  # as if the worker had died before the client went on
    again = await submit(office, wishing("bob@example.test", Notify.SUCCESS))
    assert (first.repeated, again.repeated) == (False, True)
    assert len(await reports(office)) == 1


async def test_an_alias_of_one_is_as_good_as_its_account(office: Office):
    await office.directory.create_alias("robert@example.test", ["bob@example.test"])
    await submit(office, wishing("robert@example.test", Notify.SUCCESS))
    ((block,),) = [blocks(report) for report in await reports(office)]
    assert (block["Action"], block["Final-Recipient"]) == ("delivered", "rfc822; robert@example.test")


async def test_an_alias_of_many_is_expanded_and_its_members_confirm_nothing(office: Office):
    await office.directory.create_alias("all@example.test", ["bob@example.test", "carol@there.test"])
    await submit(office, wishing("all@example.test", Notify.SUCCESS))
    (report,) = await reports(office)
    assert [block["Action"] for block in blocks(report)] == ["expanded"]
    ((entry, _),) = await office.queued()
    assert entry.recipient.notify == {Notify.NEVER}  # not no wish, which would ask for failures
    assert entry.recipient.original == "rfc822;all@example.test"


async def test_an_alias_of_many_keeps_the_other_wishes(office: Office):
    await office.directory.create_alias("all@example.test", ["bob@example.test", "carol@there.test"])
    await submit(office, wishing("all@example.test", Notify.SUCCESS, Notify.FAILURE))
    ((entry, _),) = await office.queued()
    assert entry.recipient.notify == {Notify.FAILURE}


async def test_an_alias_that_forwards_passes_the_wishes_on(office: Office):
    await office.directory.create_alias("away@example.test", ["carol@there.test"])
    await submit(office, wishing("away@example.test", Notify.SUCCESS))
    ((entry, _),) = await office.queued()
    assert (entry.recipient.notify, entry.recipient.original) == ({Notify.SUCCESS}, "rfc822;away@example.test")
    assert await reports(office) == []


async def test_a_copy_that_the_queue_files_is_reported_when_it_is_filed(office: Office):
    office.deliverer._settings = replace(SETTINGS, copies_at_once=0)
    await submit(office, wishing("bob@example.test", Notify.SUCCESS))
    assert await reports(office) == []
    ((entry, _),) = await office.queued()
    outcome = await office.deliverer.file_entry(entry)
    assert outcome.kind is OutcomeKind.DELIVERED
    assert len(await office.mail(office.bob)) == 1
    ((block,),) = [blocks(report) for report in await reports(office)]
    assert (block["Action"], block["Final-Recipient"]) == ("delivered", "rfc822; bob@example.test")


# --- delivered elsewhere ------------------------------------------------------------------------------------------------


async def queued(office: Office, *recipients: Recipient) -> list[QueueEntry]:
    await submit(office, *recipients)
    return [entry for entry, _ in await office.queued()]


async def test_a_hop_without_dsn_makes_us_say_relayed(office: Office):
    entries = await queued(office, wishing("c@there.test", Notify.SUCCESS), wishing("d@there.test"))
    await settle(office, entries, TAKEN, TAKEN)
    (report,) = await reports(office)
    (block,) = blocks(report)
    assert (block["Action"], block["Final-Recipient"], block["Remote-MTA"]) == (
        "relayed",
        "rfc822; c@there.test",
        "dns; mx.there.test",
    )
    assert await office.store.queue_size() == 0


async def test_a_hop_with_dsn_confirms_itself(office: Office):
    entries = await queued(office, wishing("c@there.test", Notify.SUCCESS))
    await settle(office, entries, replace(TAKEN, confirms=True))
    assert await reports(office) == []


@pytest.mark.parametrize(("by", "notify", "count"), [("T", (), 1), ("", (), 0), ("T", (Notify.NEVER,), 0)])
async def test_who_traces_a_message_hears_of_each_server_that_hands_it_on(
    office: Office, by: str, notify: tuple[Notify, ...], count: int
):
    entries = await queued(office, wishing("c@there.test", *notify))
    deliver_by = DeliverBy(3600, False, bool(by))
    entries = [replace(entry, envelope=replace(entry.envelope, deliver_by=deliver_by)) for entry in entries]
    await settle(office, entries, replace(TAKEN, confirms=True))
    assert [blocks(report)[0]["Action"] for report in await reports(office)] == ["relayed"] * count


async def test_each_kind_of_news_has_a_report_of_its_own(office: Office):
    both = (Notify.SUCCESS, Notify.FAILURE, Notify.DELAY)
    entries = await queued(office, *(wishing(f"{name}@there.test", *both) for name in "cde"))
    office.clock.at += 5 * HOUR
    await settle(office, entries, TAKEN, BUSY, GONE)
    assert sorted(block["Action"] for report in await reports(office) for block in blocks(report)) == [
        "delayed",
        "failed",
        "relayed",
    ]


# --- delays -----------------------------------------------------------------------------------------------------------


async def test_a_delay_is_reported_after_four_hours_and_once(office: Office):
    (entry,) = await queued(office, wishing("c@there.test"))
    (early,) = await outbound(office).judge([entry], [BUSY])
    assert (early.report, early.delay_reported) == (None, False)
    office.clock.at += 4 * HOUR
    await settle(office, [entry], BUSY)
    (report,) = await reports(office)
    assert report["Subject"] == "Delayed: hello"
    (block,) = blocks(report)
    assert (block["Action"], block["Status"]) == ("delayed", "4.2.1")
    assert "Will-Retry-Until" in block
    office.clock.at += 4 * HOUR
    ((again, _),) = await office.queued()
    assert again.delay_reported
    await settle(office, [again], BUSY)
    assert len(await reports(office)) == 1


async def test_an_attempt_is_made_when_the_report_is_due(office: Office):
    (entry,) = await queued(office, wishing("c@there.test"))
    office.clock.at += 2 * HOUR
    entry = replace(entry, attempts=3)
    (found,) = await outbound(office).judge([entry], [BUSY])
    assert found.next_try == entry.made_at + 4 * HOUR  # by the schedule it would be six hours
    (found,) = await outbound(office).judge([replace(entry, delay_reported=True)], [BUSY])
    assert found.next_try == entry.made_at + 6 * HOUR


@pytest.mark.parametrize(
    ("notify", "is_ours", "wanted"),
    [
        ((), True, True),
        ((), False, False),
        ((Notify.DELAY,), False, True),
        ((Notify.FAILURE,), True, False),
        ((Notify.NEVER,), True, False),
    ],
)
async def test_who_hears_of_a_delay(office: Office, notify: tuple[Notify, ...], is_ours: bool, wanted: bool):
    (entry,) = await queued(office, wishing("c@there.test", *notify))
    assert wants_delay(entry if is_ours else replace(entry, account=None)) is wanted


async def test_a_delay_that_cannot_be_reported_is_reported_the_next_time(office: Office):
    (entry,) = await queued(office, wishing("c@there.test"))
    office.clock.at += 5 * HOUR
    flow = outbound(office)
    whole, flow._reporter._directory = flow._reporter._directory, None  # type: ignore[assignment]
    (found,) = await flow.judge([entry], [BUSY])
    assert (found.report, found.delay_reported) == (None, False)
    flow._reporter._directory = whole
    (found,) = await flow.judge([entry], [BUSY])
    assert found.report is not None and found.delay_reported


async def test_a_domain_may_have_a_schedule_of_its_own(office: Office):
    (entry,) = await queued(office, wishing("c@there.test"))
    flow = outbound(office)
    flow._schedules = {"there.test": RetrySchedule(first_wait_s=60)}
    (found,) = await flow.judge([entry], [BUSY])
    assert found.next_try == office.clock.now() + 60
