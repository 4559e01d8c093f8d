"""What an administrator does with what waits: totals, holding, other times, other ways."""

from __future__ import annotations

import pytest

from postillon.model.address import Address
from postillon.model.envelope import Envelope, Recipient
from postillon.model.errors import InUse
from postillon.model.ids import QueueId
from postillon.model.plan import Enqueue, Plan
from postillon.model.queue import QueueState
from postillon.seams import Tx
from postillon.storage.store import Chosen
from postillon.storage.store.envelopes import encode_recipient
from postillon.storage.store.queue_orders import STEP

from .conftest import Office


async def enqueued(office: Office, *recipients: str, due: int = 0) -> QueueId:
    spool = office.store.spool(10**6)
    spool.write(b"Subject: x\r\n\r\nx\r\n")
    now = office.clock.now()
    envelope = Envelope(Address.parse("alice@example.test"), tuple(Recipient(Address.parse(name)) for name in recipients))
    destinations = tuple(recipient.address.domain for recipient in envelope.recipients)
    item = Enqueue(QueueId(office.store.new_ids(1)[0]), envelope, destinations, b"", None, due or now, now + 86400)
    await office.store.commit(Plan(await spool.finish(), None, now, items=(item,)))
    return item.queue_id


async def leased(office: Office) -> list[str]:
    entries = await office.store.lease(office.clock.now(), 10_000, 300, per_destination=10_000)
    return sorted(f"{entry.recipient.address} {entry.destination}" for entry in entries)


async def test_totals_are_by_destination_with_the_reason(office: Office):
    store, made_at = office.store, office.clock.now()
    held = await enqueued(office, "x@held.test")
    await enqueued(office, "a@busy.test", "b@busy.test", "c@other.test")
    await store.queue_state(Chosen(held), QueueState.HELD)
    for entry in await store.lease(made_at, 100, 300):
        assert await store.settle(entry, answer="4.7.1 greylisted", next_try=made_at + 60 + entry.number)
    found = {(total.destination, total.state.name): total for total in await store.queue_totals()}
    assert set(found) == {("busy.test", "WAITING"), ("other.test", "WAITING"), ("held.test", "HELD")}
    busy = found["busy.test", "WAITING"]
    assert (busy.count, busy.due, busy.attempts, busy.made_at) == (2, made_at + 60, 1, made_at)
    assert busy.last_answer == "4.7.1 greylisted"


async def test_totals_tell_since_when_the_oldest_waits(office: Office):
    first = office.clock.at
    await enqueued(office, "a@there.test", due=first + 5000)
    office.clock.at += 100
    await enqueued(office, "b@there.test")
    (total,) = await office.store.queue_totals()
    assert (total.made_at, total.due) == (first, first + 100)


async def test_a_destination_is_held_and_released_as_a_whole(office: Office):
    store = office.store
    await enqueued(office, "a@one.test", "b@two.test")
    await enqueued(office, "c@one.test")
    assert await store.queue_state(Chosen(destination="one.test"), QueueState.HELD) == 2
    assert await leased(office) == ["b@two.test two.test"]
    assert await store.queue_state(Chosen(destination="one.test"), QueueState.WAITING) == 2
    assert await leased(office) == ["a@one.test one.test", "c@one.test one.test"]


async def test_what_waits_is_brought_forward_or_put_off(office: Office):
    store, now = office.store, office.clock.now()
    await enqueued(office, "a@one.test", due=now + 5000)
    await enqueued(office, "b@one.test")
    assert await store.queue_due(Chosen(destination="one.test"), now + 100) == 2
    assert await leased(office) == []
    office.clock.at += 100
    assert len(await leased(office)) == 2


async def test_an_attempt_under_way_is_not_touched(office: Office):
    store, now = office.store, office.clock.now()
    await enqueued(office, "a@one.test")
    (entry,) = await store.lease(now, 10, 300)
    assert await store.queue_due(Chosen(), now) == 0
    assert await store.queue_reroute(Chosen(), "via:other.test:25") == 0
    assert await store.settle(entry)


async def test_what_waits_goes_another_way_and_back(office: Office):
    store = office.store
    message = await enqueued(office, "a@one.test", "b@two.test")
    await enqueued(office, "c@three.test")
    assert await store.queue_reroute(Chosen(message), "via:relay.test:2525") == 2
    assert await store.queue_reroute(Chosen(message), "via:relay.test:2525") == 0
    assert await store.queue_reroute(Chosen(destination="via:relay.test:2525"), "") == 2
    assert await store.queue_reroute(Chosen(), "via:relay.test:2525") == 3
    assert await leased(office) == [f"{name} via:relay.test:2525" for name in ("a@one.test", "b@two.test", "c@three.test")]


async def test_copies_for_accounts_here_are_not_sent_away(office: Office):
    store = office.store
    await enqueued(office, "a@one.test")
    await office.database.write(lambda tx: tx.run("UPDATE queue_recipient SET destination = ?", b"local"))
    assert await store.queue_reroute(Chosen(), "via:relay.test:25") == 0


async def test_much_is_changed_in_steps(office: Office):
    store, now = office.store, office.clock.now()
    names = [f"u{n}@one.test" for n in range(700)]
    for _ in range(4):
        await enqueued(office, *names, due=now + 50)
    assert STEP < 2800
    chosen = Chosen(destination="one.test")
    assert await store.queue_due(chosen, now) == 2800
    assert await store.queue_state(chosen, QueueState.HELD) == 2800
    assert await store.queue_state(Chosen(), QueueState.WAITING) == 2800
    assert await store.queue_reroute(chosen, "via:relay.test:25") == 2800
    assert await store.queue_reroute(Chosen(), "") == 2800
    assert [total.count for total in await store.queue_totals()] == [2800]


async def test_rows_are_put_off_by_their_attempts_and_the_exceptional_are_left_alone(office: Office):
    store, now = office.store, office.clock.now()
    expiring = await enqueued(office, "expiring@dead.test")
    await enqueued(office, "fresh@dead.test", "tried@dead.test", "often@dead.test", "late@dead.test", "x@other.test")

    def prepare(tx: Tx) -> None:
        for name, attempts, reported in (("tried", 1, 0), ("often", 9, 1), ("late", 9, 0)):
            recipient = encode_recipient(Recipient(Address.parse(f"{name}@dead.test")))
            sql = "UPDATE queue_recipient SET attempts = ?, delay_reported = ? WHERE recipient = ?"
            assert tx.run(sql, attempts, reported, recipient) == 1
        tx.run("UPDATE queue_message SET expires = ? WHERE queue_id = ?", now + 9, expiring)

    await office.database.write(prepare)
    assert await store.put_off("dead.test", "4.4.1 nobody", [10, 20, 40], 25, 100) == 3
    found = {view.recipient: (view.due - now, view.attempts, view.last_answer) for view in await store.queue_views()}
    assert found == {
        "fresh@dead.test": (10, 1, "4.4.1 nobody"),
        "tried@dead.test": (20, 2, "4.4.1 nobody"),
        "often@dead.test": (40, 10, "4.4.1 nobody"),
        # These need an attempt of their own: one would have to be reported as delayed, one would expire.
        "late@dead.test": (0, 9, ""),
        "expiring@dead.test": (0, 0, ""),
        "x@other.test": (0, 0, ""),
    }
    assert await store.put_off("dead.test", "4.4.1 nobody", [10, 20, 40], 25, 100) == 0


async def test_a_retry_that_was_asked_for_brings_forward_what_was_tried_and_nothing_else(office: Office):
    store, now = office.store, office.clock.now()
    await enqueued(office, "a@branch.test", "b@www.branch.test", "c@other.test")
    for entry in await store.lease(now, 100, 300):
        assert await store.settle(entry, answer="4.4.1 away", next_try=now + 1000)
    await enqueued(office, "later@branch.test", due=now + 1000)
    assert await store.queue_retry("nothing.test") == 0
    assert await store.queue_retry("branch.test") == 1
    assert await leased(office) == ["a@branch.test branch.test"]
    assert await store.queue_retry("branch.test", below=True) == 1
    assert await leased(office) == ["b@www.branch.test www.branch.test"]


async def test_a_message_that_waits_is_taken_back_but_for_those_to_whom_it_is_under_way(office: Office):
    store, now = office.store, office.clock.now()
    whole = await enqueued(office, "a@one.test", "b@two.test", due=now + 5000)
    assert await store.queue_recall(whole) == (["a@one.test", "b@two.test"], [])
    assert await store.queue_views(whole) == []
    part = await enqueued(office, "a@one.test", "b@two.test")
    (entry,) = await store.lease(now, 100, 300, skip=("two.test",))
    assert await store.queue_recall(part) == (["b@two.test"], ["a@one.test"])
    assert await store.settle(entry)
    assert await store.queue_views(part) == [] and await store.queue_size() == 0
    assert await store.queue_recall(part) == ([], [])


async def test_removal_with_a_report_is_one_commit_and_refused_while_an_attempt_runs(office: Office):
    queue_id = await enqueued(office, "bob@there.test")
    (entry,) = await office.store.queue_entries(queue_id)
    assert (entry.owner, str(entry.recipient.address.domain)) == (0, "there.test")
    (leased,) = await office.store.lease(office.clock.now(), 10, 300)
    with pytest.raises(InUse):
        await office.store.queue_remove([entry], None)
    await office.store.release(leased, office.clock.now())
    with pytest.raises(InUse):
        await office.store.queue_remove([entry], None)
    await office.store.queue_remove(await office.store.queue_entries(queue_id), None)
    assert await office.store.queue_size() == 0
