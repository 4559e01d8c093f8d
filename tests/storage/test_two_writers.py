"""Two works at a time on the same rows: what one has read must not be changed by the other before it writes.

On PostgreSQL the second one begins while the first one's transaction is open, and waits for it somewhere in its midst. SQLite
runs one after the other by itself; there the same must come out.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from postillon.model.account import Principal
from postillon.model.errors import NotFound, SendingLimitReached
from postillon.model.ids import AccountId
from postillon.model.plan import Prepared
from postillon.model.queue import QueueState
from postillon.model.sending import NO_LIMITS
from postillon.seams import Tx, Work
from postillon.storage.knowledge import Heard, Knowledge
from postillon.storage.store import Chosen, bans, queue, sending, suppression
from postillon.storage.store.bans import Ban
from postillon.storage.store.quarantine import REF_QUARANTINE, Quarantine

from .conftest import Office
from .test_quarantine import blobs, held
from .test_queue_operator import enqueued
from .test_sending import states, submit
from .test_store import append, inbox

T = TypeVar("T")
PREPARED = Prepared(b"overview", b"structure")


class Waiting:
    """`seams.Database` whose works have run, but are committed only when `go` is set."""

    def __init__(self, office: Office) -> None:
        self._inner = office.database
        self.ran = asyncio.Event()
        self.go = threading.Event()

    async def write(self, work: Work[T], accounts: Sequence[AccountId] = (), *, heavy: bool = False) -> T:
        loop = asyncio.get_running_loop()

        def held_back(tx: Tx) -> T:
            result = work(tx)
            if tx.dialect == "postgres":
                loop.call_soon_threadsafe(self.ran.set)
                assert self.go.wait(30)
            return result

        return await self._inner.write(held_back, accounts, heavy=heavy)

    async def read(self, work: Work[T], *, short: bool = False) -> T:
        return await self._inner.read(work, short=short)

    async def peek(self, work: Work[T]) -> T:
        return await self._inner.peek(work)

    async def close(self) -> None: ...


def somebody_waits(tx: Tx) -> bool:
    sql = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' LIMIT 1"
    return tx.dialect == "postgres" and tx.one(sql) is not None


async def beside(
    office: Office, first: Callable[[Office], Awaitable[object]], second: Callable[[Office], Awaitable[object]]
) -> list[object]:
    """Run *second* while *first* has written and not committed; what both return or raise."""
    database = Waiting(office)
    other = replace(office, database=database)
    other.store = other.again()
    one = asyncio.ensure_future(first(other))
    ran = asyncio.ensure_future(database.ran.wait())
    try:
        await asyncio.wait([one, ran], return_when=asyncio.FIRST_COMPLETED)
        two = asyncio.ensure_future(second(office))
        while not two.done() and not await office.database.read(somebody_waits):
            await asyncio.wait([two], timeout=0.01)
    finally:
        database.go.set()
        ran.cancel()
    return await asyncio.gather(one, two, return_exceptions=True)


async def lease(office: Office) -> int:
    return len(await office.store.lease(office.clock.now(), 10, 300))


async def test_what_is_leased_at_this_moment_is_not_made_due(office: Office):
    orders: list[Callable[[Office], Awaitable[object]]] = [
        lambda office: office.store.queue_due(Chosen(destination="there.test"), office.clock.now() - 10),
        lambda office: office.store.queue_reroute(Chosen(destination="there.test"), "via:gate.test:25"),
        lambda office: office.store.put_off("there.test", "4.4.1 no answer", [60], 0, 10),
    ]
    for order in orders:
        queue_id = await enqueued(office, "a@there.test")
        assert (await beside(office, lease, order))[0] == 1
        ((view,), (entry,)) = await office.store.queue_views(queue_id), await office.store.queue_entries(queue_id)
        assert (view.due, view.destination, entry.attempts) == (office.clock.now() + 300, "there.test", 0)
        assert await office.store.lease(office.clock.now(), 10, 300) == []
        await office.store.queue_drop(queue_id)


async def test_what_is_leased_at_this_moment_is_not_taken_back(office: Office):
    queue_id = await enqueued(office, "a@there.test")
    assert await beside(office, lease, lambda office: office.store.queue_recall(queue_id)) == [1, ([], ["a@there.test"])]


async def test_two_who_take_a_message_back_count_each_recipient_once(office: Office):
    queue_id = await enqueued(office, "a@one.test", "b@two.test")
    (entry,) = await office.store.lease(office.clock.now(), 1, 300)

    async def recall(office: Office) -> object:
        return await office.store.queue_recall(queue_id)

    assert await beside(office, recall, recall) == [(["b@two.test"], ["a@one.test"]), ([], ["a@one.test"])]
    assert await office.store.settle(entry, answer="4.7.1 later", next_try=office.clock.now())
    assert len(await office.store.lease(office.clock.now(), 10, 300)) == 1


async def test_a_copy_is_not_filed_by_a_worker_whose_lease_another_takes_at_this_moment(office: Office):
    await enqueued(office, "alice@example.test")
    (entry,) = await office.store.lease(office.clock.now(), 10, 300)
    office.clock.at += 400
    found = await beside(office, lease, lambda office: office.store.file_queued(entry, office.alice, PREPARED))
    assert found == [1, False]
    assert (await inbox(office)).total == 0


async def test_of_two_who_lease_one_has_it(office: Office):
    await enqueued(office, "a@there.test")
    assert sorted(map(str, await beside(office, lease, lease))) == ["0", "1"]


async def test_a_submission_beside_a_hold_is_held(office: Office):
    alice, now = office.alice, office.clock.now()

    async def hold(office: Office) -> None:
        await office.database.write(lambda tx: sending.hold(tx, alice, "why", now), (alice,))

    async def hold_all(office: Office) -> None:
        await hold(office)
        await office.database.write(lambda tx: sending.change_step(tx, alice, QueueState.WAITING, QueueState.ACCOUNT_HELD))

    await beside(office, lambda office: submit(office, "a@there.test"), hold_all)
    assert await states(office, alice) == [QueueState.ACCOUNT_HELD]
    await office.database.write(lambda tx: sending.release(tx, alice), (alice,))
    await beside(office, hold, lambda office: submit(office, "b@there.test"))
    assert await states(office, alice) == [QueueState.ACCOUNT_HELD] * 2


async def test_two_submissions_at_a_time_do_not_go_beyond_the_limit(office: Office):
    most = replace(NO_LIMITS, messages_per_hour=1)

    async def one(office: Office) -> object:
        return await submit(office, "a@there.test", limits=most)

    found = await beside(office, one, one)
    assert isinstance(found[1], SendingLimitReached) and len(await states(office, office.alice)) == 1


async def test_what_two_release_at_a_time_goes_out_once(office: Office):
    (hold,) = await held(office, "alice@example.test")

    async def release(office: Office) -> object:
        return await Quarantine(office.store).release(hold, office.clock.now())

    found = await beside(office, release, release)
    assert isinstance(found[1], NotFound) and await office.store.queue_size() == 1


async def test_a_body_goes_when_its_last_two_holders_go_at_a_time(office: Office):
    first, second = await held(office, "alice@example.test", "bob@example.test")
    blob = (await Quarantine(office.store).find(first)).blob

    def dropping(holder: int) -> Callable[[Office], Awaitable[object]]:
        return lambda office: office.database.write(lambda tx: queue.unrefer(tx, blob, REF_QUARANTINE, holder, 0))

    await beside(office, dropping(first), dropping(second))
    assert await blobs(office) == 0


async def test_two_janitors_empty_a_mailbox_once(office: Office):
    alice, store = Principal(office.alice), office.store
    box = await store.create_mailbox(alice, office.alice, ("gone",))
    (uid,) = await append(store, office.alice, box)
    await store.copy(alice, office.alice, box.id, [uid], (await inbox(office)).id)
    await store.delete_mailbox(alice, office.alice, box.id)
    office.clock.at += 1000
    await beside(office, lambda office: office.store.clean(), lambda office: office.store.clean())
    office.clock.at += 1000
    while await store.clean():
        pass
    assert len(await store.emails(alice, office.alice, (await inbox(office)).id, [1])) == 1


async def test_what_two_workers_heard_of_a_sender_is_added(office: Office):
    knowledge = Knowledge(office.database, office.clock)
    await knowledge.note([], {7: Heard(good=1)})

    async def heard(office: Office) -> None:
        await Knowledge(office.database, office.clock).note([], {7: Heard(good=1)})

    await beside(office, heard, heard)
    (row,) = await office.database.read(lambda tx: tx.all("SELECT good FROM reputation WHERE sender = ?", 7))
    assert row[0] == 3000


async def test_a_network_that_two_ban_at_a_time_is_banned_by_one(office: Office):
    now = office.clock.now()

    async def ban(office: Office) -> int:
        found = [Ban("192.0.2.7/32", now, now + 600, 0, "failed logins")]
        return len(await office.database.write(lambda tx: bans.begin(tx, found, now)))

    assert await beside(office, ban, ban) == [1, 0]


async def test_a_complaint_beside_the_janitor_stays(office: Office):
    alice, now = office.alice, office.clock.now()
    cause = suppression.Cause
    await office.database.write(lambda tx: suppression.add(tx, alice, "a@b.test", 0, cause.BOUNCE, "no such user"))

    async def complain(office: Office) -> None:
        await office.database.write(lambda tx: suppression.add(tx, alice, "a@b.test", now, cause.COMPLAINT, "spam"))

    async def prune(office: Office) -> None:
        await office.database.write(lambda tx: suppression.prune(tx, now))

    await beside(office, complain, prune)
    found = await office.database.read(lambda tx: suppression.find(tx, alice, "a@b.test", now))
    assert found is not None and found.cause is cause.COMPLAINT
