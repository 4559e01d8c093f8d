"""What is written down about messages: with the commit, a second later, after a crash; found, and removed."""

from __future__ import annotations

import time

import pytest

from postillon.message.prepare import prepare
from postillon.model.address import Address
from postillon.model.envelope import Envelope, Recipient
from postillon.model.ids import QueueId
from postillon.model.plan import Enqueue, File, Plan
from postillon.model.record import Record, Stage, name_of
from postillon.seams import Database
from postillon.storage.store import records
from tests.directory.test_plans import Noting, explain

from .conftest import Office

MESSAGE = b"Message-ID: <one@sender.test>\r\nSubject: hello\r\n\r\nText\r\n"
DAY = 86400


async def plan(office: Office, *, queued: bool = False, key: bytes = b"") -> Plan:
    """A message for alice, and for somebody elsewhere if *queued*."""
    spool = office.store.spool(10_000)
    spool.write(MESSAGE)
    body = await spool.finish()
    items: list[File | Enqueue] = [File(office.alice, b"", body.size)]
    if queued:
        envelope = Envelope(Address("bob", "sender.test"), (Recipient(Address("carol", "far.test")),))
        queue_id = QueueId(office.store.new_ids(1)[0])
        items.append(Enqueue(queue_id, envelope, ("far.test",), b"", None, office.clock.now(), office.clock.now() + DAY))
    facts = {"sender": "bob@sender.test", "message_id": "one@sender.test", "recipients": ["alice@example.test"]}
    written = (Record(Stage.ACCEPTED, office.clock.now(), facts),)
    return Plan(body, prepare(MESSAGE), office.clock.now(), 0, tuple(items), key, records=written)


async def found(office: Office, text: str, since: int = 0) -> list[list[Stage]]:
    now = int(time.time())
    return [
        [record.stage for record in traced.records]
        for traced in await office.store.find_records(text, since or now - 40 * DAY, now + 60)
    ]


async def test_acceptance_is_written_down_with_the_places_of_the_copies(office: Office) -> None:
    receipt = await office.store.commit(await plan(office))
    (traced,) = await office.store.find_records("<ONE@sender.test>", int(time.time()) - DAY, int(time.time()) + 60)
    assert traced.trail == receipt.blob
    assert [record.stage for record in traced.records] == [Stage.ACCEPTED, Stage.FILED]
    assert traced.records[0].facts["sender"] == "bob@sender.test"
    assert traced.records[1].facts == {"account": office.alice, "mailbox": receipt.filed[0].mailbox, "uid": 1}


@pytest.mark.parametrize("name", ["one@sender.test", "Bob@SENDER.test", "carol@far.test", "queue", "message"])
async def test_message_is_found_by_each_of_its_names(office: Office, name: str) -> None:
    receipt = await office.store.commit(await plan(office, queued=True))
    text = {"queue": f"{receipt.queued[0]:x}", "message": f"{receipt.blob:X}"}.get(name, name)
    assert await found(office, text) == [[Stage.ACCEPTED, Stage.FILED, Stage.QUEUED]]


async def test_what_is_not_known_is_not_found(office: Office) -> None:
    await office.store.commit(await plan(office))
    assert await found(office, "two@sender.test") == await found(office, "ffff") == await found(office, "-1") == []


async def test_time_limits_leave_out_what_was_before(office: Office) -> None:
    await office.store.commit(await plan(office))
    assert await found(office, "one@sender.test", since=int(time.time()) + 30) == []


async def test_attempt_is_written_down_with_its_settlement(office: Office) -> None:
    receipt = await office.store.commit(await plan(office, queued=True))
    (entry,) = await office.store.lease(office.clock.now(), 10, 300)
    attempt = Record(Stage.DEFERRED, office.clock.now(), {"answer": "not now"})
    assert await office.store.settle(entry, answer="not now", next_try=office.clock.now(), record=attempt)
    assert not await office.store.settle(entry, answer="too late", record=attempt), "the lease was given back"
    (entry,) = await office.store.lease(office.clock.now(), 10, 300)
    assert await office.store.settle(entry, record=Record(Stage.DELIVERED, office.clock.now(), {}))
    assert await found(office, f"{receipt.queued[0]:x}") == [
        [Stage.ACCEPTED, Stage.FILED, Stage.QUEUED, Stage.DEFERRED, Stage.DELIVERED]
    ]


async def test_report_is_named_where_it_was_made(office: Office) -> None:
    first = await plan(office, queued=True)
    await office.store.commit(first)
    (entry,) = await office.store.lease(office.clock.now(), 10, 300)
    report = await plan(office)
    await office.store.settle(entry, report=report, record=Record(Stage.FAILED, office.clock.now(), {}))
    found = await office.store.find_records(f"{first.body.blob:x}", 0, int(time.time()) + 60)
    assert [record.stage for record in found[0].records][3:] == [Stage.FAILED, Stage.REPORTED]
    assert found[0].records[4].facts == {"report": f"{report.body.blob:x}"}


async def test_refusal_is_found_by_sender_and_recipient(office: Office) -> None:
    facts = {"peer": "192.0.2.1", "sender": "bob@sender.test", "recipients": ["nobody@example.test"]}
    office.store.note(Record(Stage.REFUSED, office.clock.now(), facts))
    for name in ("Nobody@Example.test", "bob@sender.test", "192.0.2.1"):
        assert await found(office, name) == [[Stage.REFUSED]]


async def test_repetition_is_written_down_once_and_files_nothing(office: Office) -> None:
    first = await plan(office, key=b"k" * 32)
    await office.store.commit(first)
    await office.store.unheard(b"k" * 32)
    again = await plan(office, key=b"k" * 32)
    assert (await office.store.commit(again)).repeated
    assert await found(office, "one@sender.test") == [[Stage.ACCEPTED, Stage.FILED, Stage.REPEATED]]


async def test_what_a_killed_worker_had_not_named_is_named_by_the_next(office: Office) -> None:
    await office.store.commit(await plan(office))
    following = office.again()
    now = int(time.time())
    assert await following.find_records("one@sender.test", now - DAY, now + 60) == [], "the names had waited in memory"
    await following.void_former()
    assert len(await following.find_records("one@sender.test", now - DAY, now + 60)) == 1


async def test_notes_are_bounded(office: Office) -> None:
    notes = records.Notes()
    made = Record(Stage.REFUSED, office.clock.now(), {})
    added = [notes.add(number, number, made) for number in range(1, records.MAX_WAITING + 3)]
    assert added.count(True) == records.MAX_WAITING
    assert notes.dropped == 2


async def test_notes_of_an_hour_are_bounded(office: Office) -> None:
    notes = records.Notes()
    for number in range(1, records.NOTES_AN_HOUR + 1):
        assert notes.add(number, number, Record(Stage.REFUSED, 7200, {}))
        if number % 1000 == 0:
            notes.take()
    assert not notes.add(1, 1, Record(Stage.REFUSED, 7200, {}))
    assert notes.add(1, 1, Record(Stage.REFUSED, 10800, {}))


async def test_facts_are_cut_before_they_grow(office: Office) -> None:
    octets = records.encode((Record(Stage.REFUSED, 1, {"answer": "x" * 5000, "list": ["y" * 5000] * 5000}),))
    assert len(octets) <= records.MAX_OCTETS
    octets = records.encode((Record(Stage.REFUSED, 1, {"answer": "x" * 5000}),))
    assert len(records.decode(octets)[0].facts["answer"]) == records.MAX_TEXT + 1


async def test_old_records_and_names_go(office: Office) -> None:
    await office.store.commit(await plan(office))
    await office.store.flush_notes()
    office.clock.at = int(time.time()) + 2 * DAY
    assert await office.store.prune_records(3 * DAY) == 0
    assert await office.store.prune_records(DAY) == 4, "the record and three names"
    assert await office.store.prune_records(DAY) == 0
    assert await found(office, "one@sender.test") == []


async def test_nothing_is_kept_where_nothing_is_wanted(office: Office) -> None:
    office.store._keeps_records = False
    await office.store.commit(await plan(office))
    office.store.note(Record(Stage.REFUSED, office.clock.now(), {"sender": "a@b.test"}))
    assert await found(office, "one@sender.test") == await found(office, "a@b.test") == []


def test_names_meet_however_they_are_written() -> None:
    assert name_of(" <Bob@Sender.TEST> ") == "bob@sender.test"
    assert name_of("bob@bücher.test") == name_of("BOB@xn--bcher-kva.test") == "bob@xn--bcher-kva.test"


async def test_every_statement_goes_by_an_index(office: Office) -> None:
    noting = Noting(office.database)
    store = office.store
    store.database = noting  # type: ignore[assignment]
    await store.commit(await plan(office, queued=True))
    store.note(Record(Stage.REFUSED, office.clock.now(), {"sender": "a@b.test"}))
    await store.find_records("one@sender.test", int(time.time()) - DAY, int(time.time()))
    await store.find_records("ffff", int(time.time()) - DAY, int(time.time()))
    await store.void_former()
    await store.prune_records(DAY)
    database: Database = office.database
    for sql in noting.statements:
        if "record" in sql:
            await explain(database, sql)
